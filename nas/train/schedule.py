"""Progressive learning: image size and regularisation that grow from phase to phase.

Algorithm 1 of EfficientNetV2 (arXiv 2104.00298): of M phases, phase i has S_0 + (S_e - S_0) x i / (M - 1) as its image
size, and every other setting likewise; each takes a share 1/M of the steps. No torch here.
"""

from dataclasses import dataclass, replace
from typing import Literal

from scaling import ProgressiveRecipe, Ramp, SizeRamp

__all__ = ["Growth", "Phase", "fixed", "phases"]

Growth = Literal["progressive", "fixed"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training in which no setting changes.

    Args:
        index: 0, 1, ...
        image_size: side in pixels.
        randaugment: magnitude, where 10 is the strength of its authors' 10.
        mixup, cutmix: alpha of the beta distribution; 0 is none.
        dropout: probability before the classifier.
        steps: optimizer steps in it.
    """

    index: int
    image_size: int
    randaugment: float
    mixup: float
    cutmix: float
    dropout: float
    steps: int


def phases(recipe: ProgressiveRecipe, total_steps: int) -> tuple[Phase, ...]:
    """The recipe's phases, `total_steps` // M steps each and the remainder in the last. One phase has the last values.

    Raises:
        ValueError: for fewer steps than phases.
    """
    count = recipe.phases
    if total_steps < count:
        raise ValueError(f"total_steps must be at least 1 for each of {count} phases, got {total_steps}")
    each = total_steps // count
    return tuple(
        Phase(
            index=index,
            image_size=_size(recipe.train_size, index, count),
            randaugment=_value(recipe.randaugment, index, count),
            mixup=_value(recipe.mixup, index, count),
            cutmix=_value(recipe.cutmix, index, count),
            dropout=_value(recipe.dropout, index, count),
            steps=each if index < count - 1 else total_steps - each * (count - 1),
        )
        for index in range(count)
    )


def fixed(recipe: ProgressiveRecipe, total_steps: int) -> tuple[Phase, ...]:
    """One phase with the recipe's last values: what progressive learning is compared with."""
    if total_steps < 1:
        raise ValueError(f"total_steps must be at least 1, got {total_steps}")
    return phases(replace(recipe, phases=1), total_steps)


def _value(ramp: Ramp, index: int, count: int) -> float:
    return ramp.last if index == count - 1 else ramp.first + (ramp.last - ramp.first) * index / (count - 1)


def _size(ramp: SizeRamp, index: int, count: int) -> int:
    """Whole pixels stay as the ramp has them (the released code's S trains at 171); a broken number goes to the nearest
    even one."""
    if index == count - 1:
        return ramp.last
    whole, rest = divmod((ramp.last - ramp.first) * index, count - 1)
    return ramp.first + whole if rest == 0 else 2 * round((ramp.first + whole + rest / (count - 1)) / 2)
