"""`nas train`: one network, or each of a family, to a final model, progressively."""

import math
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from tyro.conf import Positional, Suppress, arg

from nas.cli.arch import NamedArch, find_arch
from nas.cli.base import find_base
from nas.cli.console import Failed, print_json, print_note
from nas.cli.families import find_member, read_recipe
from nas.cli.runs import dated_folder, find_run, plain_name, typed_folder
from nas.cli.setting import check_threads
from nas.cli.start import StartOptions, find_start
from nas.cli.training_options import TrainingOptions, full_options
from nas.cli.watched import watched
from nas.cluster import EngineError, Workers
from nas.data import DataConfig, DataMode, Survey, choose_mode, survey
from nas.data.moments import sample_moments
from nas.device import Compute, DType
from nas.text import printable
from nas.train import FINE_TUNE_STEPS, FullOptions, TrainJob, TrainLength, TrainResult, read_job
from nas.train.job import CONFIG, MODEL, read_result
from nas.train.origin import Normalisation
from nas.train.watch_trackers import TrackerName, check_tracker
from results import RunWriteError
from scaling import Family, Place, Preset, ProgressiveRecipe, fine_tuning_recipe
from search_space import ArchSpec

__all__ = ["OF_THE_COMMAND", "Config", "new_job", "run", "train_job"]

DEFAULT_BATCH_SIZE = 128
MAX_LOADER_WORKERS = 256
_MAY_CHANGE = ("data", "data_root", "workers", "address")
OF_THE_COMMAND = ("resume", "json", "checkpoint_seconds", "loader_workers", "log_to")


@dataclass(frozen=True, kw_only=True)
class Config(StartOptions, TrainingOptions):
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
    --loader-workers, --workers and --address; its data may have been moved (--data, --data-root)."""
    checkpoint_seconds: Annotated[float, arg(metavar="S")] = 300.0
    """At least so often a checkpoint is written; at each evaluation one is written anyway."""
    log_to: tuple[TrackerName, ...] = ()
    """mlflow or wandb, or both, told of each evaluation; their own environment variables (MLFLOW_TRACKING_URI,
    WANDB_MODE, ...) hold. Where one fails it is left out and the training goes on."""
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
    for name in config.log_to:
        check_tracker(name)
    if not 0 <= config.checkpoint_seconds < math.inf:
        raise ValueError(f"--checkpoint-seconds must be a number of at least 0, got {config.checkpoint_seconds}")
    _workers(config)
    loader_workers = config.loader_workers
    if loader_workers is not None and not 0 <= loader_workers <= MAX_LOADER_WORKERS:
        raise ValueError(f"--loader-workers must be from 0 to {MAX_LOADER_WORKERS}, got {loader_workers}")
    if config.resume is not None:
        _check_resumed(config)
    from nas.cli import family_training  # which trains through this module

    family = family_training.resumed(config) if config.resume is not None else config
    if family.family is not None:
        return family_training.run(family)
    job, folder = _resumed(config) if config.resume is not None else new_job(config)
    if loader_workers is not None and job.data_mode == "cache":
        print_note("--loader-workers has no effect: the images come from the cache")
    result = train_job(job, folder, config, resumed_by=folder)
    if config.json:
        print_json(_document(job, folder, result))
    else:
        print(_text(job, folder, result))
    return 0


def _workers(config: Config) -> Workers:
    workers = Workers.parse(config.workers)
    if workers.here:
        for option in ("address", "sync_bn"):
            if option in config.given:
                raise ValueError(f"--{option.replace('_', '-')} has no effect on 1 worker: give --workers too")
    return workers


def train_job(job: TrainJob, folder: Path, config: Config, *, resumed_by: Path) -> TrainResult:
    """Train in the folder as the command has it, with a live line; where it is interrupted, what is kept and how to go
    on is said: with the run `resumed_by`.

    Raises:
        ValueError: for a value that breaks a rule, or a folder that is not the job's.
        Failed: where the loss was not finite, or machines or processes were lost.
        KeyboardInterrupt: where a signal asked for a stop.
    """
    from nas.data import WorkerLost
    from nas.train import TrainingDiverged, TrainingInterrupted, train_full

    how_to_go_on, workers = f"to go on: nas train --resume {printable(str(resumed_by))}", _workers(config)
    try:
        with watched(folder, config.log_to) as progress:
            how: dict[str, Any] = {
                "progress": progress,
                "checkpoint_every_s": config.checkpoint_seconds,
                "loader_workers": config.loader_workers,
            }
            if workers.here:
                result = train_full(job, folder, **how)
            else:
                from nas.cluster import train_on_cluster

                result = train_on_cluster(job, folder, workers, address=config.address, **how)
            progress.ended(result)
            return result
    except TrainingDiverged as error:
        raise Failed(str(error)) from error
    except (EngineError, WorkerLost) as error:
        raise Failed(f"{error}\n{how_to_go_on}") from error
    except RunWriteError as error:
        if not (folder / CONFIG).exists():
            raise
        raise Failed(f"{error}\n{how_to_go_on}") from error
    except TrainingInterrupted as error:
        print_note(f"{error}, which is kept; {how_to_go_on}" if (folder / CONFIG).exists() else str(error))
        raise KeyboardInterrupt from error
    except KeyboardInterrupt:
        if (folder / CONFIG).exists():
            print_note(f"what the last checkpoint holds is kept; {how_to_go_on}")
        raise


def _check_resumed(config: Config) -> None:
    others = [name for name in config.given if name not in (*_MAY_CHANGE, *OF_THE_COMMAND)]
    if config.arch is not None or others:
        what = f"--{others[0].replace('_', '-')}" if others else f"ARCH {config.arch!r}"
        raise ValueError(f"{what} cannot be given with --resume: it is the run's own")


def _resumed(config: Config) -> tuple[TrainJob, Path]:
    folder = find_run(config.resume or "")
    job = read_job(folder)
    if read_result(folder) is None:
        _check_device(job.compute)
        _check_compiler(job.options, job.compute)
    data = config.data if "data" in config.given else job.data.data
    root = config.data_root if "data_root" in config.given else job.data.root
    return job.with_data(data, root), folder


def new_job(config: Config) -> tuple[TrainJob, Path]:
    """What a command asks for, and the folder that it goes to.

    Raises:
        ValueError: for no such network or data, or a value that breaks a rule.
    """
    if config.arch is None:
        raise ValueError("an ARCH must be given, or a --family, or a run with --resume")
    check_threads(config.threads)
    compute = Compute(device=config.device, dtype=config.dtype, threads=config.threads)
    _check_device(compute)
    useless = [name for name in ("preset", "growth") if config.fine_tune and name in config.given]
    if useless:
        raise ValueError(f"--{useless[0]} has no effect with --fine-tune")
    options = full_options(config, fine_tuning=config.fine_tune)
    _check_compiler(options, compute)
    length = None if config.budget is None else TrainLength.of_budget(config.budget)
    name, arch, recipe = _network(config)
    start = find_start(config, arch)
    if config.fine_tune:
        recipe = fine_tuning_recipe(recipe, config.image_size)
    if length is None:
        length = TrainLength(steps=FINE_TUNE_STEPS) if config.fine_tune else TrainLength(epochs=recipe.epochs)
    if config.batch_size is not None:
        recipe = replace(recipe, batch_size=config.batch_size)
    data = DataConfig(
        data=config.data, image_size=recipe.train_size.last, root=config.data_root, holdout=config.holdout
    )
    folder = _new_folder(config, name)
    found = survey(data)
    print_note(found.summary())
    _workers(config).check(recipe.batch_size, compute, options)
    normalisation = start.normalisation or _own_normalisation(found)
    if start.init is not None:
        print_note(start.told(found.num_classes, normalisation))
    job = TrainJob(
        arch=start.arch.with_num_classes(found.num_classes),
        recipe=recipe,
        options=options,
        data=data,
        length=length,
        compute=compute,
        seed=config.seed,
        data_mode=_mode(config, folder, found, recipe),
        max_corrupt=config.max_corrupt,
        init=start.init,
        normalisation=normalisation,
    )
    return job, folder


def _own_normalisation(found: Survey) -> Normalisation:
    mean, std = sample_moments(found)
    return Normalisation(mean=mean, std=std)


def _mode(config: Config, folder: Path, found: Survey, recipe: ProgressiveRecipe) -> DataMode:
    """How the images come, said with its reason where it was chosen. What a training in `folder` began with stays,
    whatever is free by now."""
    if config.data_mode != "auto":
        return config.data_mode
    if (folder / CONFIG).exists():
        return read_job(folder).data_mode
    evaluated = recipe.eval_size
    mode, why = choose_mode(found, {"train": recipe.train_size.last, "holdout": evaluated, "test": evaluated})
    print_note(f"data mode {mode}: {why}")
    return mode


def _check_device(compute: Compute) -> None:
    if not compute.is_cuda:
        return
    import torch

    found = torch.cuda.device_count()
    number = int(compute.device.partition(":")[2] or 0)
    if number >= found:
        raise ValueError(f"device must be cpu or one of {found} CUDA devices here, got {compute.device!r}")


def _check_compiler(options: FullOptions, compute: Compute) -> None:
    if options.compile and not compute.is_cuda and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise ValueError("compile must be left out on a CPU without a C++ compiler: g++, or what CXX names")


def _network(config: Config) -> tuple[str, ArchSpec, ProgressiveRecipe]:
    """What ARCH is called, what it means, and how it is trained."""
    text = config.arch or ""
    own: ProgressiveRecipe | None
    member = find_member(text)
    if member is not None:
        name, arch, own = member
    else:
        found = find_arch(text)
        name, arch, own = _plain_name(found), found.arch, None
    if config.recipe is not None:
        own = read_recipe(Path(config.recipe))
    elif member is not None and own is None:
        raise ValueError(f"{Path(text).with_suffix('.recipe.json')}: is missing: give a --recipe")
    if own is None:
        return name, arch, _derived(config, text)
    for option in ("image_size", "preset"):
        if option in config.given and not (option == "image_size" and config.fine_tune):
            raise ValueError(f"--{option.replace('_', '-')} has no effect: the recipe that is used says it")
    return name, arch, own


def _plain_name(found: NamedArch) -> str:
    return Path(found.name).stem if found.run is None else found.name.replace(":", "-")


def _derived(config: Config, text: str) -> ProgressiveRecipe:
    """The recipe that `nas scale` would give the network as the base of a family."""
    base = find_base(text, run=None, image_size=config.image_size, num_classes=None).base
    family = Family.of(base, {"S": Place(0.0, 0.0)}, preset=config.preset)
    return replace(family.members[0].recipe, batch_size=DEFAULT_BATCH_SIZE)


def _new_folder(config: Config, name: str) -> Path:
    return dated_folder(plain_name(f"train-{name}")) if config.out is None else typed_folder(config.out)


def _document(job: TrainJob, folder: Path, result: TrainResult) -> dict[str, Any]:
    return {"run": str(folder), "key": job.arch.key, "model": str(folder / MODEL), **asdict(result)}


def _text(job: TrainJob, folder: Path, result: TrainResult) -> str:
    shown = printable(str(folder))
    return "\n".join(
        [
            f"{shown}: {result.steps:,} steps in {result.seconds:.0f} s, {result.params:,} parameters",
            f"test accuracy {100 * result.ema_accuracy:.2f} % with averaged weights, {100 * result.accuracy:.2f} % "
            f"with the last ones ({result.num_test:,} images at {result.eval_size}x{result.eval_size})",
            "",
            f"  nas describe {shown}/arch.json --image-size {result.eval_size}",
            f"  nas export {shown}",
        ]
    )
