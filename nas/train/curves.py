"""How a training went, as its folder tells: evaluations against epochs or minutes, and its phases. No torch here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.train.job import TrainJob, TrainResult, read_job, read_result
from nas.train.report import MAX_METRICS_BYTES, METRICS, Metrics
from nas.train.schedule import Phase
from results import RunError
from results.durable import read_bounded
from search_space import parse_json
from search_space.files import load_json

__all__ = ["Axis", "Curves"]

Axis = Literal["epochs", "minutes"]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A training, ended or not.

    Args:
        name: its folder's.
        evaluations: at least one, in order.
        result: None where it has not ended.
    """

    name: str
    job: TrainJob
    evaluations: tuple[Metrics, ...]
    result: TrainResult | None

    @classmethod
    def of(cls, folder: Path) -> "Curves":
        """Read them.

        Raises:
            RunError: where `folder` holds no training, no evaluation yet, or a damaged line.
        """
        job = read_job(folder)
        path = folder / METRICS
        lines = read_bounded(path, MAX_METRICS_BYTES).splitlines(keepends=True) if path.exists() else []
        # The last line may be half written.
        whole = [line for line in lines if line.endswith(b"\n")]
        found: list[Metrics] = []
        for number, line in enumerate(whole, start=1):
            try:
                found.append(_metrics(load_json(line), found))
            except ValueError as error:
                raise RunError(f"{path}: line {number}: {error}") from None
        if not found:
            raise RunError(f"{folder}: has no evaluation on record yet")
        name = folder.absolute().name
        return cls(name=name, job=job, evaluations=tuple(found), result=read_result(folder))

    def along(self, axis: Axis) -> NDArray[np.float64]:
        """Where each evaluation stands on the axis."""
        minutes = axis == "minutes"
        return np.array([each.seconds / 60 if minutes else each.epoch for each in self.evaluations])

    def values(self, name: str) -> NDArray[np.float64]:
        """A field of each evaluation."""
        return np.array([getattr(each, name) for each in self.evaluations], dtype=np.float64)

    def has_loss(self) -> NDArray[np.bool_]:
        """Of which evaluations the loss is a mean worth showing: in older trainings the last is but a step after the
        one before."""
        since = np.diff(self.values("epoch"), prepend=0)
        return since >= 0.5 * np.median(since)

    def phases(self, axis: Axis) -> list[tuple[float, float, Phase]]:
        """(begin, end, phase) of each that has begun; between evaluations, time goes evenly."""
        last = self.evaluations[-1]
        images = last.step * self.job.recipe.batch_size if last.images is None else last.images
        num_images = round(images / last.epoch)
        steps = np.concatenate([[0], self.values("step")])
        places = np.concatenate([[0.0], self.along(axis)])
        found, begin = [], 0
        for phase in self.job.phases(self.job.total_steps(num_images)):
            end = min(begin + phase.steps, last.step)
            if end > begin:
                first, final = np.interp([begin, end], steps, places)
                found.append((float(first), float(final), phase))
            begin += phase.steps
        return found

    @property
    def best(self) -> Metrics:
        """The first evaluation at which the averaged weights were most accurate."""
        return max(self.evaluations, key=lambda each: each.ema_accuracy)

    def first_at(self, accuracy: float) -> Metrics | None:
        """The first evaluation at which the averaged weights were so accurate."""
        return next((each for each in self.evaluations if each.ema_accuracy >= accuracy), None)


def _metrics(record: Any, before: list[Metrics]) -> Metrics:
    """A line. Those from before epochs were on record stand one an epoch."""
    if isinstance(record, dict) and "epoch" not in record:
        record["epoch"] = record.get("step", 0) / before[0].step if before else 1.0
    found = parse_json(Metrics, json.dumps(record))
    last = before[-1].step if before else 0
    if found.step <= last or found.epoch <= 0:
        raise ValueError(f"step must be above {last} and epoch above 0, got {found.step} and {found.epoch:g}")
    return found
