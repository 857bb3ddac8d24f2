"""Which networks a list of stage choices can spell: reading one back into indices, and counting them all exactly.

Two descriptions are one network where their sequences of layers are equal, layers that do nothing left out. The same
sequence can often be spelled in several ways: neighbouring stages that share a block can split its layers in several
ways, and an identity that keeps the shape is no layer. So reading tries the ways in order, and counting treats the
space as an automaton over layers that is made deterministic (subset construction), in which every network is one path.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from search_space.choices import Settings, StageChoices
from search_space.spec import ArchSpec, BlockSpec

__all__ = ["count_sequences", "layer_sequence", "read_sequence"]

Stages = tuple[StageChoices, ...]


def layer_sequence(arch: ArchSpec) -> list[BlockSpec]:
    """The layers that do something, in order: equal for two networks of one frame exactly where their keys are."""
    return [layer for layer, times in arch.blocks() if not layer.is_nothing for _ in range(times)]


def _first(stage: StageChoices, settings: Settings, channels: int, width: int) -> BlockSpec:
    op, kernel, expansion, se_ratio = settings
    return BlockSpec(op, channels, width, kernel, expansion, stage.stride, se_ratio)


def _rest(settings: Settings, width: int) -> BlockSpec:
    op, kernel, expansion, se_ratio = settings
    return BlockSpec(op, width, width, kernel, expansion, 1, se_ratio)


def _ways(
    stage: StageChoices, layers: list[BlockSpec], start: int, channels: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """The ways in which a stage can spell layers from `start` on: (its indices, where the next stage starts)."""
    yield from ((indices, start) for indices in stage.vanished())
    depths = [depth for depth in stage.depth if depth > 0]
    identity = Settings("identity", 1, 1, 0.0)
    if identity in stage.settings and channels in stage.width and stage.stride == 1:
        yield from ((stage.indices(identity, depth, channels), start) for depth in depths)
    if start == len(layers):
        return
    layer = layers[start]
    settings = Settings(layer.op, layer.kernel, layer.expansion, layer.se_ratio)
    if layer.stride != stage.stride or settings not in stage.settings or layer.width not in stage.width:
        return
    if layer.op == "identity":
        yield from ((stage.indices(settings, depth, layer.width), start + 1) for depth in depths)
        return
    end, rest = start + 1, _rest(settings, layer.width)
    limit = min(len(layers), start + max(depths))
    while end < limit and layers[end] == rest:
        end += 1
    yield from ((stage.indices(settings, d, layer.width), start + d) for d in depths if start + d <= end)


def read_sequence(stages: Stages, layers: list[BlockSpec], channels: int) -> tuple[tuple[int, ...] | None, int]:
    """(The lexicographically smallest indices that spell `layers`, or None; how many layers could be read.)

    `channels` is the stem's width.
    """
    dead: set[tuple[int, int]] = set()
    furthest = 0

    def read(number: int, start: int) -> tuple[int, ...] | None:
        nonlocal furthest
        furthest = max(furthest, start)
        if number == len(stages):
            return () if start == len(layers) else None
        if (number, start) in dead:
            return None
        width = layers[start - 1].width if start else channels
        for indices, end in sorted(_ways(stages[number], layers, start, width)):
            following = read(number + 1, end)
            if following is not None:
                return indices + following
        dead.add((number, start))
        return None

    return read(0, 0), furthest


class _Between(NamedTuple):
    """Before stage `number` (from 0), at `channels`."""

    number: int
    channels: int


class _Within(NamedTuple):
    """In stage `number`, of which `depth` layers stand; one more would be `rest`."""

    number: int
    rest: BlockSpec
    depth: int


_Point = _Between | _Within
_Moves = tuple[tuple[BlockSpec, _Point], ...]


def _automaton(stages: Stages) -> Callable[[_Point], tuple[bool, _Moves]]:
    """point -> (whether a network may end here, the layers that may follow and the points they lead to)."""
    known: dict[_Point, tuple[bool, _Moves]] = {}

    def between(point: _Between) -> tuple[bool, _Moves]:
        number, channels = point
        if number == len(stages):
            return True, ()
        stage = stages[number]
        passes = 0 in stage.depth
        moves: list[tuple[BlockSpec, _Point]] = []
        for settings in stage.settings:
            for width in stage.width:
                first = _first(stage, settings, channels, width)
                if first.is_nothing:
                    passes = True
                elif settings.op == "identity":
                    moves.append((first, _Between(number + 1, width)))
                else:
                    moves.append((first, _Within(number, _rest(settings, width), 1)))
        may_end, later = follow(_Between(number + 1, channels)) if passes else (False, ())
        return may_end, (*moves, *later)

    def within(point: _Within) -> tuple[bool, _Moves]:
        number, rest, depth = point
        depths = stages[number].depth
        may_end, later = follow(_Between(number + 1, rest.width)) if depth in depths else (False, ())
        more: _Moves = ((rest, _Within(number, rest, depth + 1)),) if depth < max(depths) else ()
        return may_end, (*more, *later)

    def follow(point: _Point) -> tuple[bool, _Moves]:
        if point not in known:
            known[point] = between(point) if isinstance(point, _Between) else within(point)
        return known[point]

    return follow


def count_sequences(stages: Stages, channels: int) -> int:
    """How many different layer sequences the stages can spell behind a stem of `channels`: exact.

    A state is the set of points at which the layers so far may have left us; the number of ways to go on from it is
    the sum over the layers that may follow. States are few: within a stage they differ by block and layer count.
    """
    follow = _automaton(stages)
    counts: dict[frozenset[_Point], int] = {}
    start: frozenset[_Point] = frozenset([_Between(0, channels)])
    pending: list[tuple[frozenset[_Point], bool, list[frozenset[_Point]]]] = []

    def enter(state: frozenset[_Point]) -> None:
        may_end = False
        targets: dict[BlockSpec, set[_Point]] = {}
        for point in state:
            ends, moves = follow(point)
            may_end |= ends
            for layer, target in moves:
                targets.setdefault(layer, set()).add(target)
        pending.append((state, may_end, [frozenset(points) for points in targets.values()]))

    enter(start)
    while pending:
        state, may_end, following = pending[-1]
        missing = next((target for target in following if target not in counts), None)
        if missing is not None:
            enter(missing)
        else:
            counts[state] = may_end + sum(counts[target] for target in following)
            pending.pop()
    return counts[start]
