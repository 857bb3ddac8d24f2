"""The training recipe of a family's member: image size and regularisation that grow together.

`paper` is Table 6 of arXiv 2104.00298 (with its text: 350 epochs in batches of 4,096, four phases, survival 0.8);
`released` what the authors' code does: other image sizes to start from, less RandAugment, dropout that does not grow,
CutMix as strong as mixup.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from scaling.compound import MIN_LAST_SIZE, SIZE_STEP, Base, MemberShape, even_size, last_size
from search_space.catalog import architecture
from search_space.spec import check_integer

__all__ = [
    "PRESETS",
    "Preset",
    "ProgressiveRecipe",
    "Ramp",
    "SizeRamp",
    "fine_tuning_recipe",
    "plain_recipe",
    "recipe_of",
]

Preset = Literal["paper", "released"]
"""Whose numbers a recipe has: the paper's, or the released code's."""
PRESETS: tuple[str, ...] = get_args(Preset)
"""All of them."""

EPOCHS, PHASES, STOCHASTIC_DEPTH = 350, 4, 0.2
FINE_TUNING_BATCH_SIZE = 512


class Ramp(NamedTuple):
    """A setting's value in the first phase and in the last; it grows linearly between (Algorithm 1)."""

    first: float
    last: float


class SizeRamp(NamedTuple):
    """A `Ramp` of image sides in pixels."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class ProgressiveRecipe:
    """How a member is trained.

    Args:
        train_size: image side in pixels, first phase to last.
        eval_size: image side in pixels at evaluation.
        randaugment: magnitude of RandAugment, where 10 is the strength of its authors' 10.
        mixup: alpha of the beta distribution that mixup draws from; 0 is none. cutmix: of CutMix.
        dropout: probability before the classifier.
        stochastic_depth: probability that the last residual block is skipped, less for earlier ones in proportion.
        batch_size: images in a step.
        epochs: over all phases.
        phases: how often the settings change, plus one; each takes as many steps.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    train_size: SizeRamp
    eval_size: int
    randaugment: Ramp
    mixup: Ramp
    cutmix: Ramp
    dropout: Ramp
    stochastic_depth: float
    batch_size: int
    epochs: int
    phases: int

    def __post_init__(self) -> None:
        for name in ("train_size", "randaugment", "mixup", "cutmix", "dropout"):
            ramp = getattr(self, name)
            if not 0 <= ramp.first <= ramp.last:
                raise ValueError(f"ProgressiveRecipe.{name} must not fall, and not begin below 0, got {tuple(ramp)}")
        for size in self.train_size:
            check_integer("ProgressiveRecipe", "train_size", size, 8, 1 << 14)
        check_integer("ProgressiveRecipe", "eval_size", self.eval_size, 8, 1 << 14)
        for name in ("batch_size", "epochs", "phases"):
            check_integer("ProgressiveRecipe", name, getattr(self, name), 1, 1 << 20)
        for name, value in (("dropout", self.dropout.last), ("stochastic_depth", self.stochastic_depth)):
            if not 0 <= value < 1:
                raise ValueError(f"ProgressiveRecipe.{name} must be at least 0 and below 1, got {value}")


class _Row(NamedTuple):
    """One column of the tables: of the published member that has this phi, and its image sizes."""

    phi: float
    name: str
    train_size: SizeRamp
    eval_size: int
    randaugment: Ramp
    mixup: Ramp
    cutmix: Ramp
    dropout: Ramp


_TABLES: dict[str, tuple[_Row, ...]] = {
    # Table 6 of version 1 (mixup of L: 0.4 there; the released code has 0.5), evaluation sizes of section 3.3.
    "paper": (
        _Row(0.0, "efficientnetv2_s", SizeRamp(128, 300), 384, Ramp(5, 15), Ramp(0, 0.0), Ramp(0, 0), Ramp(0.1, 0.3)),
        _Row(1.0, "efficientnetv2_m", SizeRamp(128, 380), 480, Ramp(5, 20), Ramp(0, 0.2), Ramp(0, 0), Ramp(0.1, 0.4)),
        _Row(2.75, "efficientnetv2_l", SizeRamp(128, 380), 480, Ramp(5, 25), Ramp(0, 0.4), Ramp(0, 0), Ramp(0.1, 0.5)),
    ),
    # int(128 + (train size - 128) x (phase + 1) / 4) for each phase: 128 itself is never trained at.
    "released": (
        _Row(0.0, "efficientnetv2_s", SizeRamp(171, 300), 384, Ramp(5, 10), Ramp(0, 0.0), Ramp(0, 0.0), Ramp(0.2, 0.2)),
        _Row(1.0, "efficientnetv2_m", SizeRamp(192, 384), 480, Ramp(5, 15), Ramp(0, 0.2), Ramp(0, 0.2), Ramp(0.3, 0.3)),
        _Row(
            2.75, "efficientnetv2_l", SizeRamp(192, 384), 480, Ramp(5, 20), Ramp(0, 0.5), Ramp(0, 0.5), Ramp(0.4, 0.4)
        ),
    ),
}


@lru_cache(maxsize=len(PRESETS))
def _published(preset: str) -> dict[str, _Row]:
    return {architecture(row.name).key: row for row in _TABLES[preset]}


def recipe_of(member: MemberShape, base: Base, phi: float, preset: Preset = "paper") -> ProgressiveRecipe:
    """The recipe of the base's member at `phi`.

    A published network has the preset's row. For another, strengths follow the rows of S, M and L at their phi (0, 1,
    2.75), linearly between them and constant outside. Its largest train size is the member's; the smallest is the same
    share of it as in the rows, but leaves the last stage at least 2x2 pixels where the largest does.
    """
    row = _published(preset).get(member.arch.with_num_classes(1000).key)
    # A cap on the image size that was asked for holds for the published too.
    if row is not None and member.eval_size >= row.eval_size:
        shared = row._asdict()
        sizes = {name: shared[name] for name in ("train_size", "eval_size")}
    else:
        shared = _between(_TABLES[preset], phi)
        first = even_size(member.train_size * shared["train_size"].first / shared["train_size"].last)
        while last_size(member.arch, first) < MIN_LAST_SIZE and first < member.train_size:
            first += SIZE_STEP
        train_size = SizeRamp(min(first, member.train_size), member.train_size)
        sizes = {"train_size": train_size, "eval_size": member.eval_size}
    return ProgressiveRecipe(
        **sizes,
        **{name: shared[name] for name in ("randaugment", "mixup", "cutmix", "dropout")},
        stochastic_depth=STOCHASTIC_DEPTH,
        batch_size=base.batch_size,
        epochs=EPOCHS,
        phases=PHASES,
    )


def fine_tuning_recipe(recipe: ProgressiveRecipe, image_size: int | None = None) -> ProgressiveRecipe:
    """How a network that `recipe` trained is trained on other data: section 5.3 of the paper has batches of 512 and,
    with the released code's `Cifar10Ft`, less regularisation than from scratch: no RandAugment, mixup or dropout, one
    phase, at the evaluation size. `image_size` is another one, in pixels."""
    size = recipe.eval_size if image_size is None else image_size
    plain = plain_recipe(size, FINE_TUNING_BATCH_SIZE)
    return replace(plain, stochastic_depth=recipe.stochastic_depth, epochs=recipe.epochs)


def plain_recipe(image_size: int, batch_size: int) -> ProgressiveRecipe:
    """One phase at one image size, in pixels, without any regularisation; one epoch, where no length is given."""
    none = Ramp(0.0, 0.0)
    return ProgressiveRecipe(
        train_size=SizeRamp(image_size, image_size),
        eval_size=image_size,
        randaugment=none,
        mixup=none,
        cutmix=none,
        dropout=none,
        stochastic_depth=0.0,
        batch_size=batch_size,
        epochs=1,
        phases=1,
    )


def _between(rows: tuple[_Row, ...], phi: float) -> dict[str, Any]:
    phi = min(max(phi, rows[0].phi), rows[-1].phi)
    low, high = next(pair for pair in pairwise(rows) if phi <= pair[1].phi)
    share = (phi - low.phi) / (high.phi - low.phi)

    def mean(one: float, other: float) -> float:
        return round(one + share * (other - one), 2)

    return {
        name: Ramp(*map(mean, getattr(low, name), getattr(high, name)))
        for name in ("train_size", "randaugment", "mixup", "cutmix", "dropout")
    }
