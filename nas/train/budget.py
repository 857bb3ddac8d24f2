"""How many steps of a training fit a budget of wall clock: measured once, before the first of them.

    network, average, optimizer = as the training will have them, thrown away afterwards
    the network on held-out images, timed
    for each phase: some steps to warm up, then steps with their data, timed; the learning rate is 0
    a checkpoint, timed
    the most steps, as many in each phase, that end with their evaluations and the test within what is left

The training seeds all that is random when it begins: its bits are those of the same job with that number of steps.
"""

import shutil
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from torch import nn

from nas.device import synchronize
from nas.train.checkpoint import Checkpoints
from nas.train.feed import Feed
from nas.train.folder import TIMED
from nas.train.group import Group
from nas.train.job import TrainJob
from nas.train.length import MOST, TrainLength
from nas.train.loop import accuracy
from nas.train.schedule import Phase, evaluations_after
from nas.train.state import TrainState
from nas.train.step import FullStep
from nas.train.supernets import evaluated_networks, step_of

__all__ = ["BudgetStopped", "BudgetTooShort", "Costs", "measured_length", "steps_within"]

SHARE, MOST_S = 0.05, 10.0
"""Of the budget, for the steps that are timed, all phases together; and seconds, of a phase."""
WARM_UP, LEAST = 3, 3
CUDA_LOOK_EVERY = 5
LONG = 10_000

Item = TypeVar("Item")


class BudgetTooShort(ValueError):
    """A budget of wall clock in which no step of each phase fits. Nothing was begun."""


class BudgetStopped(Exception):
    """A stop was asked for before the budget was measured. Nothing was begun."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of wall clock.

    Args:
        step_s: of a step with its data, by phase.
        evaluation_s: of both networks on all held-out images, and of a checkpoint.
        once_s: of both on all test images, of what is written at the end, and of compiling for each phase.
    """

    step_s: tuple[float, ...]
    evaluation_s: float
    once_s: float

    def of(self, job: TrainJob, total_steps: int, num_images: int) -> float:
        """Of a training of so many steps, of the recipe's batch size, on so many images."""
        phases = job.phases(total_steps)
        steps_s = sum(step_s * phase.steps for step_s, phase in zip(self.step_s, phases, strict=True))
        seen = phases[-1].images_seen(phases[-1].end)
        evaluations = evaluations_after(seen, total=seen, epoch=job.images_per_epoch(num_images))
        return steps_s + evaluations * self.evaluation_s + self.once_s


def steps_within(seconds: float, costs: Costs, job: TrainJob, num_images: int) -> int:
    """The most steps, as many in each phase, that cost no more than `seconds`; 0 where none do."""
    phases = len(costs.step_s)
    each = range(1, int(MOST) // phases)
    return phases * bisect_right(each, seconds, key=lambda steps: costs.of(job, steps * phases, num_images))


def measured_length(
    job: TrainJob, feed: Feed, folder: Path, group: Group, asks_to_stop: Callable[[], bool]
) -> tuple[TrainLength, str]:
    """`job.length` with the steps that fit its seconds, of which the measurement takes a part; and a line on it.

    Every process of `group` calls this. `folder` is the training's, in which nothing stays.

    Raises:
        BudgetTooShort, BudgetStopped: in all processes.
        RunWriteError: where the disk does not take a checkpoint.
    """
    clock = _Clock(job, group, asks_to_stop)
    state = TrainState(job, group)
    image_s, ready_s = _seconds_an_image(clock, state.network, feed)
    state.network.train()
    step = step_of(job, state)
    phases = job.phases(LONG * job.recipe.phases)
    step_s, warm_up_s = zip(*(_seconds_a_step(clock, step, feed, phase, len(phases)) for phase in phases), strict=True)
    checkpoint_s = _seconds_a_checkpoint(state, folder, group)
    holdout_s, test_s = (
        2 * (ready_s + image_s * -(-feed.counts[split] // group.world)) for split in ("holdout", "test")
    )
    compile_s = sum(warm_up_s) if job.options.compile else 0.0
    costs = Costs(step_s=step_s, evaluation_s=holdout_s + checkpoint_s, once_s=test_s + checkpoint_s + compile_s)
    num_images, spent = feed.counts["train"], clock.mean(clock.spent())
    steps = steps_within(clock.seconds - spent, costs, job, num_images)
    if not steps:
        needed = spent + costs.of(job, len(phases), num_images)
        raise BudgetTooShort(
            f"budget must be at least about {needed:.1f}s here, for a step of each of {len(phases)} phases, evaluation "
            f"and test ({spent:.1f}s to time them), got {clock.seconds:g}s"
        )
    length = job.length.measured(steps)
    each = ", ".join(f"{1000 * s:.1f} ms at {phase.image_size} px" for s, phase in zip(step_s, phases, strict=True))
    return length, (
        f"budget {length}: {steps:,} steps fit ({steps * job.recipe.batch_size / num_images:.1f} epochs), at {each}, "
        f"and {costs.evaluation_s:.2f} s an evaluation; timed in {spent:.1f} s"
    )


class _Clock:
    """What was spent of a budget; the same for all processes where `group` is asked."""

    def __init__(self, job: TrainJob, group: Group, asks_to_stop: Callable[[], bool]) -> None:
        assert job.length.seconds is not None, "only a budget of wall clock is measured"
        self.seconds, self.job, self.group = job.length.seconds, job, group
        self.asks_to_stop = asks_to_stop
        self._began = time.monotonic()

    def spent(self) -> float:
        return time.monotonic() - self._began

    def mean(self, seconds: float) -> float:
        """Over the processes."""
        return self.group.sum(seconds)[0] / self.group.world

    def window_s(self, parts: int) -> float:
        """How long one of so many parts of the steps is timed."""
        return min(MOST_S, SHARE * self.seconds / parts)


def _seconds_a_step(clock: _Clock, step: FullStep, feed: Feed, phase: Phase, num_phases: int) -> tuple[float, float]:
    """Of a step, and of those before that are not counted."""
    group, compute = clock.group, clock.job.compute
    warm_up, least = max(WARM_UP, feed.ahead), max(LEAST, feed.ahead)
    look_every = CUDA_LOOK_EVERY if compute.is_cuda else 1
    step.begin(phase)
    batches = feed.train_batches(phase, start=phase.first_step, stop=phase.end, rank=group.rank, world=group.world)
    started = began = now = time.monotonic()
    number = 0
    for number, (images, labels) in enumerate(batches, start=1 - warm_up):
        step(*step.mixed(images, labels, phase), 0.0)
        if number % look_every and number:
            continue
        synchronize(compute)
        now = time.monotonic()
        if number <= 0:
            began = now
        is_enough = number >= least and now - began >= clock.window_s(num_phases)
        stops, is_late, ends = group.sum(clock.asks_to_stop(), clock.spent() > clock.seconds, is_enough)
        if stops:
            raise BudgetStopped("stopped before the first step")
        if is_late:
            raise BudgetTooShort(
                f"budget must be longer: it was over while steps at {phase.image_size} px were timed, got "
                f"{clock.seconds:g}s"
            )
        if ends:
            break
    return clock.mean((now - began) / number), clock.mean(began - started)


def _seconds_an_image(clock: _Clock, network: nn.Module, feed: Feed) -> tuple[float, float]:
    """Of an evaluation (of a process that has no images to evaluate on, 0), and before it until the networks that are
    evaluated are ready."""
    began = time.monotonic()
    networks = evaluated_networks(clock.job, network, feed)
    ready_s, image_s = time.monotonic() - began, 0.0
    for each in networks:
        found = 0.0
        batches = feed.eval_batches("holdout", rank=clock.group.rank, world=clock.group.world)
        for some in (islice(batches, max(1, feed.ahead)), _during(clock.window_s(len(networks)), batches)):
            began = time.monotonic()
            _, seen = accuracy(each, some, clock.job.compute)
            if seen:
                found = (time.monotonic() - began) / seen
        image_s += found
    return clock.mean(image_s), clock.mean(ready_s)


def _seconds_a_checkpoint(state: TrainState, folder: Path, group: Group) -> float:
    """As the process that writes it sees it."""
    began = time.monotonic()
    content = state.to_dict(0.0)
    if group.is_first:
        try:
            Checkpoints(folder / TIMED).save(0, content, best_step=None)
        finally:
            shutil.rmtree(folder / TIMED, ignore_errors=True)
    return group.from_first(lambda: time.monotonic() - began)


def _during(seconds: float, items: Iterator[Item]) -> Iterator[Item]:
    end = time.monotonic() + seconds
    for item in items:
        yield item
        if time.monotonic() >= end:
            return
