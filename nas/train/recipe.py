"""How a network is trained, as one frozen value. No torch here: a command reads its defaults from it."""

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

__all__ = ["OptimizerName", "Recipe", "TrainLength"]

OptimizerName = Literal["sgd", "adamw", "rmsprop"]


@dataclass(frozen=True, kw_only=True)
class TrainLength:
    """A training's length, in steps or in epochs; never in seconds, which would count step time twice."""

    steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("TrainLength takes either steps or epochs")
        length = self.steps if self.steps is not None else self.epochs
        if length is None or not 0 < length < 1e9:
            raise ValueError(f"TrainLength must be above 0, got {length}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`450` is steps, `2ep` or `0.5ep` epochs."""
        if re.fullmatch(r"\d+", text):
            return cls(steps=int(text))
        match = re.fullmatch(r"(\d+(?:\.\d+)?)ep", text)
        if match is None:
            raise ValueError(f"a training's length must be steps (450) or epochs (2ep), got {text!r}")
        return cls(epochs=float(match[1]))

    def in_steps(self, num_images: int, batch_size: int) -> int:
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * num_images / batch_size))

    def __str__(self) -> str:
        return str(self.steps) if self.steps is not None else f"{self.epochs:g}ep"


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
