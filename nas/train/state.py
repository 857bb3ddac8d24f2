"""All that a final training carries from one step to the next, and its way into a checkpoint and back."""

from typing import Any

import torch
from torch import Tensor, nn

from nas.device import Compute
from nas.train.ema import Average
from nas.train.group import ALONE, Group
from nas.train.job import TrainJob
from nas.train.loop import weight_groups
from nas.train.options import FullOptions
from nas.train.rmsprop import RMSpropTF
from search_space import Network, build_network
from supernet import Supernet

__all__ = ["TrainState", "full_optimizer"]


def full_optimizer(network: nn.Module, options: FullOptions) -> torch.optim.Optimizer:
    """The options' optimizer."""
    groups = weight_groups(network, options.weight_decay)
    match options.optimizer:
        case "rmsprop":
            return RMSpropTF(groups, momentum=options.momentum, lr=options.lr)
        case "sgd":
            nesterov = options.momentum > 0
            # A fused one fails where weights meet their first gradient at different steps, as a supernet's do.
            fused = not isinstance(network, Supernet)
            return torch.optim.SGD(groups, momentum=options.momentum, nesterov=nesterov, fused=fused, lr=options.lr)
        case "adamw":
            return torch.optim.AdamW(groups, fused=True, lr=options.lr)


class TrainState:
    """Attributes:
    group: the processes that train it; each holds all of this.
    network: on the device, in training mode; of a job with a space its supernet.
    average: of its weights.
    optimizer: of its weights.
    scaler: of the losses, in float16; else it does nothing.
    mixing: what mixup and CutMix draw from, the same in all processes. Dropout and stochastic depth draw from torch's
        own generator, which is another in each process. The order of images and their augmentation need no state: they
        follow from the seed and the step.
    step: optimizer steps done.
    loss_sum, loss_steps: of the losses since the last evaluation, of this process's part of the batches.
    holdout: held-out accuracies of the trained and of the averaged weights at the last evaluation; 0 before the first.
    best_step, best_accuracy: the evaluation with the best averaged weights so far; None and -1 before the first.
    seconds: wall time until this session began.
    """

    def __init__(self, job: TrainJob, group: Group = ALONE) -> None:
        """Before the first step. Seeds torch's own generator."""
        self.group = group
        self._compute: Compute = job.compute
        torch.manual_seed(job.seed + group.rank)
        generator = torch.Generator().manual_seed(job.seed)
        self.network: Network | Supernet
        momentum = job.options.bn_momentum
        if job.space is not None:
            self.network = Supernet(job.space, norm_momentum=momentum, generator=generator)
        else:
            self.network = build_network(
                job.arch, drop_path=job.recipe.stochastic_depth, norm_momentum=momentum, generator=generator
            )
        job.compute.place(self.network)
        group.prepare(self.network, sync_norms=job.options.sync_bn)
        self.network.train()
        self.average = Average(self.network, job.options.ema_decay)
        self.optimizer = full_optimizer(self.network, job.options)
        self.scaler = torch.amp.GradScaler(enabled=job.compute.dtype == "float16")
        self.mixing = torch.Generator().manual_seed(job.seed + 1)
        self.step = 0
        self.loss_sum: Tensor = torch.zeros((), dtype=torch.float64, device=job.compute.device)
        self.loss_steps = 0
        self.holdout = (0.0, 0.0)
        self.best_step: int | None = None
        self.best_accuracy = -1.0
        self.seconds = 0.0

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take these over before the first step; what is not among them stays fresh."""
        for network in (self.network, self.average.network):
            network.load_state_dict({**network.state_dict(), **weights})

    def to_dict(self, seconds: float) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint after `seconds`. Running statistics of batch norms are this
        process's; what else differs between processes is in it of each."""
        return {
            **self._own(),
            "others": self.group.gather(self._own())[1:],
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "mixing": self.mixing.get_state(),
            "loss_steps": self.loss_steps,
            "holdout": self.holdout,
            "best_step": self.best_step,
            "best_accuracy": self.best_accuracy,
            "seconds": seconds,
        }

    def _own(self) -> dict[str, Any]:
        """What each process has for itself."""
        return {
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self._compute.device) if self._compute.is_cuda else None,
            "loss_sum": self.loss_sum.cpu(),
        }

    def load(self, found: dict[str, Any]) -> int:
        """Go on from a checkpoint's state of the same job; how many processes it was of. Of another number than now,
        dropout draws what it would not have drawn."""
        self.network.load_state_dict(found["network"])
        self.average.network.load_state_dict(found["average"])
        self.optimizer.load_state_dict(found["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(found["scaler"])
        self.mixing.set_state(found["mixing"])
        each = [found, *found.get("others", [])]
        if self.group.rank < len(each):
            own = each[self.group.rank]
            torch.set_rng_state(own["random"])
            if self._compute.is_cuda and own["cuda_random"] is not None:
                torch.cuda.set_rng_state(own["cuda_random"], self._compute.device)
        losses = torch.stack([own["loss_sum"] for own in each])
        loss_sum = losses[self.group.rank] if len(each) == self.group.world else losses.mean()
        self.step = found["step"]
        self.loss_sum = loss_sum.to(self._compute.device)
        self.loss_steps = found["loss_steps"]
        self.holdout = found["holdout"]
        self.best_step, self.best_accuracy = found["best_step"], found["best_accuracy"]
        self.seconds = found["seconds"]
        return len(each)
