"""Which networks of a space a training step looks at. All follow from a seed and the number of the step.

Sandwich (BigNAS, arXiv 2003.11142, section 3.2): a largest network, a smallest one, and some in between. Those in
between are drawn fairly (FairNAS, arXiv 1907.01845, "strict fairness", decision by decision): of as many draws in a row
as a decision has values, each value is drawn once, in a new order each time.

Ops share no weights (supernet/banks.py), and so there is not one largest network: each stage of the largest and the
smallest has an op that is drawn, fairly too, and with it the largest or smallest depth and width, and the settings of
most or fewest params. In each stage it is at the end; as a whole where widths do not fall from stage to stage.
"""

import random
from typing import Literal

from search_space import ArchSpec, Space, StageChoices, block_cost
from search_space.choices import Settings

__all__ = ["End", "end_of", "fair_network", "sandwich"]

End = Literal["largest", "smallest"]
"""A way to go through a space: to its largest networks, or its smallest."""


def fair_network(space: Space, seed: int, draw: int) -> ArchSpec:
    """The network of draw `draw` = 0, 1, ...: each decision on its own, each of its values equally often."""
    return space.decode([_dealt(len(decision.values), f"{seed} {decision.name}", draw) for decision in space.decisions])


def end_of(space: Space, end: End, seed: int, draw: int) -> ArchSpec:
    """A largest or a smallest network: in each stage a drawn op, the largest or smallest depth and width, and the
    settings that then have the most or the fewest params."""
    indices: list[int] = []
    pick = max if end == "largest" else min
    channels = space.stem.width
    for number, choices in enumerate(space.stages, start=1):
        depth, width = pick(choices.depth), pick(choices.width)
        ops = _ops(choices, end)
        op = ops[_dealt(len(ops), f"{seed} {end} {number}", draw)]
        params = {
            settings: _params(settings, channels, width, depth) for settings in choices.settings if settings.op == op
        }
        settings = pick(params, key=params.__getitem__)
        indices += choices.indices(settings, depth, width)
        channels = width if depth else channels
    return space.decode(indices)


def sandwich(space: Space, seed: int, step: int, *, between: int) -> tuple[ArchSpec, ...]:
    """A largest network, a smallest one, and `between` that are drawn fairly."""
    ends = (end_of(space, "largest", seed, step), end_of(space, "smallest", seed, step))
    return (*ends, *(fair_network(space, seed, step * between + number) for number in range(between)))


def _dealt(size: int, deck: str, draw: int) -> int:
    """One of range(size): the decks that are dealt from, one after the other, hold each once."""
    if size == 1:
        return 0
    round_, at = divmod(draw, size)
    order = list(range(size))
    random.Random(f"{deck} {round_}").shuffle(order)
    return order[at]


def _ops(choices: StageChoices, end: End) -> list[str]:
    """A largest network has no layer left out where it can have one."""
    ops = list(dict.fromkeys(settings.op for settings in choices.settings))
    return [op for op in ops if op != "identity"] or ops if end == "largest" else ops


def _params(settings: Settings, channels: int, width: int, depth: int) -> int:
    """Of `depth` layers that `channels` channels arrive at."""
    op, kernel, expansion, se_ratio = settings
    # What differs between the settings of one op depends neither on the stride nor on the image size.
    arriving = [channels, *[width] * (depth - 1)][:depth]
    return sum(block_cost(op, number, width, kernel, expansion, 1, se_ratio, 1).params for number in arriving)
