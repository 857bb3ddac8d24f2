"""Step times of networks of which a block table does not hold every part. No torch here.

A part that is not in the table is taken to be as slow, for each of its multiply-adds, as the part of the same op,
kernel, stride and expansion in the table that is the most like it. This is to find which parts are worth timing, and
never to be shown.
"""

import math
from collections.abc import Iterable

from nas.measure.calibration import Calibration
from nas.measure.parts import HEAD, STEM, Part, network_parts
from search_space import ArchSpec, block_cost, conv_cost, output_size

__all__ = ["RoughStepTime"]


class RoughStepTime:
    """Ratios to the calibration's reference network, by the table alone.

    Args:
        timed: the parts in the calibration that others may be likened to.
    """

    def __init__(self, calibration: Calibration, timed: Iterable[Part]) -> None:
        self._calibration = calibration
        self._timed = [part for part in timed if part.name in calibration.parts]
        self._guessed: dict[Part, float] = {}
        self._reference_sum = self._sum(calibration.reference)

    def __call__(self, arch: ArchSpec) -> float:
        return self._sum(arch) / self._reference_sum

    def _sum(self, arch: ArchSpec) -> float:
        parts = network_parts(arch, self._calibration.conditions.image_size)
        return sum(times * self._ratio(part) for part, times in parts.items())

    def _ratio(self, part: Part) -> float:
        known = self._calibration.parts.get(part.name)
        if known is not None:
            return known.ratio
        if part not in self._guessed:
            like = min(self._timed, key=lambda other: _unlikeness(part, other))
            ratio = self._calibration.parts[like.name].ratio
            self._guessed[part] = ratio * _macs(part) / _macs(like)
        return self._guessed[part]


def _kind(part: Part) -> tuple[str, int, int, int, bool]:
    layer = part.layer
    return layer.op, layer.stride, layer.kernel, layer.expansion, layer.se_ratio > 0


def _unlikeness(part: Part, other: Part) -> tuple[int, float]:
    """By how many features of their kind two parts differ, the op's first; then by how much their size does."""
    pairs = zip(_kind(part), _kind(other), strict=True)
    kind = sum((place == 0) * 10 + 1 for place, (one, another) in enumerate(pairs) if one != another)
    sizes = (
        (part.size, other.size),
        (part.layer.in_channels, other.layer.in_channels),
        (part.layer.width, other.layer.width),
    )
    return kind, sum(abs(math.log(max(one, 1) / max(another, 1))) for one, another in sizes)


def _macs(part: Part) -> int:
    layer = part.layer
    if layer.op == STEM:
        return conv_cost(3, layer.width, layer.kernel, output_size(part.size, layer.stride)).macs
    if layer.op == HEAD:
        channels = layer.width or layer.in_channels
        head = conv_cost(layer.in_channels, layer.width, 1, part.size).macs if layer.width else 0
        return head + channels * part.num_classes
    return max(1, block_cost(*layer, part.size).macs)
