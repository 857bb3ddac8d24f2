"""Which of a batch's images each of several processes takes."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_parts", "part_of_batch"]

TOGETHER = 4
"""Images that must be in one process: a batch is mixed with itself in reverse, or each of its halves is."""


def check_parts(batch_size: int, world: int) -> None:
    """Raise ValueError where `world` processes cannot have equal parts of a batch."""
    if world > 1 and batch_size % (TOGETHER * world):
        raise ValueError(
            f"batch_size must be a multiple of {TOGETHER * world} with {world} workers ({TOGETHER} images that may be "
            f"mixed stay together), got {batch_size}"
        )


def part_of_batch(batch_size: int, *, rank: int, world: int) -> NDArray[np.int64]:
    """Places of a batch that process `rank` of `world` takes, ascending; each place is of one process.

    A part is closed under what `mix` pairs, so that the parts mixed one by one are the batch mixed.

    Raises:
        ValueError: where the parts could not be equal.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank must be at least 0 and below world, got rank {rank} of world {world}")
    check_parts(batch_size, world)
    if world == 1:
        return np.arange(batch_size)
    each, half = batch_size // (TOGETHER * world), batch_size // 2
    first = np.arange(rank * each, (rank + 1) * each)
    in_half = np.concatenate([first, half - 1 - first[::-1]])
    return np.concatenate([in_half, half + in_half])
