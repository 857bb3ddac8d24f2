"""Step time of a training step, as a ratio to a reference network that is stepped in turn with the candidate.

Machines are shared and their clocks wander. A candidate's step and a reference's step that stand side by side meet
the same machine, so the ratio of the two is kept, and its median over the rounds: under a changing load it ranks
networks as an idle machine does, where plain seconds do not (docs/log.md, benchmarks/).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

from nas.device import StepClock

__all__ = ["ROUNDS", "StepTime", "time_in_turn"]

WARM_UP_ROUNDS = 3
ROUNDS = 15
MIN_ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """`ratio` is the median of paired ratios, `low` to `high` its 95 % interval (order statistics), over `num_rounds`.

    `seconds` and `reference_seconds` are medians of this device's own clock: CPU seconds on a CPU with one thread,
    seconds between events on CUDA. They mean nothing on another device, dtype, batch or image size.
    """

    ratio: float
    low: float
    high: float
    num_rounds: int
    seconds: float
    reference_seconds: float
    batch_size: int
    image_size: int

    @classmethod
    def of(
        cls, seconds: Sequence[float], reference_seconds: Sequence[float], *, batch_size: int, image_size: int
    ) -> Self:
        """From the seconds of rounds in which candidate and reference were stepped in turn.

        Raises:
            ValueError: for fewer than 6 rounds, of which no two order statistics hold the median with 95 %.
        """
        from scipy.stats import quantile_test

        if len(seconds) < MIN_ROUNDS:
            raise ValueError(f"StepTime.of must have at least {MIN_ROUNDS} rounds, got {len(seconds)}")
        ratios = [own / reference for own, reference in zip(seconds, reference_seconds, strict=True)]
        interval: Any = quantile_test(ratios, p=0.5).confidence_interval(0.95)
        return cls(
            ratio=median(ratios),
            low=float(interval.low),
            high=float(interval.high),
            num_rounds=len(ratios),
            seconds=median(seconds),
            reference_seconds=median(reference_seconds),
            batch_size=batch_size,
            image_size=image_size,
        )


def time_in_turn(
    candidate: Callable[[], None],
    reference: Callable[[], None],
    *,
    new_clock: Callable[[], StepClock],
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP_ROUNDS,
) -> tuple[list[float], list[float]]:
    """Seconds of `rounds` calls of each, taken in turn after `warm_up` rounds that do not count."""
    for _ in range(warm_up):
        candidate()
        reference()
    candidate_clock, reference_clock = new_clock(), new_clock()
    for _ in range(rounds):
        candidate_clock.time(candidate)
        reference_clock.time(reference)
    return candidate_clock.seconds(), reference_clock.seconds()
