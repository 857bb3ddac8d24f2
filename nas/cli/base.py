"""The network that `nas scale` scales: S, M, L, a name of the catalog, a JSON file, RUN:TRIAL, or a run's winner."""

import json
from dataclasses import dataclass
from typing import Any

from nas.cli.arch import NamedArch, arch_of_trial, find_arch
from nas.cli.runs import open_run
from nas.text import printable
from results import Run, RunError
from scaling import Base
from search_space import ARCHITECTURES, ArchSpec, Space, Unrounded
from search_space.files import parse_json

__all__ = ["FoundBase", "find_base"]

PUBLISHED_BATCH_SIZE = 4096
EVAL_BY_TRAIN = 384 / 300
"""EfficientNetV2-S is evaluated at 384 px after training at up to 300."""
_SHORT = {
    name.removeprefix("efficientnetv2_").upper(): name for name in ARCHITECTURES if name.startswith("efficientnetv2_")
}


@dataclass(frozen=True, kw_only=True)
class FoundBase:
    """A base, in words where it comes from, and the run where that is one."""

    base: Base
    told: str
    run: Run | None


def find_base(text: str, *, run: str | None, image_size: int | None, num_classes: int | None) -> FoundBase:
    """The base that is meant by --base and --run.

    A published network is trained and evaluated at its published image sizes, another one trained at up to
    `image_size` (the run's, or 224) and evaluated at 384/300 of it, as S is.

    Raises:
        ValueError: for an unknown name, a missing or damaged file or run, a run without a winner.
    """
    if run is not None and text != "S":
        raise ValueError(f"--run RUN makes the run's winner the base S, so --base must be S or left out, got {text!r}")
    named, told = _winner(open_run(run)) if run is not None else (find_arch(_SHORT.get(text.upper(), text)), "")
    arch, unrounded, from_space = _unrounded(named)
    train_size, eval_size = _sizes(named, image_size)
    batch_size = named.run.config.get("batch_size") if named.run is not None else PUBLISHED_BATCH_SIZE
    base = Base(
        name=printable(named.name),
        arch=arch if num_classes is None else arch.with_num_classes(num_classes),
        unrounded=unrounded,
        train_size=train_size,
        eval_size=eval_size,
        batch_size=batch_size,  # type: ignore[arg-type]  # a Base checks it
    )
    widths = "unrounded widths and depths are known" if from_space else "scaled from its widths as they are"
    return FoundBase(base=base, told=f"{told or printable(named.name)}; {widths}", run=named.run)


def _winner(run: Run) -> tuple[NamedArch, str]:
    best = run.best()
    if best is None:
        raise RunError(f"{run.folder}: no network was measured in full within the run's limits")
    named = arch_of_trial(run, best.trial, name=f"{run.folder}:{best.trial}")
    return named, f"the winner of {printable(run.folder.name)}, trial {best.trial} (reward {best.final.reward:.4f})"


def _unrounded(named: NamedArch) -> tuple[ArchSpec, Unrounded, bool]:
    """The network, its numbers before rounding, and whether any of them is known."""
    if named.published is not None and named.published.unrounded is not None:
        return named.arch, named.published.unrounded, True
    if named.run is not None:
        try:
            space = parse_json(Space, json.dumps(named.run.config.get("space")))
            arch, found = space.unrounded(named.arch.with_num_classes(space.head.num_classes))
        except ValueError as error:
            raise RunError(f"{named.run.folder / 'config.json'}: space: {error}") from None
        return arch, found, found != Unrounded.of(arch)
    return named.arch, Unrounded.of(named.arch), False


def _sizes(named: NamedArch, image_size: int | None) -> tuple[int, int]:
    if named.published is not None and image_size is None:
        return named.published.train_size, named.published.eval_size
    train_size: Any = named.image_size if image_size is None else image_size
    if not isinstance(train_size, int) or not 8 <= train_size <= 4096:
        raise ValueError(f"image_size must be from 8 to 4096, got {train_size!r}")
    return train_size, max(train_size, int(train_size * EVAL_BY_TRAIN / 2 + 0.5) * 2)
