"""What a final training has beside its recipe: optimizer, learning rate, averaging. No torch here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from nas.train.recipe import OptimizerName
from nas.train.schedule import Growth

__all__ = ["DEFAULTS", "FINE_TUNE_STEPS", "FullOptions", "RateSchedule", "learning_rate"]

RateSchedule = Literal["staircase", "cosine", "one-cycle"]
"""How the learning rate goes."""

PAPER_EPOCHS = 350
WARMUP_SHARE = 5 / PAPER_EPOCHS
STAIR_SHARE = 2.4 / PAPER_EPOCHS
STAIR_FACTOR = 0.97
ONE_CYCLE_WARMUP, ONE_CYCLE_START = 0.2, 1 / 25
MAX_LR = 1e30
"""Far above any that trains; for the largest batch it is still a float32."""

DEFAULTS: Mapping[OptimizerName, Mapping[str, Any]] = {
    "rmsprop": {"lr": 0.016, "rate": "staircase", "weight_decay": 1e-5},
    "sgd": {"lr": 0.4, "rate": "one-cycle", "weight_decay": 5e-4},
    "adamw": {"lr": 0.008, "rate": "cosine", "weight_decay": 0.05},
}
"""Each optimizer's own settings. RMSProp's are the paper's."""

FINE_TUNE_STEPS = 10_000
"""Steps of the paper's fine-tuning."""
FINE_TUNE_LR_SHARE = 1 / 32
_FINE_TUNE: Mapping[str, Any] = {
    "rate": "cosine",
    "weight_decay": 0.0,
    "ema_decay": 0.9996,
    "min_crop_area": 1.0,
    "cutout": 0.5,
}
"""Section 5.3 of the paper (with rmsprop a learning rate of 0.001 for 512 images, which is a 32nd of the usual one;
cosine, no weight decay, cutout). Where it is silent, the released code's Cifar10Ft: averaging, no crop, the size of the
square. That code keeps the learning rate as it is, and decays weights by 1e-5."""


@dataclass(frozen=True, kw_only=True)
class FullOptions:
    """How a final training steps.

    Args:
        optimizer: `rmsprop` is TensorFlow's (nas/train/rmsprop.py), `sgd` has Nesterov's momentum.
        lr: peak learning rate for 256 images a step; it grows in proportion to the batch.
        rate: how the learning rate goes; see `learning_rate`.
        momentum: of rmsprop and sgd.
        weight_decay: of weights of convolutions and linear layers alone; part of the gradient, but for adamw.
        label_smoothing: share of a target that is spread over all classes.
        ema_decay: of the averaged weights, less in the first steps: min(ema_decay, (1 + t) / (10 + t)).
        clip_norm: the gradient's norm is cut to this; None leaves it.
        min_crop_area: least share of an image that a random crop shows. The released code has 0.05, for ImageNet.
        randaugment_layers: ops on an image, one after the other.
        cutout: side of a square that is blotted out of each image, as a share of the image's; 0 is none.
        random_erasing: probability that a box of an image is blotted out.
        bn_momentum: the batch norms' share of the new batch in their running statistics: torch's convention, 1 less
            TensorFlow's. The paper has 0.01, its released code 0.1.
        growth: `fixed` trains with the recipe's last values from the first step on.
        sync_bn: batch norms of several workers take their statistics over the whole batch, not each over its part.
        grow_batch: batches of small images are larger, up to four times, so that no step has more pixels than those of
            the last phase; as many images are seen in fewer steps, at a learning rate in proportion.
        accumulate: parts that a batch is computed in, one after the other: less memory, the same gradient, but for
            batch norm, whose statistics are a part's.
        compile: by torch.compile, anew for each phase. On a CPU it needs a C++ compiler.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    optimizer: OptimizerName = "rmsprop"
    lr: float = DEFAULTS["rmsprop"]["lr"]
    rate: RateSchedule = DEFAULTS["rmsprop"]["rate"]
    momentum: float = 0.9
    weight_decay: float = DEFAULTS["rmsprop"]["weight_decay"]
    label_smoothing: float = 0.1
    ema_decay: float = 0.9999
    clip_norm: float | None = None
    min_crop_area: float = 0.25
    randaugment_layers: int = 2
    cutout: float = 0.0
    random_erasing: float = 0.0
    bn_momentum: float = 0.1
    growth: Growth = "progressive"
    grow_batch: bool = False
    sync_bn: bool = False
    accumulate: int = 1
    compile: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OptimizerName), ("rate", RateSchedule), ("growth", Growth)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ValueError(f"FullOptions.{name} must be one of {', '.join(get_args(choices))}, got {value!r}")
        if not 0 < self.lr <= MAX_LR:
            raise ValueError(f"FullOptions.lr must be above 0 and at most {MAX_LR:g}, got {self.lr}")
        if self.clip_norm is not None and not (math.isfinite(self.clip_norm) and self.clip_norm > 0):
            raise ValueError(f"FullOptions.clip_norm must be above 0, got {self.clip_norm}")
        for name in ("momentum", "weight_decay", "label_smoothing", "ema_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"FullOptions.{name} must be at least 0 and below 1, got {value}")
        for name in ("cutout", "random_erasing"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"FullOptions.{name} must be from 0 to 1, got {value}")
        for name in ("min_crop_area", "bn_momentum"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"FullOptions.{name} must be above 0 and at most 1, got {value}")
        if not 0 <= self.randaugment_layers <= 16:
            raise ValueError(f"FullOptions.randaugment_layers must be from 0 to 16, got {self.randaugment_layers}")
        if self.accumulate < 1:
            raise ValueError(f"FullOptions.accumulate must be at least 1, got {self.accumulate}")
        if self.grow_batch and self.growth == "fixed":
            raise ValueError("FullOptions.grow_batch must be False where growth is fixed: no image is small")

    @classmethod
    def of(cls, optimizer: OptimizerName, **changes: Any) -> Self:
        """The options that `optimizer` has by default, and what of them is given otherwise."""
        return cls(optimizer=optimizer, **{**DEFAULTS.get(optimizer, {}), **changes})

    @classmethod
    def fine_tuning(cls, optimizer: OptimizerName, **changes: Any) -> Self:
        """The paper's for transfer, the learning rate a 32nd of the optimizer's own, and what of it is given
        otherwise."""
        lr = DEFAULTS[optimizer]["lr"] * FINE_TUNE_LR_SHARE
        return cls.of(optimizer, **{"lr": lr, **_FINE_TUNE, **changes})


def learning_rate(options: FullOptions, step: float, *, total_steps: int, batch_size: int) -> float:
    """The learning rate of step `step` (from 0) of `total_steps`. Where batches grow, both count batches of one size.

    `staircase` is the paper's for 350 epochs, stretched or shrunk with the training: up a line over the first 5, and
    x0.97 every 2.4, counted from the start. `cosine` has the same way up and then goes down to 0. `one-cycle` rises
    along a cosine from 1/25 over the first fifth of the steps, then falls along one to 0.
    """
    peak = options.lr * batch_size / 256
    if options.rate == "one-cycle":
        warmup = ONE_CYCLE_WARMUP * total_steps
        if step < warmup:
            return peak * (1 - (1 - ONE_CYCLE_START) * _cosine(step / warmup))
        return peak * _cosine((step - warmup) / (total_steps - warmup))
    warmup = WARMUP_SHARE * total_steps
    if step + 1 < warmup:
        return peak * (step + 1) / warmup
    if options.rate == "cosine":
        return peak * _cosine((step - warmup) / (total_steps - warmup)) if step > warmup else peak
    return peak * STAIR_FACTOR ** int(step / (STAIR_SHARE * total_steps))


def _cosine(share: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * share))
