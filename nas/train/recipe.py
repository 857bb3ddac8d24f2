"""How a network is trained, as one frozen value. No torch here: a command reads its defaults from it."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

__all__ = ["OptimizerName", "Recipe"]

OptimizerName = Literal["sgd", "adamw", "rmsprop"]
"""`rmsprop` is TensorFlow's, as in the paper."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimizer, schedule and regularisation of one training run.

    The learning rate follows one cycle: up from `peak_lr` / 25 over the first `warmup` share of the steps, then down
    a cosine to nearly 0 (Smith and Topin, arXiv 1708.07120). `weight_decay` spares norms and biases.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    optimizer: OptimizerName = "sgd"
    peak_lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2
    label_smoothing: float = 0.0
    augment: bool = False
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(OptimizerName):
            choices = ", ".join(get_args(OptimizerName))
            raise ValueError(f"Recipe.optimizer must be one of {choices}, got {self.optimizer!r}")
        if not (math.isfinite(self.peak_lr) and self.peak_lr > 0):
            raise ValueError(f"Recipe.peak_lr must be above 0, got {self.peak_lr}")
        for name in ("momentum", "warmup", "label_smoothing", "dropout", "drop_path"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"Recipe.{name} must be at least 0 and below 1, got {value}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"Recipe.weight_decay must be at least 0, got {self.weight_decay}")
