"""The one training loop.

    optimizer, schedule = of the recipe, for a given number of steps
    for each batch:
        loss = cross_entropy(network(images), labels)
        if loss is not finite: stop, diverged
        backward; optimizer step; schedule step
        make way for what waits for the device between two steps

A step is `TrainingStep`, which is also what a step time measures.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from nas.device import Compute
from nas.train.recipe import Recipe

__all__ = ["TrainOutcome", "TrainingStep", "accuracy", "eval_batch_size", "make_optimizer", "train", "weight_groups"]

_CUDA_CHECK_EVERY = 25
EVAL_PIXELS = 512 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """What a training came to: `steps` done, mean loss over the last tenth of them, whether a loss was not finite."""

    steps: int
    loss: float
    diverged: bool


def weight_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """An optimizer's groups: weight decay on weights of convolutions and linear layers alone."""
    return [
        {"params": [weight for weight in network.parameters() if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in network.parameters() if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer."""
    groups = weight_groups(network, recipe.weight_decay)
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.momentum > 0
            return torch.optim.SGD(groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=recipe.peak_lr, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=recipe.peak_lr, alpha=0.9, momentum=recipe.momentum, eps=1e-3)


class TrainingStep:
    """Forward, backward and optimizer for one batch: the thing that is repeated, and the thing that is timed."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, compute: Compute) -> None:
        self._network = network
        self._optimizer = optimizer
        self._label_smoothing = recipe.label_smoothing
        self._compute = compute

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train on `images` (N, 3, H, W) and `labels` (N); return the loss, detached, still on the device."""
        with self._compute.autocast():
            logits = self._network(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


def train(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    steps: int,
    recipe: Recipe,
    compute: Compute,
    at_step_boundary: Callable[[], None] = lambda: None,
) -> TrainOutcome:
    """Train `network` in place on `steps` batches, drawn from `batches`; `at_step_boundary` is called after each step.

    Ends at once where a loss is not finite (on CUDA within 25 steps: each look waits for the device).
    """
    network.train()
    optimizer = make_optimizer(network, recipe)
    # Of a way up that is one step long torch divides by zero: it begins at the peak, as a shorter one does.
    warmup = recipe.warmup if recipe.warmup * (steps + 1) != 1 else 0.0
    schedule = OneCycleLR(
        optimizer, max_lr=recipe.peak_lr, total_steps=steps + 1, pct_start=warmup, cycle_momentum=False
    )
    step = TrainingStep(network, optimizer, recipe, compute)
    check_every = _CUDA_CHECK_EVERY if compute.is_cuda else 1
    tail = max(1, steps // 10)
    losses: deque[Tensor] = deque(maxlen=max(tail, check_every))
    done = 0
    for done, (images, labels) in enumerate(batches, start=1):
        losses.append(step(images, labels))
        schedule.step()
        at_step_boundary()
        if (done % check_every == 0 or done == steps) and not _all_finite(list(losses)[-check_every:]):
            return TrainOutcome(steps=done, loss=float("nan"), diverged=True)
        if done == steps:
            break
    if done != steps:
        raise ValueError(f"train needs {steps} batches, got {done}")
    # No loss speaks of the last update.
    if not _all_finite(network.parameters()):
        return TrainOutcome(steps=steps, loss=float("nan"), diverged=True)
    last = torch.stack(list(losses)[-tail:])
    return TrainOutcome(steps=steps, loss=float(last.double().mean()), diverged=False)


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def eval_batch_size(image_size: int) -> int:
    """Images that are evaluated at once: 512 of 32 pixels, as many pixels of another size."""
    return max(1, EVAL_PIXELS // image_size**2)


@torch.no_grad()
def accuracy(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    compute: Compute,
    *,
    at_step_boundary: Callable[[], None] = lambda: None,
) -> tuple[int, int]:
    """(images classified correctly, images), over all batches, in evaluation mode; `at_step_boundary` is called after
    each batch."""
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=compute.device)
    seen = 0
    for images, labels in batches:
        with compute.autocast():
            logits = network(images)
        correct += (logits.argmax(1) == labels).sum()
        seen += len(labels)
        at_step_boundary()
    return int(correct), seen
