"""The moving average of a network's weights and of its batch norms' statistics."""

from copy import deepcopy

import torch
from torch import nn

__all__ = ["Average"]


class Average:
    """`network` is a copy of a network, and follows it: after `t` updates with decay min(decay, (1 + t) / (10 + t)),
    as TensorFlow's average with `num_updates` does. What is no floating-point number is copied."""

    def __init__(self, followed: nn.Module, decay: float) -> None:
        self.network = deepcopy(followed).eval().requires_grad_(False)
        self._decay = decay
        mine, theirs = self.network.state_dict(), followed.state_dict()
        floats = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        self._averaged = [mine[name] for name in floats], [theirs[name] for name in floats]
        self._copied = [(mine[name], theirs[name]) for name in mine if name not in floats]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Follow the network that this was made of; `updates` is how many came before."""
        share = 1 - min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(*self._averaged, share)
        for mine, theirs in self._copied:
            mine.copy_(theirs)
