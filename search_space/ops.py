"""The table of ops: what a layer of each costs, without torch.

Every cost is exact. A MAC is one multiply-add, counted once (what papers on efficient networks print as "FLOPs");
convolutions and linear layers count, normalisation, activation and pooling do not. Parameters are the trainable ones:
a batch norm over C channels has 2C.

Adding an op is one row of `OPS` here and one row of `BLOCKS` in blocks.py; tests/search_space/test_ops.py then checks
its shape, parameters and MACs against torch and fvcore without being told of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

__all__ = ["OPS", "Cost", "Op", "block_cost", "conv_cost", "output_size", "round_width", "squeeze_width"]


class Cost(NamedTuple):
    """Trainable parameters and the MACs of one image's forward pass."""

    params: int
    macs: int

    def __add__(self, other: object) -> "Cost":
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(self.params + other.params, self.macs + other.macs)


def round_width(width: float, *, divisor: int = 8, guard: bool = False) -> int:
    """Nearest multiple of `divisor`, halves up, at least `divisor`.

    With `guard` the result is raised by one step where rounding took away more than 10 %: the rule of EfficientNet
    (V1) and of MobileNetV2. EfficientNetV2's released code rounds without it.
    """
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    if guard and rounded < 0.9 * width:
        rounded += divisor
    return rounded


def output_size(size: int, stride: int) -> int:
    """Side in pixels after a layer of odd kernel, for symmetric and for SAME padding alike."""
    return -(-size // stride)


def squeeze_width(in_channels: int, se_ratio: float) -> int:
    """Channels between the two 1x1 convolutions of squeeze-and-excitation: a share of the *block's input*."""
    return max(1, int(in_channels * se_ratio))


def conv_cost(in_channels: int, out_channels: int, kernel: int, size: int, *, groups: int = 1) -> Cost:
    """A convolution without bias and its batch norm; `size` is the side of its *output* in pixels."""
    weights = kernel * kernel * in_channels * out_channels // groups
    return Cost(weights + 2 * out_channels, weights * size * size)


def _squeeze_excite_cost(channels: int, in_channels: int, se_ratio: float) -> Cost:
    if se_ratio == 0:
        return Cost(0, 0)
    squeezed = squeeze_width(in_channels, se_ratio)
    weights = 2 * channels * squeezed
    return Cost(weights + channels + squeezed, weights)


def _mbconv_cost(
    in_channels: int, width: int, kernel: int, expansion: int, stride: int, se_ratio: float, size: int
) -> Cost:
    hidden = in_channels * expansion
    out_size = output_size(size, stride)
    expand = conv_cost(in_channels, hidden, 1, size) if expansion > 1 else Cost(0, 0)
    depthwise = conv_cost(hidden, hidden, kernel, out_size, groups=hidden)
    project = conv_cost(hidden, width, 1, out_size)
    return expand + depthwise + _squeeze_excite_cost(hidden, in_channels, se_ratio) + project


def _fused_mbconv_cost(
    in_channels: int, width: int, kernel: int, expansion: int, stride: int, se_ratio: float, size: int
) -> Cost:
    hidden = in_channels * expansion
    out_size = output_size(size, stride)
    squeeze_excite = _squeeze_excite_cost(hidden, in_channels, se_ratio)
    if expansion == 1:
        return squeeze_excite + conv_cost(in_channels, width, kernel, out_size)
    return conv_cost(in_channels, hidden, kernel, out_size) + squeeze_excite + conv_cost(hidden, width, 1, out_size)


def _conv_cost(
    in_channels: int, width: int, kernel: int, expansion: int, stride: int, se_ratio: float, size: int
) -> Cost:
    return conv_cost(in_channels, width, kernel, output_size(size, stride))


def _identity_cost(
    in_channels: int, width: int, kernel: int, expansion: int, stride: int, se_ratio: float, size: int
) -> Cost:
    if stride == 1 and in_channels == width:
        return Cost(0, 0)
    return conv_cost(in_channels, width, 1, output_size(size, stride))


@dataclass(frozen=True, kw_only=True)
class Op:
    """One row of the table.

    `settings` are the fields of a block that mean something to the op; the others must stand at their neutral value
    (kernel 1, expansion 1, SE ratio 0), so that one network has one description.
    """

    letter: str
    settings: frozenset[str]
    cost: Callable[[int, int, int, int, int, float, int], Cost]


OPS: dict[str, Op] = {
    "mbconv": Op(letter="M", settings=frozenset({"kernel", "expansion", "se_ratio"}), cost=_mbconv_cost),
    "fused_mbconv": Op(letter="F", settings=frozenset({"kernel", "expansion", "se_ratio"}), cost=_fused_mbconv_cost),
    "conv": Op(letter="C", settings=frozenset({"kernel"}), cost=_conv_cost),
    "identity": Op(letter="I", settings=frozenset(), cost=_identity_cost),
}
"""Ops by name. `mbconv`: inverted residual with a depthwise convolution (MobileNetV2, EfficientNet); `fused_mbconv`:
its first two convolutions fused into one dense one (EfficientNetV2, Figure 2; with expansion 1 a single kxk
convolution); `conv`: convolution, norm, activation, no residual; `identity`: nothing, or a 1x1 convolution with norm
where the shape changes (NAS-Bench-Macro)."""


@lru_cache(maxsize=1 << 17)
def block_cost(
    op: str, in_channels: int, width: int, kernel: int, expansion: int, stride: int, se_ratio: float, size: int
) -> Cost:
    """Cost of one layer of `op` whose input is `size` x `size` pixels."""
    return OPS[op].cost(in_channels, width, kernel, expansion, stride, se_ratio, size)
