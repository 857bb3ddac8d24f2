"""Networks that were chosen beforehand, in their order."""

from collections.abc import Sequence
from typing import Any

from nas.search.samplers._base import Sampler, SpaceExhausted
from search_space import ArchSpec, Space

__all__ = ["ListSampler"]


class ListSampler(Sampler):
    """Trial `index` is network `index` of the list; no trial comes after the last. No row of `SAMPLERS`: it searches
    nothing."""

    def __init__(self, networks: Sequence[ArchSpec], space: Space, **settings: Any) -> None:
        super().__init__(space, **settings)
        self._networks = networks

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        if attempt or index >= len(self._networks):
            raise SpaceExhausted(f"all {len(self._networks)} networks were trained")
        return self._space.encode(self._networks[index])
