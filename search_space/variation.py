"""Variation of what is described by categorical decisions: drawing, mutation, crossing over. The randomness is the
`random.Random` that is passed in.

Several descriptions may mean one thing (`canonical` tells them apart), and a decision may be without effect under the
others (`active`): a change of such a decision is no change.
"""

import random
from collections.abc import Sequence
from typing import Protocol

from search_space.choices import Decision

__all__ = ["Described", "cross_over", "draw", "mutate"]

MAX_TRIES = 1000


class Described(Protocol):
    """What has decisions; `indices` hold one position a decision."""

    @property
    def decisions(self) -> tuple[Decision, ...]: ...

    def active(self, indices: Sequence[int]) -> tuple[bool, ...]:
        """Which decisions have an effect under these indices."""
        ...

    def canonical(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The one description that stands for all that mean the same."""
        ...


def draw(decisions: Sequence[Decision], rng: random.Random) -> tuple[int, ...]:
    """Every decision uniform, and on its own."""
    return tuple(rng.randrange(len(decision.values)) for decision in decisions)


def mutate(space: Described, indices: Sequence[int], rng: random.Random) -> tuple[int, ...] | None:
    """Something else, by changing one active decision (uniformly drawn, to a uniformly drawn other value). Decisions
    that the change wakes take a random value.

    Where the change says the same in other words, it is kept and one more is made, up to a limit; None past it, and
    where no active decision has another value.
    """
    start = present = space.canonical(indices)
    for _ in range(MAX_TRIES if space.decisions else 0):
        flags = space.active(present)
        drawn = zip(present, draw(space.decisions, rng), flags, strict=True)
        changed = [position if active else fresh for position, fresh, active in drawn]
        places = [place for place, active in enumerate(flags) if active and len(space.decisions[place].values) > 1]
        if not places:
            return None
        place = rng.choice(places)
        others = [value for value in range(len(space.decisions[place].values)) if value != present[place]]
        changed[place] = rng.choice(others)
        if space.canonical(changed) != start:
            return space.canonical(changed)
        present = tuple(changed)
    return None


def cross_over(space: Described, first: Sequence[int], second: Sequence[int], rng: random.Random) -> tuple[int, ...]:
    """Each decision from one of two parents, with equal chances; from the one in which the decision is active, where it
    is in one only."""
    parents = [space.canonical(first), space.canonical(second)]
    active = [space.active(indices) for indices in parents]
    child = []
    for place in range(len(space.decisions)):
        drawn = rng.randrange(2)
        if active[0][place] != active[1][place]:
            drawn = 0 if active[0][place] else 1
        child.append(parents[drawn][place])
    return tuple(child)
