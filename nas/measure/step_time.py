"""Step time of a training step, as a ratio to a reference network that is stepped in turn with the candidate.

Machines are shared and their clocks wander. A candidate's step and the reference's steps before and after it meet the
same machine, so the ratio of the two is kept, and its median over the rounds: under a changing load it ranks networks
as an idle machine does, where plain seconds do not (benchmarks/step_time.py).

    warm up: candidate and reference in turn, until neither gets faster any more
    reference; then again and again: candidate, reference
    at 10, 14, 19, 26, ... rounds: is the interval of the ratio narrow enough? then stop
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar, NamedTuple, Self, get_args

from nas.device import Compute, StepClock
from nas.train import OptimizerName, Recipe

__all__ = ["Conditions", "Interval", "Precision", "Samples", "StepTime", "interval", "time_in_turn"]

MIN_ROUNDS = 6
FIRST_LOOK, LOOKS_GROW = 10, 1.4
MIN_WARM_UP, MAX_WARM_UP = 2, 20
STILL_FASTER = 0.95
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a step time holds under, and means nothing without: `device` is the device's name, `image_size` a side in
    pixels; `optimizer` and `drop_path` are what a recipe adds to a step."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    device: str
    compute: Compute
    batch_size: int
    image_size: int
    optimizer: OptimizerName
    drop_path: float

    def __post_init__(self) -> None:
        for name in ("batch_size", "image_size"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"Conditions.{name} must be at least 1, got {getattr(self, name)}")
        if self.optimizer not in get_args(OptimizerName):
            choices = ", ".join(get_args(OptimizerName))
            raise ValueError(f"Conditions.optimizer must be one of {choices}, got {self.optimizer!r}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"Conditions.drop_path must be at least 0 and below 1, got {self.drop_path}")

    @classmethod
    def of(cls, device: str, *, recipe: Recipe, compute: Compute, batch_size: int, image_size: int) -> Self:
        """Those of steps of `recipe` on the device of that name."""
        return cls(
            device=device,
            compute=compute,
            batch_size=batch_size,
            image_size=image_size,
            optimizer=recipe.optimizer,
            drop_path=recipe.drop_path,
        )


@dataclass(frozen=True, kw_only=True)
class Precision:
    """When a measurement is good enough, or has to end.

    Args:
        width: of the ratio's 95 % interval, from its low to its high end, as a share of the ratio.
        max_rounds: steps of the candidate after which it ends in any case.
        max_seconds: of wall clock, after which it ends once there are 6 rounds, which an interval needs.
    """

    width: float = 0.02
    max_rounds: int = 100
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.width < 1:
            raise ValueError(f"Precision.width must be a share above 0 and below 1, got {self.width}")
        if self.max_rounds < MIN_ROUNDS:
            raise ValueError(f"Precision.max_rounds must be at least {MIN_ROUNDS}, got {self.max_rounds}")
        if not self.max_seconds > 0:
            raise ValueError(f"Precision.max_seconds must be above 0, got {self.max_seconds}")


class Samples(NamedTuple):
    """Seconds of each step: `reference_s` has one more than `candidate_s`, as every step of the candidate stands
    between two of the reference's."""

    candidate_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    warm_up_rounds: int

    @property
    def ratios(self) -> list[float]:
        """Each step of the candidate over the mean of the reference's before and after it."""
        around = ((before + after) / 2 for before, after in pairwise(self.reference_s))
        return [own / reference for own, reference in zip(self.candidate_s, around, strict=True)]


class Interval(NamedTuple):
    ratio: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.ratio


def interval(ratios: Sequence[float]) -> Interval:
    """Median of at least 6 ratios and its 95 % interval between two order statistics, whatever the distribution."""
    from scipy.stats import quantile_test

    found: Any = quantile_test(ratios, p=0.5).confidence_interval(CONFIDENCE)
    return Interval(median(ratios), float(found.low), float(found.high))


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """A measured step time.

    Attributes:
        ratio: median over the rounds of the candidate's seconds over the reference's around it.
        low, high: its 95 % interval (order statistics). It covers the noise of this sitting's steps; two sittings
            differ by 1 to 2 % more, and under heavy load by 2 to 3 % (docs/log.md).
        precise: whether that became as narrow as was asked for.
        samples: seconds of every step that was timed, by this device's clock: CPU seconds on a CPU with one thread,
            wall clock with several, time between events on CUDA.
        conditions: what it holds under.
    """

    ratio: float
    low: float
    high: float
    precise: bool
    samples: Samples
    conditions: Conditions

    @classmethod
    def of(cls, samples: Samples, conditions: Conditions, *, width: float) -> Self:
        """From the seconds of rounds in which candidate and reference were stepped in turn.

        Raises:
            ValueError: for fewer than 6 rounds, of which no two order statistics hold the median with 95 %.
        """
        if len(samples.candidate_s) < MIN_ROUNDS:
            raise ValueError(f"StepTime.of must have at least {MIN_ROUNDS} rounds, got {len(samples.candidate_s)}")
        found = interval(samples.ratios)
        return cls(**found._asdict(), precise=found.width <= width, samples=samples, conditions=conditions)

    @property
    def num_rounds(self) -> int:
        return len(self.samples.candidate_s)

    @property
    def seconds(self) -> float:
        """Median seconds of the candidate's step."""
        return median(self.samples.candidate_s)

    @property
    def reference_seconds(self) -> float:
        """Median seconds of the reference's step."""
        return median(self.samples.reference_s)

    @property
    def images_per_second(self) -> float:
        return self.conditions.batch_size / self.seconds


def time_in_turn(
    candidate: Callable[[], None],
    reference: Callable[[], None],
    *,
    new_clock: Callable[[], StepClock],
    precision: Precision,
    held_bytes: Callable[[], int] = lambda: 0,
) -> Samples:
    """Call both in turn until the ratio's interval is as narrow as `precision` asks, or it says to end.

    Args:
        held_bytes: memory that the device's allocator holds: warming up goes on while it grows.
    """
    deadline = time.monotonic() + precision.max_seconds
    warm_up_rounds = _warm_up((candidate, reference), new_clock, held_bytes, deadline)
    candidate_clock, reference_clock = new_clock(), new_clock()
    reference_clock.time(reference)
    rounds, next_look = 0, FIRST_LOOK
    while rounds < precision.max_rounds and (rounds < MIN_ROUNDS or time.monotonic() < deadline):
        candidate_clock.time(candidate)
        reference_clock.time(reference)
        rounds += 1
        if rounds >= next_look:
            next_look = int(next_look * LOOKS_GROW)
            taken = Samples(tuple(candidate_clock.seconds()), tuple(reference_clock.seconds()), warm_up_rounds)
            if interval(taken.ratios).width <= precision.width:
                return taken
    return Samples(tuple(candidate_clock.seconds()), tuple(reference_clock.seconds()), warm_up_rounds)


def _warm_up(
    calls: Sequence[Callable[[], None]],
    new_clock: Callable[[], StepClock],
    held_bytes: Callable[[], int],
    deadline: float,
) -> int:
    """Call all in turn until none is clearly faster than ever before and no memory is added; how many rounds it took.

    First steps choose kernels (cuDNN tries them all), compile and ask for memory.
    """
    clocks = [new_clock() for _ in calls]
    held = -1
    for number in range(1, MAX_WARM_UP + 1):
        for clock, call in zip(clocks, calls, strict=True):
            clock.time(call)
        seconds = [clock.seconds() for clock in clocks]
        held, held_before = held_bytes(), held
        faster = any(taken[-1] < STILL_FASTER * min(taken[:-1], default=float("inf")) for taken in seconds)
        settled = held <= held_before and not faster
        if number >= MIN_WARM_UP and (settled or time.monotonic() >= deadline):
            return number
    return MAX_WARM_UP
