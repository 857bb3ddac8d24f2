"""Compound scaling with EfficientNetV2's three departures (arXiv 2104.00298, section 3.3).

For a base network with unrounded widths c_i and depths n_i, its member at phi has

    c_i(phi) = R(c_i x width^phi)
    n_i(phi) = ceil(n_i x depth^phi x k_i)     k_i = `later` in the last stage before the last downsampling, phi > 0
    eval size = min(cap, eval size of the base x resolution^phi)
    an extra last stage, phi > 0               5/3 as wide as the last, a quarter of its depth, stride 1

and the base's own classes, ops, kernels, expansions, strides, SE and head. The paper names the departures (a cap on the
image size, more layers in later stages, an extra stage) and no coefficients. Those here give the published M (phi = 1)
and L (phi = 2.75) of the published S, every width and depth; XL is on no such rule. A depth that is not known to have
been rounded up is multiplied and rounded to the nearest.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from scaling.rounding import Rounding
from search_space.ops import output_size
from search_space.spec import MAX_DEPTH, MAX_WIDTH, ArchSpec, StageSpec, check_integer
from search_space.unrounded import Unrounded

__all__ = ["SIZE_STEP", "Base", "Compound", "MemberShape", "even_size", "last_size"]

PHI_LIMIT = 20.0
SIZE_STEP = 2
EXTRA_WIDTH, EXTRA_DEPTH = 5 / 3, 1 / 4
MIN_LAST_SIZE = 2
_EPS = 1e-9


@dataclass(frozen=True, kw_only=True)
class Base:
    """The network that a family is scaled from: its phi is 0.

    Args:
        name: what it is called where it is shown.
        unrounded: widths and depths before rounding, one for each stage of `arch`.
        train_size: largest image side in pixels that it is trained at.
        eval_size: image side in pixels that it is evaluated at.
        batch_size: images in a training step of the recipe.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    name: str
    arch: ArchSpec
    unrounded: Unrounded
    train_size: int
    eval_size: int
    batch_size: int

    def __post_init__(self) -> None:
        check_integer("Base", "eval_size", self.eval_size, 8, 1 << 14)
        check_integer("Base", "train_size", self.train_size, 8, self.eval_size)
        check_integer("Base", "batch_size", self.batch_size, 1, 1 << 20)
        if not len(self.unrounded.widths) == len(self.unrounded.depths) == len(self.arch.stages):
            raise ValueError(
                f"Base.unrounded must have a width and a depth for each of {len(self.arch.stages)} stages, "
                f"got {len(self.unrounded.widths)} and {len(self.unrounded.depths)}"
            )


@dataclass(frozen=True, kw_only=True)
class MemberShape:
    """A network of a family and the image sides in pixels that it is trained (at most) and evaluated at."""

    arch: ArchSpec
    train_size: int
    eval_size: int


@dataclass(frozen=True, kw_only=True)
class Compound:
    """The coefficients; `width`, `depth` and `resolution` are for phi = 1, above 0 only what they grow by.

    Args:
        later: factor on the depth of the last stage before the last downsampling, for members larger than the base.
        extra_stage: whether these members get an extra last stage, where the base ends in the stage that downsamples
            last and its feature map there has at least 2x2 pixels.
        max_image_size: no member is evaluated at more, and so none trained at more. None: 480 for every 384 pixels of
            the base's own evaluation size, as in the paper.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    width: float = 1.14
    depth: float = 1.21
    resolution: float = 1.25
    later: float = 1.2
    extra_stage: bool = True
    max_image_size: int | None = None
    rounding: Rounding = field(default_factory=Rounding)

    def __post_init__(self) -> None:
        for name in ("width", "depth", "resolution", "later"):
            value = getattr(self, name)
            if not 1 <= value <= 4:
                raise ValueError(f"Compound.{name} must be from 1 to 4, got {value!r}")
        if self.max_image_size is not None:
            check_integer("Compound", "max_image_size", self.max_image_size, 8, 1 << 14)

    def member(self, base: Base, phi: float, depth_phi: float | None = None) -> MemberShape:
        """The base's member at `phi`; its depths alone at `depth_phi`, where that is given.

        Raises:
            ValueError: for a phi outside -20 to 20, or a member of which a stage would be wider or deeper than any
                network may be.
        """
        depth_phi = phi if depth_phi is None else depth_phi
        for value in (phi, depth_phi):
            if not -PHI_LIMIT <= value <= PHI_LIMIT:
                raise ValueError(f"phi must be from {-PHI_LIMIT:g} to {PHI_LIMIT:g}, got {value:g}")
        eval_size = self._eval_size(base, phi)
        train_size = min(eval_size, even_size(eval_size * base.train_size / base.eval_size))
        arch = base.arch
        if phi or depth_phi:
            stem = self._width(_stem_width(base), arch.stem.width, phi)
            arch = replace(
                arch,
                stem=replace(arch.stem, width=min(stem, MAX_WIDTH)),
                stages=tuple(self._stages(base, phi, depth_phi, train_size)),
            )
        return MemberShape(arch=arch, train_size=train_size, eval_size=eval_size)

    def _eval_size(self, base: Base, phi: float) -> int:
        cap = base.eval_size * 480 / 384 if self.max_image_size is None else self.max_image_size
        # The base, too, keeps to a cap that was asked for.
        return min(even_size(base.eval_size * self.resolution**phi), int(cap))

    def _width(self, unrounded: float, of_base: int, phi: float) -> int:
        growth = self.width**phi
        # A base's own width may be off the grid: it stays where nothing grows.
        return of_base if growth == 1 else _clamp(self.rounding(unrounded * growth), of_base, phi)

    def _stages(self, base: Base, phi: float, depth_phi: float, train_size: int) -> Iterator[StageSpec]:
        stages, unrounded = base.arch.stages, base.unrounded
        later = _later_stage(base.arch)
        for place, stage in enumerate(stages):
            width = self._width(unrounded.widths[place], stage.width, phi)
            factor = self.depth**depth_phi * (self.later if place == later and depth_phi > 0 else 1.0)
            depth = _clamp(_depth(unrounded.depths[place], stage.depth, factor), stage.depth, depth_phi)
            if width > MAX_WIDTH or depth > MAX_DEPTH:
                raise ValueError(
                    f"phi {max(phi, depth_phi):g} makes stage {place + 1} {width} wide and {depth} deep: at most "
                    f"{MAX_WIDTH} and {MAX_DEPTH} can be built"
                )
            yield replace(stage, width=width, depth=depth)
        last = stages[-1]
        grows = phi > 0 or depth_phi > 0
        if self.extra_stage and grows and last.stride > 1 and last_size(base.arch, train_size) >= MIN_LAST_SIZE:
            width = self.rounding(unrounded.widths[-1] * EXTRA_WIDTH * self.width**phi)
            known = unrounded.depths[-1]
            depth = _depth(
                None if known is None else known * EXTRA_DEPTH, last.depth * EXTRA_DEPTH, self.depth**depth_phi
            )
            yield replace(last, width=min(width, MAX_WIDTH), depth=min(depth, MAX_DEPTH), stride=1)


def last_size(arch: ArchSpec, image_size: int) -> int:
    """Side in pixels of what the last stage leaves of an image."""
    size = output_size(image_size, arch.stem.stride)
    for stage in arch.stages:
        size = output_size(size, stage.stride)
    return size


def _later_stage(arch: ArchSpec) -> int | None:
    """The place of the last stage before the last that downsamples: stage 5 of EfficientNet and EfficientNetV2. None
    where that would be the first, or nothing downsamples."""
    strided = [place for place, stage in enumerate(arch.stages) if stage.stride > 1]
    return strided[-1] - 1 if strided and strided[-1] > 1 else None


def _stem_width(base: Base) -> float:
    """A stem as wide as the first stage was rounded from the same number (24 channels of S: 22.4)."""
    stem = base.arch.stem.width
    return base.unrounded.widths[0] if stem == base.arch.stages[0].width else float(stem)


def _depth(unrounded: float | None, depth: float, factor: float) -> int:
    if unrounded is None:
        return max(1, math.floor(depth * factor + 0.5 + _EPS))
    return max(1, math.ceil(unrounded * factor - _EPS))


def _clamp(value: int, of_base: int, phi: float) -> int:
    """No larger member has less than the base, no smaller one more, however the base's own numbers were rounded."""
    return max(value, of_base) if phi > 0 else min(value, of_base) if phi < 0 else of_base


def even_size(size: float) -> int:
    """The nearest even number of pixels, at least 8."""
    return max(8, int(size / SIZE_STEP + 0.5) * SIZE_STEP)
