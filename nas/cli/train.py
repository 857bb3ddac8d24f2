"""`nas train`: one network, or each of a family, to a final model, progressively."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.cli import family_training
from nas.cli.console import print_json
from nas.cli.runs import fetched
from nas.cli.train_config import Config
from nas.cli.train_job import check_run_options, new_job, resumed_job, train_job
from nas.text import printable
from nas.train import TrainJob, TrainResult
from nas.train.job import MODEL
from results import RunError

__all__ = ["Config", "run"]


def run(config: Config) -> int:
    """Train, and print what came of it.

    Raises:
        ValueError: for no such network, data or run, or a value that breaks a rule.
        Failed: where the loss was not finite.
        KeyboardInterrupt: where a signal asked for a stop; a checkpoint is written.
    """
    check_run_options(config)
    config = fetched(config)
    family = family_training.resumed(config) if config.resume is not None else config
    if family.family is not None:
        if config.mirror is not None:
            raise ValueError("--mirror is for one network, not for a family's")
        return family_training.run(family)
    job, folder = resumed_job(config) if config.resume is not None else new_job(config)
    if job.space is not None:
        raise RunError(f"{folder}: is a supernet: nas supernet train --resume goes on with it")
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
