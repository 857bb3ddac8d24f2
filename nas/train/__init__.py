"""Training: recipes, phases, the short loop of a search, the full one of a final model, accuracy."""

from typing import TYPE_CHECKING, Any

from nas.train.job import TrainJob, TrainResult, read_job
from nas.train.length import TrainLength
from nas.train.options import FINE_TUNE_STEPS, FullOptions, RateSchedule, learning_rate
from nas.train.recipe import OptimizerName, Recipe
from nas.train.schedule import Growth, Phase, fixed, phases

if TYPE_CHECKING:
    from nas.train.full import TrainingDiverged, TrainingInterrupted, train_full
    from nas.train.loop import TrainingStep, TrainOutcome, accuracy, make_optimizer, train

__all__ = [
    "FINE_TUNE_STEPS",
    "FullOptions",
    "Growth",
    "OptimizerName",
    "Phase",
    "RateSchedule",
    "Recipe",
    "TrainJob",
    "TrainLength",
    "TrainOutcome",
    "TrainResult",
    "TrainingDiverged",
    "TrainingInterrupted",
    "TrainingStep",
    "accuracy",
    "fixed",
    "learning_rate",
    "make_optimizer",
    "phases",
    "read_job",
    "train",
    "train_full",
]

_WITH_TORCH = {
    "TrainOutcome": "loop",
    "TrainingDiverged": "full",
    "TrainingInterrupted": "full",
    "TrainingStep": "loop",
    "accuracy": "loop",
    "make_optimizer": "loop",
    "train": "loop",
    "train_full": "full",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
