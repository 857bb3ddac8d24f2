"""The training of a final model, progressively.

    network, average, optimizer = fresh (with the weights of `init`), or as the last checkpoint has them
    for each phase that is not over:
        dropout is the phase's; batches are cropped to its image size and augmented at its strength
        for each batch:
            mix; forward; loss; backward; clip; optimizer step at this step's learning rate; average
            at an epoch's end: accuracy on the held-out images, a line of metrics.jsonl, a checkpoint
            where the clock says so, or a stop was asked for: a checkpoint
    accuracy on the test images; model.safetensors (the averaged weights), arch.json, result.json

A training that is killed at any step and gone on with ends, on a CPU, with the same bits as one that was not. Several
processes (nas/train/group.py) run the same loop, each on its part of every batch; the first of them writes.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from nas.data import Split, mix
from nas.device import set_up_process
from nas.signals import stop_request
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from nas.train.group import ALONE, Group
from nas.train.init import initial_weights
from nas.train.job import TrainJob, TrainResult, read_result
from nas.train.loop import accuracy
from nas.train.options import learning_rate
from nas.train.report import Metrics, Now, Progress, Silent
from nas.train.schedule import Phase
from nas.train.state import TrainState
from nas.train.step import FullStep

__all__ = ["TrainingDiverged", "TrainingInterrupted", "train_full", "train_in"]

CUDA_LOOK_EVERY = 25


class TrainingDiverged(Exception):
    """A loss was not finite. The checkpoints before are there."""


class TrainingInterrupted(Exception):
    """A signal asked for a stop; a checkpoint was written, and the same call goes on."""


def train_full(
    job: TrainJob, folder: Path, *, progress: Progress | None = None, checkpoint_every_s: float = 300.0
) -> TrainResult:
    """Train `job` in `folder`, from the start or from where it stands there; at once its result where it has ended.

    Args:
        folder: new, empty, or the job's own; there the data may lie elsewhere by now.
        progress: told of steps and evaluations.
        checkpoint_every_s: seconds from one checkpoint to the next; there is one at each evaluation anyway.

    Raises:
        ValueError: for a job that does not fit its data, or a folder that is not its own.
        RunWriteError: where the disk does not take it.
        TrainingDiverged, TrainingInterrupted: as they say.
    """
    job = job.anchored()
    set_up_process(job.compute)
    feed = Feed(job)
    job.phases(job.total_steps(feed.counts["train"]))  # refused before anything is written
    with TrainFolder(folder, job, feed.fingerprints) as place:
        result = read_result(folder)
        if result is None:
            progress = progress or Silent()
            progress.begins()
            with stop_request() as stop:
                result = train_in(
                    place,
                    job,
                    feed,
                    progress=progress,
                    checkpoint_every_s=checkpoint_every_s,
                    asks_to_stop=lambda: stop.asked,
                )
        return result


def train_in(
    place: TrainFolder,
    job: TrainJob,
    feed: Feed,
    *,
    progress: Progress,
    checkpoint_every_s: float,
    asks_to_stop: Callable[[], bool],
    group: Group = ALONE,
) -> TrainResult:
    """Train what has not ended, in an open folder; each process of `group` calls this.

    Args:
        asks_to_stop: looked at after a step; a stop that one process is asked for is all processes'.

    Raises:
        TrainingDiverged, TrainingInterrupted: as they say, in all processes.
    """
    training = _Training(job, place, feed, progress, checkpoint_every_s, asks_to_stop, group)
    training.run(job.phases(job.total_steps(feed.counts["train"])))
    return training.finish()


class _Training:
    """The loop and what it looks at without changing it; what it changes is `state`."""

    def __init__(
        self,
        job: TrainJob,
        place: TrainFolder,
        feed: Feed,
        progress: Progress,
        checkpoint_every_s: float,
        asks_to_stop: Callable[[], bool],
        group: Group,
    ) -> None:
        self.job, self.place, self.progress, self.group = job, place, progress, group
        self.feed = feed
        self.checkpoint_every_s, self.asks_to_stop = checkpoint_every_s, asks_to_stop
        self.part = {"rank": group.rank, "world": group.world}
        self.steps_per_epoch = max(1, round(feed.counts["train"] / job.recipe.batch_size))
        self.started = time.monotonic()
        self.state = TrainState(job, group)
        found, notes = group.from_first(place.checkpoints.latest)
        for note in notes:
            progress.note(note)
        if found is not None:
            before = self.state.load(found)
            progress.note(f"goes on after step {self.state.step}")
            if before != group.world:
                progress.note(f"was trained by {before} before, by {group.world} now: dropout draws anew")
        elif (init := job.init) is not None:
            self.state.start_from(group.from_first(lambda: initial_weights(init, job.arch)))
            # From here on the file is needed no more.
            self._save()
        if group.is_first:
            place.open_metrics(self.state.step)

    def run(self, phases: tuple[Phase, ...]) -> None:
        """Every step that is left, up to the end of the last phase."""
        job, state = self.job, self.state
        total_steps = sum(phase.steps for phase in phases)
        batch_size = job.recipe.batch_size
        look_every = CUDA_LOOK_EVERY if job.compute.is_cuda else 1
        step = FullStep(job, state)
        interval, saved = (time.monotonic(), state.step), time.monotonic()
        phase_end = 0
        for phase in phases:
            phase_end += phase.steps
            if state.step >= phase_end:
                continue
            state.network.dropout.p = phase.dropout
            for batch, labels in self.feed.train_batches(phase, start=state.step, stop=phase_end, **self.part):
                pixels, targets = mix(
                    batch,
                    labels,
                    mixup=phase.mixup,
                    cutmix=phase.cutmix,
                    num_classes=job.arch.head.num_classes,
                    generator=state.mixing,
                    **self.part,
                )
                lr = learning_rate(job.options, state.step, total_steps=total_steps, batch_size=batch_size)
                loss = step(pixels, targets, lr)
                at_end = state.step == total_steps
                evaluates = at_end or state.step % self.steps_per_epoch == 0
                if state.step % look_every and not evaluates:
                    continue
                now = Now(
                    step=state.step,
                    total_steps=total_steps,
                    phase=phase,
                    phases=phases,
                    batch_size=batch_size,
                    loss=float(loss),
                )
                self.progress.step(now)
                due = time.monotonic() - saved >= self.checkpoint_every_s
                lost, stops, saves = self._any(self._is_lost(loss), self.asks_to_stop(), due)
                if lost:
                    raise TrainingDiverged(
                        f"the loss was not finite at step {state.step}: give a lower learning rate (--lr)"
                    )
                if evaluates:
                    seconds = time.monotonic() - interval[0]
                    rate = batch_size * (state.step - interval[1]) / max(seconds, 1e-9)
                    self._evaluate(phase, lr, rate)
                    interval = (time.monotonic(), state.step)
                if evaluates or stops or saves:
                    self._save()
                    saved = time.monotonic()
                if stops and not at_end:
                    raise TrainingInterrupted(f"stopped after step {state.step} of {total_steps}")

    def _any(self, *questions: bool) -> list[bool]:
        """Of each question, whether it is so in any process."""
        return [count > 0 for count in self.group.sum(*map(float, questions))]

    def _is_lost(self, loss: Tensor) -> bool:
        # A loss that was lost at any step since the last evaluation is lost in the sum.
        return not bool(torch.isfinite(self.state.loss_sum + loss))

    def _save(self) -> None:
        state = self.state.to_dict(self._seconds())
        if self.group.is_first:
            self.place.checkpoints.save(self.state.step, state, best_step=self.state.best_step)

    def _evaluate(self, phase: Phase, lr: float, images_per_s: float) -> None:
        """Both networks on the held-out images: on record, and the best remembered."""
        state = self.state
        (loss_sum,) = self.group.sum(float(state.loss_sum))
        mean_loss = loss_sum / self.group.world / state.loss_steps
        raw, averaged = state.holdout = self._accuracies("holdout")
        state.loss_sum.zero_()
        state.loss_steps = 0
        if averaged > state.best_accuracy:
            state.best_step, state.best_accuracy = state.step, averaged
        metrics = Metrics(
            step=state.step,
            epoch=state.step * self.job.recipe.batch_size / self.feed.counts["train"],
            phase=phase.index,
            image_size=phase.image_size,
            lr=lr,
            loss=mean_loss,
            accuracy=raw,
            ema_accuracy=averaged,
            images_per_s=images_per_s,
            seconds=self._seconds(),
        )
        if self.group.is_first:
            self.place.append(metrics)
        self.progress.evaluated(metrics)

    def _accuracies(self, split: Split) -> tuple[float, float]:
        """Shares of a split's images that the trained and the averaged weights classify correctly."""
        shares = []
        networks = self.state.network, self.state.average.network
        self.group.take_statistics(*networks)
        for network in networks:
            found = accuracy(network, self.feed.eval_batches(split, **self.part), self.job.compute)
            correct, count = self.group.sum(*found)
            shares.append(correct / count)
        self.state.network.train()
        return shares[0], shares[1]

    def _seconds(self) -> float:
        return self.state.seconds + time.monotonic() - self.started

    def finish(self) -> TrainResult:
        """Test what was trained, and write it."""
        holdout, test = self.state.holdout, self._accuracies("test")
        result = TrainResult(
            accuracy=test[0],
            ema_accuracy=test[1],
            holdout_accuracy=holdout[0],
            ema_holdout_accuracy=holdout[1],
            num_test=self.feed.counts["test"],
            eval_size=self.job.recipe.eval_size,
            steps=self.state.step,
            seconds=self._seconds(),
            params=self.job.arch.params,
        )
        if self.group.is_first:
            self.place.finish(self.state.average.network, self.job, result)
        return result
