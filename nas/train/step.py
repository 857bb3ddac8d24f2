"""One optimizer step of a final training."""

from torch import Tensor, nn
from torch.nn import functional

from nas.train.job import TrainJob
from nas.train.state import TrainState

__all__ = ["FullStep"]


class FullStep:
    """Forward, backward, clipping, optimizer, average: what changes a `TrainState`."""

    def __init__(self, job: TrainJob, state: TrainState) -> None:
        self._job, self._state = job, state
        self._weights = list(state.network.parameters())
        self._forward: nn.Module = state.group.wrap(state.network)

    def __call__(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """Train on `images` (B, 3, S, S) and `targets` (B, classes); the mean loss, detached, still on the device."""
        state, options = self._state, self._job.options
        with self._job.compute.autocast():
            logits = self._forward(images)
            loss = functional.cross_entropy(logits, targets, label_smoothing=options.label_smoothing)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._weights, options.clip_norm)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        state.optimizer.step()
        state.average.update(state.step)
        state.step += 1
        state.loss_sum += loss.detach()
        state.loss_steps += 1
        return loss.detach()
