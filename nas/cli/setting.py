"""Under what `nas measure` measures: what was typed, else what the run of a RUN:TRIAL has, else what the space says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from tyro.conf import arg

from nas.cli.arch import NamedArch
from nas.device import Compute, DType, num_processors
from nas.measure.report import Setting
from nas.train import Recipe
from results import Run, RunError
from search_space import Space, load_space, parse_json

__all__ = ["SettingOptions", "check_threads", "find_setting", "setting_of_run"]

T = TypeVar("T")
DEFAULT_SPACE = "efficientnetv2-tiny"


@dataclass(frozen=True, kw_only=True)
class SettingOptions:
    """The options that networks are measured under, None for what was not typed."""

    space: Annotated[str | None, arg(metavar="SPACE")] = None
    """A named space or a file: its reference network, batch size and image size, and its calibration. Where not given,
    the run's of RUN:TRIAL, else efficientnetv2-tiny."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in a training step. Where not given, the run's of RUN:TRIAL, else the space's."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Side of the images in pixels. Where not given, the run's of RUN:TRIAL, else the space's."""
    num_classes: Annotated[int | None, arg(metavar="N")] = None
    """Classes of every network, the reference too. Where not given, those of the ARCHs, else the space's."""
    dtype: DType | None = None
    """bfloat16 is autocast. Where not given, the run's of RUN:TRIAL, else float32."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """Threads that a step computes with. Where not given, the run's of RUN:TRIAL, else 1."""


def find_setting(options: SettingOptions, archs: Sequence[NamedArch]) -> Setting:
    """The one setting for all of `archs`, on a processor, with the space for their number of classes.

    Raises:
        ValueError: where they disagree in what was not typed; for a value that breaks a rule, an unknown space, a
            damaged run.
    """
    runs = {named.name: setting_of_run(named.run) for named in archs if named.run is not None}
    classes = {named.name: named.arch.head.num_classes for named in archs}
    space = _choose(
        "space",
        load_space(options.space) if options.space is not None else None,
        {name: run.space.with_num_classes(1) for name, run in runs.items()},
        load_space(DEFAULT_SPACE),
    )
    num_classes = _choose("num_classes", options.num_classes, classes, space.head.num_classes)
    threads = _choose("threads", options.threads, {name: run.compute.threads for name, run in runs.items()}, 1)
    check_threads(threads)
    dtype = _choose("dtype", options.dtype, {name: run.compute.dtype for name, run in runs.items()}, "float32")
    batch_sizes = {name: run.batch_size for name, run in runs.items()}
    image_sizes = {name: run.image_size for name, run in runs.items()}
    return Setting(
        space=space.with_num_classes(num_classes),
        recipe=_choose("recipe", None, {name: run.recipe for name, run in runs.items()}, Recipe()),
        compute=Compute(dtype=dtype, threads=threads),
        batch_size=_choose("batch_size", options.batch_size, batch_sizes, space.batch_size),
        image_size=_choose("image_size", options.image_size, image_sizes, space.image_size),
    )


def check_threads(threads: int) -> None:
    """Raise ValueError for more threads than there are processors."""
    num_cpus = num_processors()
    if threads > num_cpus:
        raise ValueError(f"threads must be at most {num_cpus}, the processors here, got {threads}")


def setting_of_run(run: Run) -> Setting:
    """What the run's step times were measured under."""
    config = run.config
    try:
        return Setting(
            space=parse_json(Space, json.dumps(config.get("space"))),
            recipe=parse_json(Recipe, json.dumps((config.get("search") or {}).get("recipe"))),
            compute=parse_json(Compute, json.dumps(config.get("compute"))),
            batch_size=config.get("batch_size"),  # type: ignore[arg-type]  # a Setting checks it
            image_size=config.get("image_size"),  # type: ignore[arg-type]
        )
    except (ValueError, AttributeError) as error:
        raise RunError(
            f"{run.folder / 'config.json'}: what the run was measured under cannot be read: {error}"
        ) from None


def _choose(name: str, typed: T | None, found: Mapping[str, T], otherwise: T) -> T:
    """What was typed, else what the networks, by name, have in common, else the default."""
    if typed is not None:
        return typed
    values = list(found.values())
    if any(value != values[0] for value in values):
        told = ", ".join(f"{arch}: {getattr(value, 'name', value)}" for arch, value in found.items())
        way_out = "measure one run at a time" if name == "recipe" else f"choose with --{name.replace('_', '-')}"
        raise ValueError(f"networks measured together must have one {name}, got {told}; {way_out}")
    return values[0] if values else otherwise
