"""Published networks as tables, one row a stage, each with its source.

Widths, layers and strides are those of the released code where paper and code differ. Image sizes are sides in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from search_space.files import unknown_name
from search_space.ops import round_width
from search_space.spec import ArchSpec, HeadSpec, StageSpec, StemSpec
from search_space.unrounded import Unrounded

__all__ = ["ARCHITECTURES", "Published", "architecture", "published"]

Stages = tuple[StageSpec, ...]

_fused = partial(StageSpec, op="fused_mbconv")
_mbconv = partial(StageSpec, op="mbconv", se_ratio=0.25)
_plain_mbconv = partial(StageSpec, op="mbconv")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published network, with the image sizes it was trained and is evaluated at by its authors, and its widths and
    depths before rounding where they are known."""

    name: str
    arch: ArchSpec
    train_size: int
    eval_size: int
    source: str
    unrounded: Unrounded | None = None


# EfficientNetV2: arXiv 2104.00298, Table 4 (S; version 3: the last stage has 256 channels), and the released code.
EFFICIENTNETV2_S: Stages = (
    _fused(kernel=3, expansion=1, width=24, depth=2, stride=1),
    _fused(kernel=3, expansion=4, width=48, depth=4, stride=2),
    _fused(kernel=3, expansion=4, width=64, depth=4, stride=2),
    _mbconv(kernel=3, expansion=4, width=128, depth=6, stride=2),
    _mbconv(kernel=3, expansion=6, width=160, depth=9, stride=1),
    _mbconv(kernel=3, expansion=6, width=256, depth=15, stride=2),
)
EFFICIENTNETV2_M: Stages = (
    _fused(kernel=3, expansion=1, width=24, depth=3, stride=1),
    _fused(kernel=3, expansion=4, width=48, depth=5, stride=2),
    _fused(kernel=3, expansion=4, width=80, depth=5, stride=2),
    _mbconv(kernel=3, expansion=4, width=160, depth=7, stride=2),
    _mbconv(kernel=3, expansion=6, width=176, depth=14, stride=1),
    _mbconv(kernel=3, expansion=6, width=304, depth=18, stride=2),
    _mbconv(kernel=3, expansion=6, width=512, depth=5, stride=1),
)
EFFICIENTNETV2_L: Stages = (
    _fused(kernel=3, expansion=1, width=32, depth=4, stride=1),
    _fused(kernel=3, expansion=4, width=64, depth=7, stride=2),
    _fused(kernel=3, expansion=4, width=96, depth=7, stride=2),
    _mbconv(kernel=3, expansion=4, width=192, depth=10, stride=2),
    _mbconv(kernel=3, expansion=6, width=224, depth=19, stride=1),
    _mbconv(kernel=3, expansion=6, width=384, depth=25, stride=2),
    _mbconv(kernel=3, expansion=6, width=640, depth=7, stride=1),
)
EFFICIENTNETV2_XL: Stages = (
    _fused(kernel=3, expansion=1, width=32, depth=4, stride=1),
    _fused(kernel=3, expansion=4, width=64, depth=8, stride=2),
    _fused(kernel=3, expansion=4, width=96, depth=8, stride=2),
    _mbconv(kernel=3, expansion=4, width=192, depth=16, stride=2),
    _mbconv(kernel=3, expansion=6, width=256, depth=24, stride=1),
    _mbconv(kernel=3, expansion=6, width=512, depth=32, stride=2),
    _mbconv(kernel=3, expansion=6, width=640, depth=8, stride=1),
)
EFFICIENTNETV2_BASE: Stages = (
    _fused(kernel=3, expansion=1, width=16, depth=1, stride=1),
    _fused(kernel=3, expansion=4, width=32, depth=2, stride=2),
    _fused(kernel=3, expansion=4, width=48, depth=2, stride=2),
    _mbconv(kernel=3, expansion=4, width=96, depth=3, stride=2),
    _mbconv(kernel=3, expansion=6, width=112, depth=5, stride=1),
    _mbconv(kernel=3, expansion=6, width=192, depth=8, stride=2),
)

# EfficientNet: arXiv 1905.11946, Table 1 (B0).
EFFICIENTNET_BASE: Stages = (
    _mbconv(kernel=3, expansion=1, width=16, depth=1, stride=1),
    _mbconv(kernel=3, expansion=6, width=24, depth=2, stride=2),
    _mbconv(kernel=5, expansion=6, width=40, depth=2, stride=2),
    _mbconv(kernel=3, expansion=6, width=80, depth=3, stride=2),
    _mbconv(kernel=5, expansion=6, width=112, depth=3, stride=1),
    _mbconv(kernel=5, expansion=6, width=192, depth=4, stride=2),
    _mbconv(kernel=3, expansion=6, width=320, depth=1, stride=1),
)

# MobileNetV2: arXiv 1801.04381, Table 2.
MOBILENET_V2: Stages = (
    _plain_mbconv(kernel=3, expansion=1, width=16, depth=1, stride=1),
    _plain_mbconv(kernel=3, expansion=6, width=24, depth=2, stride=2),
    _plain_mbconv(kernel=3, expansion=6, width=32, depth=3, stride=2),
    _plain_mbconv(kernel=3, expansion=6, width=64, depth=4, stride=2),
    _plain_mbconv(kernel=3, expansion=6, width=96, depth=3, stride=1),
    _plain_mbconv(kernel=3, expansion=6, width=160, depth=3, stride=2),
    _plain_mbconv(kernel=3, expansion=6, width=320, depth=1, stride=1),
)


def _network(stages: Sequence[StageSpec], *, stem: int, head: int = 1280) -> ArchSpec:
    return ArchSpec(stem=StemSpec(width=stem), stages=tuple(stages), head=HeadSpec(width=head))


def _scaled(base: Stages, *, width: float, depth: float, guard: bool) -> ArchSpec:
    """A base network with all widths (32 in the stem, 1280 in the head) and depths multiplied: compound scaling."""

    def scale(channels: int) -> int:
        return round_width(channels * width, guard=guard)

    stages = [replace(stage, width=scale(stage.width), depth=math.ceil(stage.depth * depth)) for stage in base]
    return _network(stages, stem=scale(32), head=scale(1280))


def _unrounded(base: Stages, *, width: float, depth: float) -> Unrounded:
    """Of `base` multiplied, to the tenth that rounding errors of the multiplication leave untouched."""
    return Unrounded(
        widths=tuple(round(stage.width * width, 1) for stage in base),
        depths=tuple(round(stage.depth * depth, 1) for stage in base),
    )


_v2 = partial(Published, source="EfficientNetV2 (arXiv 2104.00298)")
_v2_base = partial(_scaled, EFFICIENTNETV2_BASE, guard=False)
_v1 = partial(Published, source="EfficientNet (arXiv 1905.11946)")
_v1_base = partial(_scaled, EFFICIENTNET_BASE, guard=True)

_mobilenet_v2 = Published(
    name="mobilenet_v2",
    arch=replace(_network(MOBILENET_V2, stem=32), activation="relu6", norm_eps=1e-5),
    train_size=224,
    eval_size=224,
    source="MobileNetV2 (arXiv 1801.04381)",
)
_ROWS = (
    _v2(
        name="efficientnetv2_s",
        arch=_network(EFFICIENTNETV2_S, stem=24),
        train_size=300,
        eval_size=384,
        unrounded=_unrounded(EFFICIENTNETV2_BASE, width=1.4, depth=1.8),  # "about" these, says the released code
    ),
    _v2(name="efficientnetv2_m", arch=_network(EFFICIENTNETV2_M, stem=24), train_size=384, eval_size=480),
    _v2(name="efficientnetv2_l", arch=_network(EFFICIENTNETV2_L, stem=32), train_size=384, eval_size=480),
    _v2(name="efficientnetv2_xl", arch=_network(EFFICIENTNETV2_XL, stem=32), train_size=384, eval_size=512),
    _v2(name="efficientnetv2_b0", arch=_v2_base(width=1.0, depth=1.0), train_size=192, eval_size=224),
    _v2(name="efficientnetv2_b1", arch=_v2_base(width=1.0, depth=1.1), train_size=192, eval_size=240),
    _v2(name="efficientnetv2_b2", arch=_v2_base(width=1.1, depth=1.2), train_size=208, eval_size=260),
    _v2(name="efficientnetv2_b3", arch=_v2_base(width=1.2, depth=1.4), train_size=240, eval_size=300),
    _v1(name="efficientnet_b0", arch=_v1_base(width=1.0, depth=1.0), train_size=224, eval_size=224),
    _v1(name="efficientnet_b1", arch=_v1_base(width=1.0, depth=1.1), train_size=240, eval_size=240),
    _v1(name="efficientnet_b2", arch=_v1_base(width=1.1, depth=1.2), train_size=260, eval_size=260),
    _v1(name="efficientnet_b3", arch=_v1_base(width=1.2, depth=1.4), train_size=300, eval_size=300),
    _v1(name="efficientnet_b4", arch=_v1_base(width=1.4, depth=1.8), train_size=380, eval_size=380),
    _v1(name="efficientnet_b5", arch=_v1_base(width=1.6, depth=2.2), train_size=456, eval_size=456),
    _v1(name="efficientnet_b6", arch=_v1_base(width=1.8, depth=2.6), train_size=528, eval_size=528),
    _v1(name="efficientnet_b7", arch=_v1_base(width=2.0, depth=3.1), train_size=600, eval_size=600),
    _mobilenet_v2,
)
_PUBLISHED = {row.name: row for row in _ROWS}

ARCHITECTURES: tuple[str, ...] = tuple(_PUBLISHED)
"""The names of the published networks."""


def published(name: str) -> Published:
    """A published network with its image sizes.

    Raises:
        ValueError: for an unknown name; the nearest known one is suggested.
    """
    if name not in _PUBLISHED:
        raise unknown_name("architecture", name, ARCHITECTURES)
    return _PUBLISHED[name]


def architecture(name: str) -> ArchSpec:
    """A published network, with 1000 classes. Raises as `published`."""
    return published(name).arch
