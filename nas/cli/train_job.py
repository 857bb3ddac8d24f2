"""The training that `nas train` is asked for, and doing it as a command does: watched, and saying how to go on."""

import math
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.cli.arch import NamedArch, find_arch
from nas.cli.base import find_base
from nas.cli.console import Failed, print_note
from nas.cli.families import find_member, read_recipe
from nas.cli.runs import dated_folder, find_run, plain_name, typed_folder
from nas.cli.setting import check_threads
from nas.cli.start import find_start
from nas.cli.train_config import OF_THE_COMMAND, Config, RunOptions, workers_of
from nas.cli.training_options import full_options
from nas.cli.watched import watched
from nas.cluster import EngineError, check_address
from nas.data import DataConfig, DataMode, Survey, choose_mode, survey
from nas.data.moments import sample_moments
from nas.device import Compute
from nas.device_memory import is_out_of_memory
from nas.text import printable
from nas.train import FINE_TUNE_STEPS, FullOptions, TrainJob, TrainLength, TrainResult, read_job
from nas.train.job import CONFIG, read_result
from nas.train.origin import Normalisation
from nas.train.watch_trackers import check_tracker
from results import RunWriteError
from results.durable import first_line
from results.mirror import Mirror
from results.objects import is_url
from scaling import Family, Place, ProgressiveRecipe, fine_tuning_recipe
from search_space import ArchSpec

__all__ = [
    "check_run_options",
    "compute_of",
    "new_folder",
    "new_job",
    "resumed_job",
    "settled_on_data",
    "train_job",
]

DEFAULT_BATCH_SIZE = 128
MAX_LOADER_WORKERS = 256
_MAY_CHANGE = ("data", "data_root", "workers", "address")


def check_run_options(config: RunOptions) -> None:
    """Refuse what breaks a rule whatever is trained.

    Raises:
        ValueError: for a tracker that is not installed, or a value that breaks a rule.
    """
    for name in config.log_to:
        check_tracker(name)
    if not 0 <= config.checkpoint_seconds < math.inf:
        raise ValueError(f"--checkpoint-seconds must be a number of at least 0, got {config.checkpoint_seconds}")
    workers_of(config)
    if config.address is not None:
        check_address(config.address)
    if config.loader_workers is not None and not 0 <= config.loader_workers <= MAX_LOADER_WORKERS:
        raise ValueError(f"--loader-workers must be from 0 to {MAX_LOADER_WORKERS}, got {config.loader_workers}")
    if config.resume is not None:
        _check_resumed(config)


def _check_resumed(config: RunOptions) -> None:
    """Refuse what cannot be asked for of a training that has begun."""
    others = [name for name in config.given if name not in (*_MAY_CHANGE, *OF_THE_COMMAND)]
    if is_url(config.resume or ""):
        others = [name for name in others if name != "out"]
    arch = getattr(config, "arch", None)
    if arch is not None or others:
        what = f"--{others[0].replace('_', '-')}" if others else f"ARCH {arch!r}"
        raise ValueError(f"{what} cannot be given with --resume: it is the run's own")


def resumed_job(config: RunOptions) -> tuple[TrainJob, Path]:
    """The training that --resume names, with its data where they lie now, and its folder."""
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
    compute = compute_of(config)
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
    folder = new_folder(config, name)
    found, settled = settled_on_data(config, folder, recipe, options, compute, start.normalisation)
    if start.init is not None:
        print_note(start.told(found.num_classes, settled["normalisation"]))
    job = TrainJob(arch=start.arch.with_num_classes(found.num_classes), length=length, init=start.init, **settled)
    return job, folder


def compute_of(config: RunOptions) -> Compute:
    """The device that is asked for.

    Raises:
        ValueError: where there is no such device, or fewer processors than threads.
    """
    check_threads(config.threads)
    compute = Compute(device=config.device, dtype=config.dtype, threads=config.threads)
    _check_device(compute)
    return compute


def settled_on_data(
    config: RunOptions,
    folder: Path,
    recipe: ProgressiveRecipe,
    options: FullOptions,
    compute: Compute,
    normalisation: Normalisation | None = None,
) -> tuple[Survey, dict[str, Any]]:
    """The data that are asked for, said to the user; and the fields of a job in `folder` that then are known."""
    data = DataConfig(
        data=config.data, image_size=recipe.train_size.last, root=config.data_root, holdout=config.holdout
    )
    found = survey(data)
    print_note(found.summary())
    workers_of(config).check(recipe.batch_size, compute, options)
    return found, {
        "recipe": recipe,
        "options": options,
        "data": data,
        "compute": compute,
        "seed": config.seed,
        "data_mode": _mode(config, folder, found, recipe),
        "max_corrupt": config.max_corrupt,
        "normalisation": normalisation or _own_normalisation(found),
    }


def _own_normalisation(found: Survey) -> Normalisation:
    mean, std = sample_moments(found)
    return Normalisation(mean=mean, std=std)


def _mode(config: RunOptions, folder: Path, found: Survey, recipe: ProgressiveRecipe) -> DataMode:
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


def new_folder(config: RunOptions, name: str) -> Path:
    """The folder that is asked for, or one named after `name` and the time."""
    return dated_folder(plain_name(f"train-{name}")) if config.out is None else typed_folder(config.out)


def train_job(job: TrainJob, folder: Path, config: RunOptions, *, resumed_by: Path) -> TrainResult:
    """Train in the folder as the command has it, with a live line; where it is interrupted, what is kept and how to go
    on is said: with the run `resumed_by`.

    Raises:
        ValueError: for a value that breaks a rule, or a folder that is not the job's.
        Failed: where the loss was not finite, memory was not enough, or machines or processes were lost.
        KeyboardInterrupt: where a signal asked for a stop.
    """
    from nas.data import WorkerLost
    from nas.train import TrainingDiverged, TrainingInterrupted, train_full

    if config.loader_workers is not None and job.data_mode == "cache":
        print_note("--loader-workers has no effect: the images come from the cache")
    command = "nas train" if job.space is None else "nas supernet train"
    mirrored = nullcontext() if config.mirror is None else Mirror(folder, config.mirror, note=print_note)
    how_to_go_on, workers = f"to go on: {command} --resume {printable(str(resumed_by))}", workers_of(config)
    try:
        with watched(folder, config.log_to) as progress, mirrored:
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
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        told = f"out of memory ({first_line(error)}): give a smaller --batch-size, or --accumulate"
        raise Failed(f"{told}\n{how_to_go_on}") from error
    except TrainingInterrupted as error:
        print_note(f"{error}, which is kept; {how_to_go_on}" if (folder / CONFIG).exists() else str(error))
        raise KeyboardInterrupt from error
    except KeyboardInterrupt:
        if (folder / CONFIG).exists():
            print_note(f"what the last checkpoint holds is kept; {how_to_go_on}")
        raise
