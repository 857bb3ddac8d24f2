"""The options of `nas train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from tyro.conf import Fixed, Positional, Suppress, arg

from nas.cli.start import StartOptions
from nas.cli.training_options import TrainingOptions
from nas.cluster import Workers
from nas.device import DType
from nas.train.watch_trackers import TrackerName
from scaling import Preset

__all__ = ["OF_THE_COMMAND", "Config", "RunOptions", "workers_of"]

OF_THE_COMMAND = ("resume", "json", "checkpoint_seconds", "loader_workers", "log_to", "mirror")
"""What says how a training is watched and kept, not what it is."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """On what a training is done, where, and how it is watched."""

    data: str = "digits"
    """digits, cifar10, cifar100, torchvision:NAME (as Flowers102), a folder of images in one folder a class, or a
    folder of WebDataset shards (train-000.tar, ... and val-000.tar or test-000.tar)."""
    data_root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder that holds cifar10, cifar100 or torchvision's data set."""
    data_mode: Literal["auto", "cache", "stream"] = "auto"
    """cache decodes all images once, at one size. stream decodes them as they are needed, in processes beside the step,
    and crops them in their own resolution. auto streams what, decoded, takes more than half of the free memory or
    disk."""
    loader_workers: Annotated[int | None, arg(metavar="N")] = None
    """Processes that decode streamed images; where not given, one for each core that --threads leaves, at most 8."""
    max_corrupt: Annotated[float, arg(metavar="SHARE")] = 0.01
    """Images that cannot be read are named, skipped and counted; more than this share of a split end the training."""
    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in a step; the recipe's where not given, with --fine-tune 512."""
    seed: int = 0
    """Of weights, order, augmentation and dropout. On a CPU the same seed gives the same bits."""
    holdout: float = 0.1
    """Share of the train images that is held out and evaluated on while training."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    dtype: DType = "float32"
    """bfloat16 and float16 are autocast; float16 is for CUDA alone."""
    threads: Annotated[int, arg(metavar="N")] = 1
    """Threads that a step computes with on a CPU, in each worker."""
    workers: Annotated[str, arg(metavar="N")] = "1"
    """Processes that share each step's images, through Ray Train: on this machine, or with --address. Those that die
    are replaced, and the training goes on from the last checkpoint. MIN:MAX goes on with fewer, where no more are
    left."""
    address: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """With --workers: of a running Ray cluster (auto or HOST:PORT), whose machines share the run's folder and have the
    data under the same path."""
    out: Annotated[str | None, arg(metavar="NAME")] = None
    """The run's name below runs/, or a folder; where not given named after the network and the time, and of --family
    DIR/trained."""
    resume: Annotated[str | None, arg(metavar="RUN")] = None
    """A training, or a family's, to go on with. It says all but --json, --log-to, --checkpoint-seconds,
    --loader-workers, --mirror, --workers and --address; its data may have been moved (--data, --data-root). From
    the URL of a mirror the training is fetched to --out, or below runs/, and mirrored there again."""
    mirror: Annotated[str | None, arg(metavar="URL")] = None
    """Keep the run at this URL too while it goes on (s3://BUCKET/NAME, gs://, file:///FOLDER), so that it can go on on
    another machine. Not of a --family."""
    checkpoint_seconds: Annotated[float, arg(metavar="S")] = 300.0
    """At least so often a checkpoint is written; at each evaluation one is written anyway."""
    log_to: tuple[TrackerName, ...] = ()
    """mlflow or wandb, or both, told of each evaluation; their own environment variables (MLFLOW_TRACKING_URI,
    WANDB_MODE, ...) hold. Where one fails it is left out and the training goes on."""
    json: bool = False
    """One JSON document on stdout."""
    given: Suppress[Fixed[tuple[str, ...]]] = ()
    """Names of the options that were typed."""


@dataclass(frozen=True, kw_only=True)
class Config(StartOptions, RunOptions, TrainingOptions):
    """Train one network to a final model, image size and regularisation growing together (EfficientNetV2, Algorithm 1).

    Example: nas train efficientnetv2_s --data DIR --budget 350ep

    nas train runs/family-efficientnetv2_s/M.json --data DIR --budget 2h

    nas train --family runs/family-efficientnetv2_s --data DIR

    A folder is written: config.json, metrics.jsonl (a line an evaluation on held-out images), tensorboard/ (the same
    for tensorboard --logdir), checkpoints/, and at the end curves.png, model.safetensors (the averaged weights),
    arch.json, data.json (classes, mean and std of the pixels) and result.json (accuracy on the test images). Ctrl-C
    writes a checkpoint and ends; nas train --resume RUN goes on, as it does after a crash. To fine-tune:

    nas train efficientnetv2_s --data DIR --fine-tune --init efficientnet_v2_s.pth
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    arch: Annotated[Positional[str | None], arg(metavar="ARCH")] = None
    """A name of the catalog, a JSON file, RUN:TRIAL, or a member of a family (FAMILYDIR/M.json or FAMILYDIR:M), whose
    recipe is then used. Its number of classes becomes the data's."""
    family: Annotated[str | None, arg(metavar="DIR")] = None
    """In place of ARCH: train every member of a family (as nas scale makes it), the smallest first, each in RUN/NAME.
    The same command goes on after an interruption, as --resume RUN does; members that are trained stay as they are."""
    budget: Annotated[str | None, arg(metavar="BUDGET")] = None
    """How long: epochs (30ep: times that each image is seen, over all phases), steps (5000st), or wall clock (90s, 30m,
    2h, 1d). The recipe's epochs where not given, with --fine-tune 10000st. Of wall clock, steps of each phase are
    timed before the first, and as many are made as then fit with evaluations and test. It counts from when the images
    are decoded (and the workers have started), for each member of a --family; a resumed training keeps its steps."""
    recipe: Annotated[str | None, arg(metavar="FILE")] = None
    """A NAME.recipe.json as nas scale writes it. Where not given, the family member's, or the one that nas scale would
    give the network, with batches of 128."""
    preset: Preset = "paper"
    """Whose numbers a network without a recipe gets: the paper's, or the released code's."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Largest side in pixels that is trained at, where no recipe is given; with --fine-tune the only one."""


def workers_of(config: RunOptions) -> Workers:
    """The processes that are asked for.

    Raises:
        ValueError: for another form, or an option that one process has no use for.
    """
    workers = Workers.parse(config.workers)
    if workers.here:
        for option in ("address", "sync_bn"):
            if option in config.given:
                raise ValueError(f"--{option.replace('_', '-')} has no effect on 1 worker: give --workers too")
    return workers
