"""`nas supernet train`: one training of all networks of a space, with shared weights."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tyro.conf import arg

from nas.cli.console import print_json
from nas.cli.runs import fetched
from nas.cli.train_config import RunOptions
from nas.cli.train_job import (
    check_run_options,
    compute_of,
    new_folder,
    resumed_job,
    settled_on_data,
    train_job,
)
from nas.cli.training_options import TrainingOptions, full_options
from nas.text import printable
from nas.train import OptimizerName, TrainJob, TrainLength, TrainResult
from nas.train.job import MODEL
from results import RunError
from scaling import plain_recipe
from search_space import load_space

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config(RunOptions, TrainingOptions):
    """Train a supernet: all networks of a space at once, with shared weights, so that each can be judged in seconds.

    Example: nas supernet train --space efficientnetv2-tiny --data DIR --budget 1h

    Each step trains a largest network, a smallest one and one in between, the smaller ones on what the largest says.
    The folder is a training's (nas train --help), with the shared weights in model.safetensors; accuracy is the mean of
    a smallest network's, the space's reference's and a largest one's. nas supernet train --resume RUN goes on.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    space: Annotated[str | None, arg(metavar="SPACE")] = None
    """A named space (nas spaces), or a JSON or YAML file."""
    budget: Annotated[str | None, arg(metavar="BUDGET")] = None
    """How long: epochs (30ep), steps (5000st), or wall clock (90s, 30m, 2h, 1d), as of nas train."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Side in pixels; the space's where not given."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in a step; the space's where not given."""
    optimizer: OptimizerName = "sgd"
    """sgd (one cycle), rmsprop (the paper's, which is made for long trainings), or adamw (cosine)."""


def run(config: Config) -> int:
    """Train, and print what came of it.

    Raises:
        ValueError: for no such space, data or run, or a value that breaks a rule.
        Failed: where the loss was not finite.
        KeyboardInterrupt: where a signal asked for a stop; a checkpoint is written.
    """
    check_run_options(config)
    config = fetched(config)
    job, folder = resumed_job(config) if config.resume is not None else _new_job(config)
    if job.space is None:
        raise RunError(f"{folder}: is of one network: nas train --resume goes on with it")
    result = train_job(job, folder, config, resumed_by=folder)
    if config.json:
        print_json({"run": str(folder), "model": str(folder / MODEL), **asdict(result)})
    else:
        print(_text(job, folder, result))
    return 0


def _new_job(config: Config) -> tuple[TrainJob, Path]:
    for name in ("space", "budget"):
        if getattr(config, name) is None:
            raise ValueError(f"a --{name} must be given, or a run with --resume")
    useless = [name for name in ("growth", "grow_batch") if name in config.given]
    if useless:
        raise ValueError(f"--{useless[0].replace('_', '-')} has no effect on a supernet: its images keep one size")
    space = load_space(config.space or "")
    compute = compute_of(config)
    options = full_options(config, fine_tuning=False)
    length = TrainLength.of_budget(config.budget or "")
    recipe = plain_recipe(
        space.image_size if config.image_size is None else config.image_size,
        space.batch_size if config.batch_size is None else config.batch_size,
    )
    folder = new_folder(config, f"supernet-{space.name}")
    found, settled = settled_on_data(config, folder, recipe, options, compute)
    space = space.with_num_classes(found.num_classes)
    return TrainJob(arch=space.reference, length=length, space=space, **settled), folder


def _text(job: TrainJob, folder: Path, result: TrainResult) -> str:
    assert job.space is not None, "a supernet's job has a space"
    last, averaged = 100 * result.accuracy, 100 * result.ema_accuracy
    return "\n".join(
        [
            f"{printable(str(folder))}: a supernet of {job.space.name} ({job.space.size():,} networks), "
            f"{result.steps:,} steps in {result.seconds:.0f} s, {result.params:,} parameters",
            f"test accuracy {averaged:.2f} % with averaged weights, {last:.2f} % with the last ones: mean of a "
            f"smallest network, the reference and a largest one ({result.num_test:,} images at "
            f"{result.eval_size}x{result.eval_size})",
        ]
    )
