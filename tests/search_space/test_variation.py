"""Mutation of what is no space of networks: some decisions leave nothing to choose."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from search_space import Decision
from search_space.variation import mutate


@dataclass(frozen=True, kw_only=True)
class Table:
    """Decisions of so many values each, all of them active."""

    sizes: tuple[int, ...]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(Decision(name=f"d{place}", values=tuple(range(size))) for place, size in enumerate(self.sizes))

    def active(self, indices: Sequence[int]) -> tuple[bool, ...]:
        return (True,) * len(self.sizes)

    def canonical(self, indices: Sequence[int]) -> tuple[int, ...]:
        return tuple(indices)


def test_what_leaves_nothing_to_choose_is_not_changed() -> None:
    rng = random.Random(0)
    assert {mutate(Table(sizes=(1, 3, 1)), (0, 1, 0), rng) for _ in range(50)} == {(0, 0, 0), (0, 2, 0)}


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1, 1)])
def test_where_nothing_can_be_changed_there_is_no_other(sizes: tuple[int, ...]) -> None:
    assert mutate(Table(sizes=sizes), (0,) * len(sizes), random.Random(0)) is None
