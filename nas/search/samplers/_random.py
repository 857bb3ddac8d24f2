"""Random search, as in the paper (arXiv 2104.00298, section 3.3)."""

from typing import TypeVar

from nas.search.samplers._base import Sampler

__all__ = ["RandomSampler"]

T = TypeVar("T")


class RandomSampler(Sampler[T]):
    """Every decision uniform. Trial `index` is a function of the seed and of which networks earlier trials were, so a
    run is the same at any number of workers, and after an interruption."""

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        return self._draw(index, attempt)
