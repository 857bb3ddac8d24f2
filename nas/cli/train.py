"""`nas train`: one network to a final model, progressively."""

import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress, arg

from nas.cli.arch import NamedArch, find_arch
from nas.cli.base import find_base
from nas.cli.console import Failed, print_json, print_note
from nas.cli.runs import RUNS, dated_folder, find_run, plain_name, typed_folder
from nas.cli.setting import check_threads
from nas.cli.training_line import TrainingLine
from nas.data import DataConfig, prepare
from nas.device import Compute, DType
from nas.text import printable
from nas.train import FullOptions, Growth, OptimizerName, TrainJob, TrainLength, TrainResult, read_job
from scaling import FAMILY_FILE, Family, Place, Preset, ProgressiveRecipe
from search_space import ArchSpec
from search_space.files import parse_json, read_text

__all__ = ["Config", "new_job", "run", "train_job"]

DEFAULT_BATCH_SIZE = 128
_MAY_CHANGE = ("data", "data_root")
_OF_THE_COMMAND = ("resume", "json", "checkpoint_seconds")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Train one network to a final model, image size and regularisation growing together (EfficientNetV2, Algorithm 1).

    Example: nas train runs/family-efficientnetv2_s:S --data DIR --epochs 350

    A folder is written: config.json, metrics.jsonl (a line an evaluation on held-out images), checkpoints/, and at the
    end model.safetensors (the averaged weights), arch.json and result.json (accuracy on the test images). Ctrl-C writes
    a checkpoint and ends; nas train --resume RUN goes on, as it does after a crash.
    """

    arch: Annotated[Positional[str | None], arg(metavar="ARCH")] = None
    """A name of the catalog, a JSON file, RUN:TRIAL, or FAMILYDIR:MEMBER, whose recipe is then used. Its number of
    classes becomes the data's."""
    data: str = "digits"
    """digits, cifar10, cifar100, or a folder of images in one folder a class."""
    data_root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder that holds cifar10 or cifar100."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """Times that each image is seen, over all phases; the recipe's where not given."""
    steps: Annotated[int | None, arg(metavar="N")] = None
    """Optimizer steps, in place of epochs."""
    recipe: Annotated[str | None, arg(metavar="FILE")] = None
    """A NAME.recipe.json as nas scale writes it. Where not given, the family member's, or the one that nas scale would
    give the network, with batches of 128."""
    preset: Preset = "paper"
    """Whose numbers a network without a recipe gets: the paper's, or the released code's."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Largest side in pixels that is trained at, where no recipe is given."""
    optimizer: OptimizerName = "rmsprop"
    """rmsprop (TensorFlow's, with the paper's schedule), sgd (one cycle), or adamw (cosine)."""
    lr: Annotated[float | None, arg(metavar="LR")] = None
    """Peak learning rate for 256 images a step; 0.016 for rmsprop, 0.4 for sgd, 0.008 for adamw where not given."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in a step; the recipe's where not given."""
    accumulate: Annotated[int, arg(metavar="K")] = 1
    """Parts that a batch is computed in, one after the other, to save memory."""
    clip_norm: Annotated[float | None, arg(metavar="X")] = None
    """Cut the gradient's norm to this; it is left where not given."""
    min_crop_area: Annotated[float | None, arg(metavar="SHARE")] = None
    """Least share of an image that a random crop shows; 0.25 where not given. The released code has 0.05, for
    ImageNet."""
    growth: Growth = "progressive"
    """fixed trains with the recipe's last values from the first step on."""
    grow_batch: bool = False
    """Larger batches while images are small, up to four times, at a learning rate in proportion."""
    seed: int = 0
    """Of weights, order, augmentation and dropout. On a CPU the same seed gives the same bits."""
    holdout: float = 0.1
    """Share of the train images that is held out and evaluated on while training."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    dtype: DType = "float32"
    """bfloat16 and float16 are autocast; float16 is for CUDA alone."""
    threads: Annotated[int, arg(metavar="N")] = 1
    """Threads that a step computes with on a CPU."""
    compile: bool = False
    """Compile the network for each image size (torch.compile): minutes at first, on a CPU with a C++ compiler."""
    out: Annotated[str | None, arg(metavar="NAME")] = None
    """The run's name below runs/, or a folder; named after the network and the time where not given."""
    resume: Annotated[str | None, arg(metavar="RUN")] = None
    """A training to go on with. It says all but --json and --checkpoint-seconds; its data may have been moved (--data,
    --data-root)."""
    checkpoint_seconds: Annotated[float, arg(metavar="S")] = 300.0
    """At least so often a checkpoint is written; at each evaluation one is written anyway."""
    json: bool = False
    """One JSON document on stdout."""
    given: Suppress[tuple[str, ...]] = ()
    """Names of the options that were typed."""


def run(config: Config) -> int:
    """Train, and print what came of it.

    Raises:
        ValueError: for no such network, data or run, or a value that breaks a rule.
        Failed: where the loss was not finite.
        KeyboardInterrupt: where a signal asked for a stop; a checkpoint is written.
    """
    job, folder = _resumed(config) if config.resume is not None else new_job(config)
    how_to_go_on = f"to go on: nas train --resume {printable(str(folder))}"
    result = train_job(job, folder, how_to_go_on=how_to_go_on, checkpoint_every_s=config.checkpoint_seconds)
    if config.json:
        print_json(_document(job, folder, result))
    else:
        print(_text(job, folder, result))
    return 0


def train_job(job: TrainJob, folder: Path, *, how_to_go_on: str, checkpoint_every_s: float) -> TrainResult:
    """Train in the folder, with a live line; where it is interrupted, what is kept and how to go on is said."""
    from nas.train import TrainingDiverged, TrainingInterrupted, train_full

    try:
        with TrainingLine() as progress:
            return train_full(job, folder, progress=progress, checkpoint_every_s=checkpoint_every_s)
    except TrainingDiverged as error:
        raise Failed(str(error)) from error
    except TrainingInterrupted as error:
        print_note(f"{error}, which is kept; {how_to_go_on}")
        raise KeyboardInterrupt from error
    except KeyboardInterrupt:
        if (folder / "config.json").exists():
            print_note(f"what the last checkpoint holds is kept; {how_to_go_on}")
        raise


def _resumed(config: Config) -> tuple[TrainJob, Path]:
    others = [name for name in config.given if name not in (*_MAY_CHANGE, *_OF_THE_COMMAND)]
    if config.arch is not None or others:
        what = f"--{others[0].replace('_', '-')}" if others else f"ARCH {config.arch!r}"
        raise ValueError(f"{what} cannot be given with --resume: it is the run's own")
    folder = find_run(config.resume or "")
    job = read_job(folder)
    data = config.data if "data" in config.given else job.data.data
    root = config.data_root if "data_root" in config.given else job.data.root
    return job.with_data(data, root), folder


def new_job(config: Config) -> tuple[TrainJob, Path]:
    """What a command asks for, and the folder that it goes to.

    Raises:
        ValueError: for no such network or data, or a value that breaks a rule.
    """
    if config.arch is None:
        raise ValueError("an ARCH must be given, or a run with --resume")
    if config.epochs is not None and config.steps is not None:
        raise ValueError("either epochs or steps can be given")
    check_threads(config.threads)
    compute = Compute(device=config.device, dtype=config.dtype, threads=config.threads)
    _check_device(compute)
    if config.compile and not compute.is_cuda and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise ValueError("compile must be left out on a CPU without a C++ compiler: g++, or what CXX names")
    options = FullOptions.of(config.optimizer, **_changes(config))
    name, arch, recipe = _network(config)
    if config.batch_size is not None:
        recipe = replace(recipe, batch_size=config.batch_size)
    length = (
        TrainLength(steps=config.steps)
        if config.steps is not None
        else TrainLength(epochs=recipe.epochs if config.epochs is None else config.epochs)
    )
    data = DataConfig(
        data=config.data, image_size=recipe.train_size.last, root=config.data_root, holdout=config.holdout
    )
    folder = _new_folder(config, name)
    prepared = prepare(data)
    print_note(prepared.summary())
    job = TrainJob(
        arch=arch.with_num_classes(prepared.num_classes),
        recipe=recipe,
        options=options,
        data=data,
        length=length,
        compute=compute,
        seed=config.seed,
    )
    return job, folder


def _changes(config: Config) -> dict[str, Any]:
    """The options of a training that were typed."""
    names = ("lr", "clip_norm", "min_crop_area")
    typed = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return {**typed, **{name: getattr(config, name) for name in ("growth", "grow_batch", "accumulate", "compile")}}


def _check_device(compute: Compute) -> None:
    if not compute.is_cuda:
        return
    import torch

    found = torch.cuda.device_count()
    number = int(compute.device.partition(":")[2] or 0)
    if number >= found:
        raise ValueError(f"device must be cpu or one of {found} CUDA devices here, got {compute.device!r}")


def _network(config: Config) -> tuple[str, ArchSpec, ProgressiveRecipe]:
    """What ARCH is called, what it means, and how it is trained."""
    text = config.arch or ""
    own: ProgressiveRecipe | None
    member = _member(text)
    if member is not None:
        name, arch, own = member
    else:
        found = find_arch(text)
        name, arch, own = _plain_name(found), found.arch, None
    if config.recipe is not None:
        own = _read_recipe(Path(config.recipe))
    if own is None:
        return name, arch, _derived(config, text)
    for option in ("image_size", "preset"):
        if option in config.given:
            raise ValueError(f"--{option.replace('_', '-')} has no effect: the recipe that is used says it")
    return name, arch, own


def _member(text: str) -> tuple[str, ArchSpec, ProgressiveRecipe] | None:
    """FAMILYDIR:MEMBER, where FAMILYDIR is a folder with a family.json, or its name below runs/."""
    folder, colon, name = text.rpartition(":")
    if not colon:
        return None
    for path in (Path(folder), RUNS / folder):
        if (path / FAMILY_FILE).is_file():
            try:
                family = Family.from_json(read_text(path / FAMILY_FILE))
            except ValueError as error:
                raise ValueError(f"{path / FAMILY_FILE}: {error}") from None
            member = family.member(name)
            return f"{path.name}-{name}", member.arch, member.recipe
    return None


def _plain_name(found: NamedArch) -> str:
    return Path(found.name).stem if found.run is None else found.name.replace(":", "-")


def _read_recipe(path: Path) -> ProgressiveRecipe:
    try:
        return parse_json(ProgressiveRecipe, read_text(path))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _derived(config: Config, text: str) -> ProgressiveRecipe:
    """The recipe that `nas scale` would give the network as the base of a family."""
    base = find_base(text, run=None, image_size=config.image_size, num_classes=None).base
    family = Family.of(base, {"S": Place(0.0, 0.0)}, preset=config.preset)
    return replace(family.members[0].recipe, batch_size=DEFAULT_BATCH_SIZE)


def _new_folder(config: Config, name: str) -> Path:
    return dated_folder(plain_name(f"train-{name}")) if config.out is None else typed_folder(config.out)


def _document(job: TrainJob, folder: Path, result: TrainResult) -> dict[str, Any]:
    return {"run": str(folder), "key": job.arch.key, "model": str(folder / "model.safetensors"), **asdict(result)}


def _text(job: TrainJob, folder: Path, result: TrainResult) -> str:
    shown = printable(str(folder))
    return "\n".join(
        [
            f"{shown}: {result.steps:,} steps in {result.seconds:.0f} s, {result.params:,} parameters",
            f"test accuracy {100 * result.ema_accuracy:.2f} % with averaged weights, {100 * result.accuracy:.2f} % "
            f"with the last ones ({result.num_test:,} images at {result.eval_size}x{result.eval_size})",
            "",
            f"  nas describe {shown}/arch.json --image-size {result.eval_size}",
        ]
    )
