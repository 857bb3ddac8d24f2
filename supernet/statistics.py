"""Batch norm statistics of one network of a supernet, taken anew."""

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

__all__ = ["recalibrate"]


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give the batch norms of `network` the mean of the batches' own statistics (images [N, 3, H, W] of the train
    split), in place; it is left in evaluation mode.

    Running statistics of shared weights are of all networks together, and of no use to any (Yu and Huang, arXiv
    1903.05134, section 3.3).

    Raises:
        ValueError: for no batches; the network stays as it was.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise ValueError("recalibrate needs at least 1 batch, got none")
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
        for images in chain((first,), batches):
            network(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
