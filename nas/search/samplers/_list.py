"""Networks that were chosen beforehand, in their order."""

from collections.abc import Sequence
from typing import TypeVar

from nas.search.samplers._base import Sampler, SpaceExhausted
from nas.search.samplers._domain import Domain, Goal

__all__ = ["ListSampler"]

T = TypeVar("T")


class ListSampler(Sampler[T]):
    """Trial `index` is network `index` of the list; no trial comes after the last. No row of `SAMPLERS`: it searches
    nothing."""

    def __init__(self, networks: Sequence[T], domain: Domain[T], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._networks = networks

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        if attempt or index >= len(self._networks):
            raise SpaceExhausted(f"all {len(self._networks)} networks were trained")
        return self._domain.encode(self._networks[index])
