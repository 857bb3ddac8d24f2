"""RMSProp as TensorFlow has it, which EfficientNetV2 was trained with.

torch's own adds epsilon outside of the root and starts from squares of 0, so that its first steps are far longer.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["RMSpropTF"]


class RMSpropTF(Optimizer):
    """v = decay v + (1 - decay) g^2, from 1; m = momentum m + lr g / sqrt(v + eps); the weight less m.

    `weight_decay` is L2: its product with the weight is part of g.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient. There is no closure."""
        assert closure is None, "RMSpropTF evaluates nothing anew"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._change(weight, weight.grad, group)

    def _change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["square"] = torch.ones_like(weight)
            state["moment"] = torch.zeros_like(weight)
        if group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        square, moment = state["square"], state["moment"]
        square.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        moment.mul_(group["momentum"]).addcdiv_(gradient, square.add(group["eps"]).sqrt_(), value=group["lr"])
        weight.sub_(moment)
