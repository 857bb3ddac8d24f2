"""Parts of a batch put together again."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.data import Part

__all__ = ["joined"]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The batch whose parts these are, by rank; each of its places is of one part."""
    whole, world = sum(map(len, parts)), len(parts)
    places = torch.tensor([place for rank in range(world) for place in Part.of(whole, rank=rank, world=world).places])
    assert sorted(places.tolist()) == list(range(whole))
    return torch.cat(list(parts))[places.argsort()]
