"""How the training of a supernet differs from that of one network: its step, and what is evaluated.

    for each network of the step's sandwich (supernet/sampling.py), the largest first:
        forward; loss against the targets, or for all but the largest against what the largest said; backward
    their gradients are added up
    accuracy is the mean of a smallest network's, the reference's and a largest one's, each taken out of the supernet,
    with batch norm statistics of its own

In-place distillation: Yu and Huang, arXiv 1903.05134, section 3.2.
"""

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn import functional

from nas.data import Split
from nas.train.feed import Feed
from nas.train.job import TrainJob
from nas.train.loop import accuracy
from nas.train.schedule import Phase
from nas.train.state import TrainState
from nas.train.step import FullStep
from search_space import ArchSpec, Space
from supernet import Supernet, end_of, extract, recalibrate, sandwich

__all__ = ["BETWEEN", "CALIBRATION_IMAGES", "SupernetStep", "calibrated", "evaluated_networks", "judge", "step_of"]

BETWEEN = 1
CALIBRATION_IMAGES = 2048


class SupernetStep(FullStep):
    """One optimizer step on the networks of a sandwich."""

    def _prepared(self) -> Callable[..., Tensor]:
        return self._state.network

    def _gather_gradients(self) -> None:
        self._state.group.average_gradients(self._weights)

    def _backward(self, images: Tensor, targets: Tensor, *, share: float) -> Tensor:
        """As `FullStep`, of all networks; the loss is the largest's."""
        state, job = self._state, self._job
        assert job.space is not None, "a supernet's job has a space"
        first: Tensor | None = None
        for arch in sandwich(job.space, job.seed, state.step, between=BETWEEN):
            with job.compute.autocast():
                logits = self._forward(images, arch)
                smoothing = job.options.label_smoothing if first is None else 0.0
                loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing) * share
            state.scaler.scale(loss).backward()
            if first is None:
                first, targets = loss.detach(), logits.detach().float().softmax(1)
        assert first is not None, "a sandwich has a largest network"
        return first


def step_of(job: TrainJob, state: TrainState) -> FullStep:
    """The step that trains what the job trains."""
    return FullStep(job, state) if job.space is None else SupernetStep(job, state)


def evaluated_networks(job: TrainJob, network: nn.Module, feed: Feed) -> list[nn.Module]:
    """What accuracy is taken of: the network, or some of a supernet's. The mean of theirs is the supernet's."""
    if job.space is None:
        return [network]
    assert isinstance(network, Supernet), "the state of a job with a space holds its supernet"
    return [calibrated(job, network, arch, feed) for arch in _shown(job.space)]


def calibrated(job: TrainJob, supernet: Supernet, arch: ArchSpec, feed: Feed) -> nn.Module:
    """One of a supernet's networks on its own, its batch norm statistics from train images as the last steps see them;
    the same in all processes."""
    network = extract(supernet, arch)
    job.compute.place(network)
    with job.compute.autocast():
        recalibrate(network, _calibration_images(job.phases(job.recipe.phases)[-1], feed))
    return network


def judge(job: TrainJob, supernet: Supernet, arch: ArchSpec, feed: Feed, split: Split = "holdout") -> tuple[int, int]:
    """(images classified correctly, images) of a split, by one of a trained supernet's networks."""
    return accuracy(calibrated(job, supernet, arch, feed), feed.eval_batches(split), job.compute)


def _calibration_images(phase: Phase, feed: Feed) -> Iterator[Tensor]:
    start = phase.first_step
    stop = start + -(-CALIBRATION_IMAGES // phase.batch_size)
    for images, _ in feed.train_batches(phase, start=start, stop=stop):
        yield images


def _shown(space: Space) -> list[ArchSpec]:
    """Different networks of the space that stand for all of them."""
    archs = (end_of(space, "smallest", 0, 0), space.reference, end_of(space, "largest", 0, 0))
    return list({arch.key: arch for arch in archs}.values())
