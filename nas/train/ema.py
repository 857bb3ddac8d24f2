"""The moving average of a network's weights and of its batch norms' statistics."""

from copy import deepcopy

import torch
from torch import nn

__all__ = ["Average"]


class Average:
    """`network` is a copy of a network, and follows it: after `t` updates with decay min(decay, (1 + t) / (10 + t)),
    as TensorFlow's average with `num_updates` does. What is no floating-point number is copied."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Follow `network`; `updates` is how many came before."""
        share = 1 - min(self._decay, (1 + updates) / (10 + updates))
        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], share)
            else:
                average.copy_(current[name])
