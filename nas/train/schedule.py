"""Progressive learning: image size and regularisation that grow from phase to phase.

Algorithm 1 of EfficientNetV2 (arXiv 2104.00298): of M phases, phase i has S_0 + (S_e - S_0) x i / (M - 1) as its image
size, and every other setting likewise; each takes a share 1/M of the images. No torch here.
"""

from dataclasses import dataclass, replace
from typing import Literal

from scaling import ProgressiveRecipe, Ramp, SizeRamp

__all__ = ["Growth", "Phase", "evaluations_after", "fixed", "phases"]

Growth = Literal["progressive", "fixed"]
"""Whether image size and regularisation grow from phase to phase, or have their last values from the first step on."""

MAX_BATCH_GROWTH = 4


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training in which no setting changes.

    Args:
        index: 0, 1, ...
        image_size: side in pixels.
        randaugment: magnitude, where 10 is the strength of its authors' 10.
        mixup, cutmix: alpha of the beta distribution; 0 is none.
        dropout: probability before the classifier.
        batch_size: images in a step.
        steps: optimizer steps in it.
        first_step, first_image: steps done and images seen before it.
    """

    index: int
    image_size: int
    randaugment: float
    mixup: float
    cutmix: float
    dropout: float
    batch_size: int
    steps: int
    first_step: int = 0
    first_image: int = 0

    @property
    def end(self) -> int:
        """Steps done after it."""
        return self.first_step + self.steps

    def images_seen(self, step: int) -> int:
        """Of the whole training, after `step` steps of it."""
        return self.first_image + (step - self.first_step) * self.batch_size


def phases(recipe: ProgressiveRecipe, total_steps: int, *, grow_batch: bool = False) -> tuple[Phase, ...]:
    """The recipe's phases, `total_steps` // M steps each and the remainder in the last. One phase has the last values.

    With `grow_batch` a phase has the recipe's batch size times a whole number, at most 4, with which a step has no more
    pixels than one of the last phase, and fewer steps for as many images.

    Raises:
        ValueError: for fewer steps than phases.
    """
    count = recipe.phases
    if total_steps < count:
        raise ValueError(f"total_steps must be at least 1 for each of {count} phases, got {total_steps}")
    each = total_steps // count
    found: list[Phase] = []
    for index in range(count):
        image_size = _size(recipe.train_size, index, count)
        times = min(MAX_BATCH_GROWTH, recipe.train_size.last**2 // image_size**2) if grow_batch else 1
        steps = each if index < count - 1 else total_steps - each * (count - 1)
        phase = Phase(
            index=index,
            image_size=image_size,
            randaugment=_value(recipe.randaugment, index, count),
            mixup=_value(recipe.mixup, index, count),
            cutmix=_value(recipe.cutmix, index, count),
            dropout=_value(recipe.dropout, index, count),
            batch_size=recipe.batch_size * times,
            steps=max(1, round(steps / times)),
            first_step=found[-1].end if found else 0,
            first_image=found[-1].images_seen(found[-1].end) if found else 0,
        )
        found.append(phase)
    return tuple(found)


def fixed(recipe: ProgressiveRecipe, total_steps: int) -> tuple[Phase, ...]:
    """One phase with the recipe's last values: what progressive learning is compared with."""
    if total_steps < 1:
        raise ValueError(f"total_steps must be at least 1, got {total_steps}")
    return phases(replace(recipe, phases=1), total_steps)


def evaluations_after(seen: int, *, total: int, epoch: int) -> int:
    """How many evaluations a training of `total` images has done after `seen` of them: one at the end of each epoch
    (of `epoch` images) that has half an epoch or more behind it, one at the training's."""
    ends = min(seen // epoch, (2 * total - epoch) // (2 * epoch))
    return max(0, ends) + (seen >= total)


def _value(ramp: Ramp, index: int, count: int) -> float:
    return ramp.last if index == count - 1 else ramp.first + (ramp.last - ramp.first) * index / (count - 1)


def _size(ramp: SizeRamp, index: int, count: int) -> int:
    """Whole pixels stay as the ramp has them (the released code's S trains at 171); a broken number goes to the nearest
    even one."""
    if index == count - 1:
        return ramp.last
    whole, rest = divmod((ramp.last - ramp.first) * index, count - 1)
    return ramp.first + whole if rest == 0 else 2 * round((ramp.first + whole + rest / (count - 1)) / 2)
