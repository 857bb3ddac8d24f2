"""The processes that train one network together, each on its part of every batch; most often one.

Of several, each holds the whole state, and all make the same steps: torch's DistributedDataParallel gives them the mean
of their gradients. What only one process can know (a signal, a clock, a lost loss) is agreed on before it is acted on.
"""

import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nas.train.sync_norm import synchronise_norms

__all__ = ["ALONE", "Group"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Group:
    """This process is `rank` of `world`. Every method must be called by all of them, in the same order."""

    rank: int = 0
    world: int = 1

    @classmethod
    def joined(cls) -> Self:
        """The processes of torch's process group."""
        return cls(rank=distributed.get_rank(), world=distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def prepare(self, network: nn.Module, *, sync_norms: bool) -> None:
        """Make batch norms take their statistics over the whole batch, where that is wanted; in place."""
        if self.world > 1 and sync_norms:
            synchronise_norms(network)

    def wrap(self, network: nn.Module) -> nn.Module:
        """What to call in place of `network`, so that a backward pass leaves the mean gradient in its weights. Weights,
        and batch norms' running statistics before each step, are the first process's."""
        if self.world == 1:
            return network
        # Of a 1x1 kernel in channels_last, whose strides over one pixel mean nothing.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def adding_up(self, wrapped: Callable[..., Any]) -> AbstractContextManager[None]:
        """For all but the last of a step's backward passes through what `wrap` returned: their gradients are added up
        here, and become the processes' mean with the last one's."""
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def average_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Give these weights the processes' mean gradient, where their network is not called through `wrap`. In all
        processes the same weights have one."""
        if self.world == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).div_(self.world)
        distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def sum(self, *numbers: float) -> list[float]:
        """Each number summed over the processes."""
        if self.world == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(summed)
        return [float(number) for number in summed]

    def gather(self, value: T) -> list[T]:
        """What each process has, in the order of their ranks."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, value)
        return found

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, the only one where it is called."""
        if self.world == 1:
            return make()
        found: list[Any] = [make() if self.is_first else None]
        distributed.broadcast_object_list(found)
        value: T = found[0]
        return value

    def take_statistics(self, *networks: nn.Module) -> None:
        """Give all processes the first one's running statistics of batch norms, as an evaluation must be of one
        network."""
        if self.world > 1:
            for network in networks:
                for buffer in network.buffers():
                    distributed.broadcast(buffer, src=0)


ALONE = Group()
