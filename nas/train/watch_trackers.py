"""MLflow and Weights & Biases, set up by Ray's integrations: the one module of this room that knows Ray."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from nas.train.job import TrainJob, TrainResult
from nas.train.report import Metrics
from nas.train.watch import result_scalars, scalars
from results.durable import read_bounded, write_atomically

__all__ = ["TRACKERS", "MLflow", "TrackerName", "WandB", "check_tracker"]

TrackerName = Literal["mlflow", "wandb"]
PROJECT = "trainaware-nas"
INSTALLED_BY = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
MAX_BYTES = 1000
# A server that does not answer holds a training up by seconds, not by MLflow's quarter of an hour; and nobody is told
# of a use that was not asked to be told of.
MLFLOW_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def check_tracker(name: TrackerName) -> None:
    """Raises ValueError where the tracker's package is not installed."""
    if find_spec(name) is None:
        raise ValueError(f"{name} must be installed to be logged to: pip install {INSTALLED_BY[name]}")


class MLflow:
    """A `Watcher`: a training is a run of the experiment that MLFLOW_EXPERIMENT_NAME names, where MLFLOW_TRACKING_URI
    says, and goes on as the same run."""

    def __init__(self, folder: Path, job: TrainJob) -> None:
        for name, value in MLFLOW_SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow
        from ray.air.integrations.mlflow import setup_mlflow

        known = _known_id(folder / "mlflow_run")
        if known is not None:
            # Ray's integration takes a run that is active; the parameters stand there already.
            mlflow.start_run(run_id=known)
        self._mlflow = setup_mlflow(
            None if known is not None else _told_of(job),
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
            run_name=folder.name,
            create_experiment_if_not_exists=True,
        )
        self._run_id = self._mlflow.active_run().info.run_id
        if known is None:
            write_atomically(folder / "mlflow_run", self._run_id)
        history = mlflow.MlflowClient().get_metric_history(self._run_id, "train/loss")
        self._last_step = max((metric.step for metric in history), default=0)

    def evaluated(self, metrics: Metrics) -> None:
        if metrics.step > self._last_step:
            self._log(scalars(metrics), metrics.step)

    def close(self, result: TrainResult | None) -> None:
        if result is not None:
            self._log(result_scalars(result), result.steps)
        self._mlflow.end_run("KILLED" if result is None else "FINISHED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step, run_id=self._run_id)


class WandB:
    """A `Watcher`: a training is a run of the project that WANDB_PROJECT names; with WANDB_MODE=offline it is kept in
    the training's folder until `wandb sync`. W&B itself leaves a step out that comes again."""

    def __init__(self, folder: Path, job: TrainJob) -> None:
        from ray.air.integrations.wandb import setup_wandb

        name = _known_id(folder / "wandb_run")
        if name is None:
            name = secrets.token_hex(8)
            write_atomically(folder / "wandb_run", name)
        self._run = setup_wandb(
            _told_of(job),
            trial_id=name,
            trial_name=folder.name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            resume="allow",
            reinit="finish_previous",
        )

    def evaluated(self, metrics: Metrics) -> None:
        self._run.log(scalars(metrics), step=metrics.step)

    def close(self, result: TrainResult | None) -> None:
        if result is not None:
            self._run.summary.update(result_scalars(result))
        self._run.finish(exit_code=1 if result is None else 0)


TRACKERS: Mapping[TrackerName, type[MLflow] | type[WandB]] = {"mlflow": MLflow, "wandb": WandB}


def _told_of(job: TrainJob) -> dict[str, Any]:
    """A training's settings as plain values, the network by its key."""
    record = json.loads(json.dumps(asdict(job), default=str))
    return {**record, "arch": {"key": job.arch.key, "params": job.arch.params}}


def _known_id(path: Path) -> str | None:
    return read_bounded(path, MAX_BYTES).decode() if path.exists() else None
