"""`nas train`: one network, or each of a family, to a final model, progressively."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.cli import family_training
from nas.cli.console import print_json, print_note
from nas.cli.train_config import Config, workers_of
from nas.cli.train_job import check_resumed, new_job, resumed_job, train_job
from nas.text import printable
from nas.train import TrainJob, TrainResult
from nas.train.job import MODEL
from nas.train.watch_trackers import check_tracker

__all__ = ["Config", "run"]

MAX_LOADER_WORKERS = 256


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
    workers_of(config)
    loader_workers = config.loader_workers
    if loader_workers is not None and not 0 <= loader_workers <= MAX_LOADER_WORKERS:
        raise ValueError(f"--loader-workers must be from 0 to {MAX_LOADER_WORKERS}, got {loader_workers}")
    if config.resume is not None:
        check_resumed(config)
    family = family_training.resumed(config) if config.resume is not None else config
    if family.family is not None:
        return family_training.run(family)
    job, folder = resumed_job(config) if config.resume is not None else new_job(config)
    if loader_workers is not None and job.data_mode == "cache":
        print_note("--loader-workers has no effect: the images come from the cache")
    result = train_job(job, folder, config, resumed_by=folder)
    if config.json:
        print_json(_document(job, folder, result))
    else:
        print(_text(job, folder, result))
    return 0


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
