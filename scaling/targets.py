"""Members by what they cost: the network on the grid of rounding that comes nearest to a target.

levels = every phi at which a width, the image size, or a depth of the family changes
for each depth level near: the two width levels whose costs lie around the target (cost grows with the level)
of those within 3 %: on the compound rule's own line the nearest; else the one nearest to that line
none within 3 %: the nearest of all
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from scaling.compound import EXTRA_DEPTH, EXTRA_WIDTH, Base, Compound, MemberShape
from scaling.family import Place
from search_space.spec import MAX_DEPTH, MAX_WIDTH

__all__ = ["TARGETS_BY", "Found", "Target", "TargetBy", "find_places", "parse_targets"]

TargetBy = Literal["params", "macs", "step-time"]
"""What a target is of."""
TARGETS_BY: tuple[str, ...] = get_args(TargetBy)
"""All that it can be of."""

TOLERANCE = 0.03
SEARCHED = 10.0
"""phi is looked for from minus this to this."""
APART = 1.5
"""Depths are looked for within so many phi of the line."""
_SUFFIXES = {"K": 1e3, "M": 1e6, "G": 1e9, "": 1.0}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a member is to cost: `value` times the base, or, where not `relative`, absolutely."""

    name: str
    value: float
    relative: bool

    def __str__(self) -> str:
        return f"{self.name}={self.value:g}{'x' if self.relative else ''}"


def parse_targets(text: str) -> list[Target]:
    """`M=2.5x,L=5.5x` (times the base) or `M=54M` (absolutely; K, M and G are thousand, million, thousand million).

    Raises:
        ValueError: for another form, a value of 0, or a name that is there twice or is no file's.
    """
    targets: list[Target] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,31})=([0-9]+(?:\.[0-9]+)?)(x|[KMG]?)\s*", part)
        if match is None:
            raise ValueError(f"a target must be NAME=2.5x (times the base) or NAME=54M, got {part!r}")
        name, number, suffix = match.groups()
        value = float(number) * _SUFFIXES.get(suffix, 1.0)
        if not 0 < value < 1e18:
            raise ValueError(f"a target must be above 0 and below 1e18, got {part!r}")
        if any(target.name == name for target in targets):
            raise ValueError(f"targets must have a name each, got {name!r} twice")
        targets.append(Target(name=name, value=value, relative=suffix == "x"))
    return targets


class Found(NamedTuple):
    """Where a target's member stands, and what it costs in units of the target's."""

    place: Place
    share: float

    @property
    def reached(self) -> bool:
        """Whether the cost lies within 3 % of what was asked for."""
        return abs(self.share - 1) <= TOLERANCE


Cost = Callable[[MemberShape], float]


class _Grid:
    """The family's members, by the levels of their widths and depths; the costs of those that were looked at."""

    def __init__(self, base: Base, compound: Compound, cost: Cost) -> None:
        self._base, self._compound, self._cost = base, compound, cost
        widths = [*base.unrounded.widths, float(base.arch.stem.width), base.unrounded.widths[-1] * EXTRA_WIDTH]
        self.widths = _levels([*self._width_changes(widths), *self._size_changes()])
        self.depths = _levels(self._depth_changes())
        self._known: dict[Place, float] = {}

    def _width_changes(self, widths: Iterable[float]) -> Iterable[float]:
        """Every phi at which a width is rounded otherwise than just below it."""
        rounding, growth = self._compound.rounding, self._compound.width
        if growth == 1:
            return
        for unrounded in widths:
            low, high = unrounded * growth**-SEARCHED, min(unrounded * growth**SEARCHED, float(MAX_WIDTH))
            for (start, divisor), (end, _) in pairwise([*rounding.steps, (math.inf, 0)]):
                yield _phi(max(start, 1e-6) / unrounded, growth)
                first = math.ceil(max(low, start) / divisor - 0.5)
                last = math.floor(min(high, end) / divisor - 0.5)
                for multiple in range(first, last + 1):
                    yield _phi((multiple + 0.5) * divisor / unrounded, growth)

    def _size_changes(self) -> Iterable[float]:
        growth, size = self._compound.resolution, self._base.eval_size
        if growth > 1:
            for even in range(size // 4 // 2 * 2, 4 * size, 2):
                yield _phi((even + 1) / size, growth)

    def _depth_changes(self) -> Iterable[float]:
        growth = self._compound.depth
        if growth == 1:
            return
        factors = {1.0, self._compound.later, EXTRA_DEPTH}
        for stage, known in zip(self._base.arch.stages, self._base.unrounded.depths, strict=True):
            for factor in factors:
                depth = factor * (stage.depth if known is None else known)
                highest = min(depth * growth**SEARCHED, MAX_DEPTH)
                for layers in range(1, math.ceil(highest)):
                    yield _phi((layers + (0.5 if known is None else 0.0)) / depth, growth)

    def cost(self, place: Place) -> float:
        if place not in self._known:
            self._known[place] = self._cost(self._compound.member(self._base, *place))
        return self._known[place]

    def around(self, depth_phi: float, wanted: float, lowest: float, highest: float) -> list[Place]:
        """The places at `depth_phi`, of widths from `lowest` to `highest`, whose costs are next to `wanted`."""
        levels = _part(self.widths, lowest, highest)
        return self._next_to(wanted, [Place(phi, depth_phi) for phi in levels])

    def on_line(self, wanted: float, lowest: float, highest: float) -> list[Place]:
        """The places of one phi, from `lowest` to `highest`, whose costs are next to `wanted`."""
        levels = _part(sorted({*self.widths, *self.depths}), lowest, highest)
        return self._next_to(wanted, [Place(phi, phi) for phi in levels])

    def _next_to(self, wanted: float, places: list[Place]) -> list[Place]:
        """Of places in order of their cost: those at `wanted` exactly, and one on either side."""
        at = bisect_left(places, wanted, key=self.cost)
        return places[max(0, at - 1) : bisect_right(places, wanted, key=self.cost) + 1]


def _phi(factor: float, growth: float) -> float:
    return math.log(factor) / math.log(growth)


def _part(levels: list[float], low: float, high: float) -> list[float]:
    return levels[bisect_left(levels, low) : bisect_right(levels, high)]


def _levels(changes: Iterable[float]) -> list[float]:
    """One phi between each two changes that are next to each other, and 0."""
    ends = sorted({-SEARCHED, 0.0, SEARCHED, *(phi for phi in changes if -SEARCHED < phi < SEARCHED)})
    middles = [round((low + high) / 2, 6) for low, high in pairwise(ends) if high - low > 1e-5]
    return sorted({0.0, *middles})


def find_places(
    base: Base, targets: Iterable[Target], cost: Cost, compound: Compound | None = None
) -> dict[str, Found]:
    """For each target, the smallest first, its member: no layer and no channel less than the smaller one's, or than the
    base's where it is to cost more than that, and none more where it is to cost less.

    Args:
        cost: of a member, in the target's unit. More layers and channels should not cost less: where they do, as where
            an identity becomes a 1x1 convolution, a nearer member may be passed over.
    """
    grid = _Grid(base, compound or Compound(), cost)
    whole = grid.cost(Place(0.0, 0.0))
    found: dict[str, Found] = {}
    below, origin, end = Place(-SEARCHED, -SEARCHED), Place(0.0, 0.0), Place(SEARCHED, SEARCHED)
    wanted_by_name = {target.name: target.value * (whole if target.relative else 1.0) for target in targets}
    for name, wanted in sorted(wanted_by_name.items(), key=lambda item: item[1]):
        if wanted >= whole:
            below = Place(max(below.phi, 0.0), max(below.depth_phi, 0.0))
        found[name] = _nearest(grid, wanted, below, end if wanted >= whole else origin)
        below = found[name].place
    return found


def _nearest(grid: _Grid, wanted: float, below: Place, above: Place) -> Found:
    def found(places: Iterable[Place]) -> list[Found]:
        return sorted(
            (Found(place, grid.cost(place) / wanted) for place in places),
            key=lambda each: (abs(each.share - 1), abs(each.place.phi)),
        )

    on_line = found(grid.on_line(wanted, max(below), min(above)))
    if on_line and on_line[0].reached:
        return on_line[0]
    middle = on_line[0].place.phi if on_line else max(below)
    low, high = max(below.depth_phi, middle - APART), min(above.depth_phi, middle + APART)
    near = _part(grid.depths, low, high) or [below.depth_phi]
    beside = found(place for depth_phi in near for place in grid.around(depth_phi, wanted, below.phi, above.phi))
    reached = [each for each in beside if each.reached]
    if reached:
        return min(reached, key=lambda each: (abs(each.place.phi - each.place.depth_phi), abs(each.share - 1)))
    return found(each.place for each in [*on_line, *beside] or [Found(below, 1.0)])[0]
