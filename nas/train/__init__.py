"""Training: the recipe, the one loop, accuracy."""

from typing import TYPE_CHECKING, Any

from nas.train.recipe import OptimizerName, Recipe, TrainLength

if TYPE_CHECKING:
    from nas.train.loop import TrainingStep, TrainOutcome, accuracy, make_optimizer, train

__all__ = [
    "OptimizerName",
    "Recipe",
    "TrainLength",
    "TrainOutcome",
    "TrainingStep",
    "accuracy",
    "make_optimizer",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from nas.train import loop

        return getattr(loop, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
