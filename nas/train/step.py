"""One optimizer step of a final training."""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import mix
from nas.train.job import TrainJob
from nas.train.schedule import Phase
from nas.train.state import TrainState
from search_space import Network

__all__ = ["FullStep"]


class FullStep:
    """Forward, backward, clipping, optimizer, average: what changes a `TrainState`."""

    def __init__(self, job: TrainJob, state: TrainState) -> None:
        self._job, self._state = job, state
        self._weights = list(state.network.parameters())
        self._forward = self._prepared()

    def _prepared(self) -> Callable[..., Tensor]:
        """What trains may be compiled; what is evaluated and saved is the network itself."""
        if self._job.options.compile:
            compiled: Callable[..., Tensor] = torch.compile(self._state.network, dynamic=False, fullgraph=True)
            return compiled
        return self._state.group.wrap(self._state.network)

    def begin(self, phase: Phase) -> None:
        """Set what a phase sets in the network; what was compiled for another is dropped."""
        network = self._state.network
        if isinstance(network, Network):
            network.dropout.p = phase.dropout
        if self._job.options.compile:
            torch.compiler.reset()

    def mixed(self, images: Tensor, labels: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) after the phase's mixup and CutMix, and what they are of (B, classes)."""
        state = self._state
        return mix(
            images,
            labels,
            mixup=phase.mixup,
            cutmix=phase.cutmix,
            num_classes=self._job.arch.head.num_classes,
            generator=state.mixing,
            rank=state.group.rank,
            world=state.group.world,
        )

    def __call__(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """Train on `images` (B, 3, S, S) and `targets` (B, classes); the mean loss, detached, still on the device."""
        state, options = self._state, self._job.options
        state.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=images.device)
        parts = options.accumulate
        split = zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True)
        for number, (some, theirs) in enumerate(split, start=1):
            with nullcontext() if number == parts else state.group.adding_up(self._forward):
                loss += self._backward(some, theirs, share=len(some) / len(images))
        self._gather_gradients()
        if options.clip_norm is not None:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(self._weights, options.clip_norm)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.average.update(state.step)
        state.step += 1
        state.loss_sum += loss
        state.loss_steps += 1
        return loss

    def _gather_gradients(self) -> None:
        """Of the other processes: the wrapped network has done it."""

    def _backward(self, images: Tensor, targets: Tensor, *, share: float) -> Tensor:
        """Add the gradient of this share of a batch; its share of the mean loss, detached."""
        state, options = self._state, self._job.options
        with self._job.compute.autocast():
            logits = self._forward(images)
            loss = functional.cross_entropy(logits, targets, label_smoothing=options.label_smoothing) * share
        state.scaler.scale(loss).backward()
        return loss.detach()
