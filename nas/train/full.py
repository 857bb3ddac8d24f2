"""The training of a final model, progressively.

    of a budget of wall clock: the number of steps is measured (nas/train/budget.py), once
    network, average, optimizer = fresh (with the weights of `init`), or as the last checkpoint has them
    for each phase that is not over:
        dropout and batch size are the phase's; batches are cropped to its image size and augmented at its strength
        for each batch:
            mix; forward; loss; backward; clip; optimizer step at this step's learning rate; average
            at an epoch's end, but for one less than half an epoch before the training's, and at the training's:
                accuracy on the held-out images, a line of metrics.jsonl, a checkpoint
            where the clock says so, or a stop was asked for: a checkpoint
    accuracy on the test images; model.safetensors (the averaged weights), arch.json, data.json, result.json

A training that is killed at any step and gone on with ends, on a CPU, with the same bits as one that was not. Several
processes (nas/train/group.py) run the same loop, each on its part of every batch; the first of them writes.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from operator import add
from pathlib import Path

import torch
from torch import Tensor

from nas.data import Fault, Split
from nas.device import set_up_process
from nas.signals import stop_request
from nas.train.budget import BudgetStopped, measured_length
from nas.train.checkpoint import DAMAGE
from nas.train.feed import Feed
from nas.train.folder import SKIPPED, TrainFolder
from nas.train.group import ALONE, Group
from nas.train.init import initial_weights
from nas.train.job import TrainJob, TrainResult, read_result
from nas.train.loop import accuracy
from nas.train.options import learning_rate
from nas.train.report import Metrics, Now, Progress, Silent
from nas.train.schedule import Phase, evaluations_after
from nas.train.skips import SkipFile
from nas.train.state import TrainState
from nas.train.supernets import evaluated_networks, step_of
from nas.train.waiting import DataWatch
from results import RunError
from results.durable import first_line

__all__ = ["TrainingDiverged", "TrainingInterrupted", "train_full", "train_in"]

CUDA_LOOK_EVERY = 25


class TrainingDiverged(Exception):
    """A loss was not finite. The checkpoints before are there."""


class TrainingInterrupted(Exception):
    """A signal asked for a stop; a checkpoint was written where a step was done, and the same call goes on."""


def train_full(
    job: TrainJob,
    folder: Path,
    *,
    progress: Progress | None = None,
    checkpoint_every_s: float = 300.0,
    loader_workers: int | None = None,
) -> TrainResult:
    """Train `job` in `folder`, from the start or from where it stands there; at once its result where it has ended.

    Args:
        folder: new, empty, or the job's own; there the data may lie elsewhere by now.
        progress: told of steps and evaluations.
        checkpoint_every_s: seconds from one checkpoint to the next; there is one at each evaluation anyway.
        loader_workers: processes that decode streamed images; what comes out does not depend on it.

    Raises:
        ValueError: for a job that does not fit its data, or a folder that is not its own.
        RunWriteError: where the disk does not take it.
        BudgetTooShort, TrainingDiverged, TrainingInterrupted: as they say.
    """
    job = job.anchored()
    set_up_process(job.compute)
    feed = Feed(job, loader_workers=loader_workers)
    if job.length.is_known:
        job.phases(job.total_steps(feed.counts["train"]))  # refused before anything is written
    with closing(feed), TrainFolder(folder, job, feed.fingerprints) as place:
        result = read_result(folder)
        if result is None:
            with stop_request() as stop:
                result = train_in(
                    place,
                    job,
                    feed,
                    progress=progress or Silent(),
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
        BudgetTooShort, TrainingDiverged, TrainingInterrupted: as they say, in all processes.
    """
    length = group.from_first(lambda: place.length)
    if not length.is_known:
        try:
            length, told = measured_length(job, feed, place.path, group, asks_to_stop)
        except BudgetStopped as error:
            raise TrainingInterrupted(str(error)) from None
        if group.is_first:
            place.begin(length)
        progress.note(told)
    job = replace(job, length=length)
    progress.begins()
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
        self.skipped: list[tuple[Split, list[Fault]]] = []
        if group.is_first:
            place.begin_writing()
            skips = SkipFile(place.path / SKIPPED, progress)
            feed.skipped.report_to(skips, skips.known)
        else:
            feed.skipped.report_to(lambda split, faults: self.skipped.append((split, faults)), ())
        self.checkpoint_every_s, self.asks_to_stop = checkpoint_every_s, asks_to_stop
        self.part = {"rank": group.rank, "world": group.world}
        self.images_per_epoch = job.images_per_epoch(feed.counts["train"])
        self.started = time.monotonic()
        self.state = TrainState(job, group)
        found, notes = group.from_first(place.checkpoints.latest)
        for note in notes:
            progress.note(note)
        if found is not None:
            try:
                before = self.state.load(found)
            except DAMAGE as error:
                path = place.checkpoints.path(found["step"])
                raise RunError(f"{path}: must hold this training's state: {first_line(error)}") from None
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
        job, state, compute = self.job, self.state, self.job.compute
        total_steps, batch_size = phases[-1].end, job.recipe.batch_size
        total_images = phases[-1].images_seen(total_steps)
        look_every = CUDA_LOOK_EVERY if compute.is_cuda else 1
        step = step_of(job, state)
        begun, trained_on, saved = time.monotonic(), 0, time.monotonic()
        watch = DataWatch(compute, note=self.progress.note, advice=self.feed.advice)
        for phase in phases:
            if state.step >= phase.end:
                continue
            step.begin(phase)
            batches = self.feed.train_batches(phase, start=state.step, stop=phase.end, **self.part)
            for batch, labels in watch.timed(batches, batch_size=phase.batch_size):
                seen = phase.images_seen(state.step)
                pixels, targets = step.mixed(batch, labels, phase)
                lr = learning_rate(
                    job.options, seen / batch_size, total_steps=total_images // batch_size, batch_size=phase.batch_size
                )
                loss = step(pixels, targets, lr)
                trained_on += phase.batch_size
                at_end = state.step == total_steps
                evaluated = self._evaluations_after(seen, total_images)
                evaluates = self._evaluations_after(phase.images_seen(state.step), total_images) > evaluated
                if state.step % look_every and not evaluates:
                    continue
                now = Now(
                    step=state.step,
                    total_steps=total_steps,
                    phase=phase,
                    phases=phases,
                    batch_size=phase.batch_size,
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
                    rate = trained_on / max(time.monotonic() - begun, 1e-9)
                    self._evaluate(phase, lr, rate, watch.share())
                    begun, trained_on = time.monotonic(), 0
                    watch.restart()
                if evaluates or stops or saves:
                    self._save()
                    saved = time.monotonic()
                if stops and not at_end:
                    raise TrainingInterrupted(f"stopped after step {state.step} of {total_steps}")

    def _evaluations_after(self, seen: int, total: int) -> int:
        return evaluations_after(seen, total=total, epoch=self.images_per_epoch)

    def _any(self, *questions: bool) -> list[bool]:
        """Of each question, whether it is so in any process."""
        return [count > 0 for count in self.group.sum(*map(float, questions))]

    def _is_lost(self, loss: Tensor) -> bool:
        # A loss that was lost at any step since the last evaluation is lost in the sum.
        return not bool(torch.isfinite(self.state.loss_sum + loss))

    def _save(self) -> None:
        state = self.state.to_dict(self._seconds())
        self._collect_skipped()
        if self.group.is_first:
            self.place.checkpoints.save(self.state.step, state, best_step=self.state.best_step)

    def _collect_skipped(self) -> None:
        """Give the first process what the others could not read."""
        mine, self.skipped = self.skipped, []
        for found in self.group.gather(mine)[1:]:
            if self.group.is_first:
                for split, faults in found:
                    self.feed.skipped.add(split, faults)

    def _evaluate(self, phase: Phase, lr: float, images_per_s: float, data_wait: float) -> None:
        """Both networks on the held-out images: on record, and the best remembered."""
        state = self.state
        (loss_sum,) = self.group.sum(float(state.loss_sum))
        mean_loss = loss_sum / self.group.world / state.loss_steps
        images = phase.images_seen(state.step)
        raw, averaged = state.holdout = self._accuracies("holdout")
        state.loss_sum.zero_()
        state.loss_steps = 0
        if averaged > state.best_accuracy:
            state.best_step, state.best_accuracy = state.step, averaged
        metrics = Metrics(
            step=state.step,
            epoch=images / self.feed.counts["train"],
            images=images,
            phase=phase.index,
            image_size=phase.image_size,
            lr=lr,
            loss=mean_loss,
            accuracy=raw,
            ema_accuracy=averaged,
            images_per_s=images_per_s,
            data_wait=data_wait,
            seconds=self._seconds(),
        )
        if self.group.is_first:
            self.place.append(metrics)
        self.progress.evaluated(metrics)

    def _accuracies(self, split: Split) -> tuple[float, float]:
        """Shares of a split's images that the trained and the averaged weights classify correctly; of a supernet the
        mean of some of its networks."""
        shares = []
        networks = self.state.network, self.state.average.network
        self.group.take_statistics(*networks)
        for network in networks:
            correct = count = 0.0
            for each in evaluated_networks(self.job, network, self.feed):
                found = accuracy(each, self.feed.eval_batches(split, **self.part), self.job.compute)
                correct, count = map(add, (correct, count), self.group.sum(*found))
            shares.append(correct / count)
        self._collect_skipped()
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
            params=sum(weight.numel() for weight in self.state.network.parameters()),
        )
        if self.group.is_first:
            self.place.finish(self.state.average.network, self.job, result, self.feed.model_data)
        return result
