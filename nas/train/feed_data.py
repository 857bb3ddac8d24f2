"""Where a final training's decoded images lie. No torch here: it is sent to workers."""

from typing import NamedTuple, Self

from nas.data import PreparedData, prepare
from nas.train.job import TrainJob

__all__ = ["FeedData"]


class FeedData(NamedTuple):
    """A job's images in the cache: those that are trained on, and those that are evaluated on."""

    train: PreparedData
    evaluated: PreparedData

    @classmethod
    def of(cls, job: TrainJob) -> Self:
        """Made ready, or found that they are."""
        return cls(
            prepare(job.data, splits=("train",), max_corrupt=job.max_corrupt),
            prepare(job.eval_data, splits=("holdout", "test"), max_corrupt=job.max_corrupt),
        )
