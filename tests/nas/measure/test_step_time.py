"""Timing in turn, and the ratio with its interval. No test here asserts how long anything takes."""

from collections.abc import Callable
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from nas.measure import StepTime
from nas.measure.step_time import MIN_ROUNDS, ROUNDS, time_in_turn

SECONDS = st.floats(1e-6, 1e3)


class FakeClock:
    """Says 1, 2, 3 ... seconds."""

    def __init__(self) -> None:
        self.count = 0

    def time(self, call: Callable[[], None]) -> None:
        call()
        self.count += 1

    def seconds(self) -> list[float]:
        return [float(number) for number in range(1, self.count + 1)]


def test_calls_are_taken_strictly_in_turn_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []
    clocks: list[FakeClock] = []

    def new_clock() -> FakeClock:
        order.append("clock")
        clocks.append(FakeClock())
        return clocks[-1]

    seconds, reference_seconds = time_in_turn(
        lambda: order.append("candidate"), lambda: order.append("reference"), new_clock=new_clock, rounds=4, warm_up=2
    )
    turn = ["candidate", "reference"]
    assert order == turn * 2 + ["clock", "clock"] + turn * 4
    assert seconds == reference_seconds == [1.0, 2.0, 3.0, 4.0]
    assert clocks[0] is not clocks[1]


def of(seconds: list[float], reference_seconds: list[float]) -> StepTime:
    return StepTime.of(seconds, reference_seconds, batch_size=32, image_size=48)


def test_the_ratio_is_the_median_of_paired_ratios() -> None:
    # A load that comes in between slows both of a round: the ratio of medians would be 1.5.
    reference = [1.0, 1.0, 1.0, 1.0, 10.0, 10.0, 10.0]
    own = [2.0, 2.0, 2.0, 15.0, 20.0, 20.0, 20.0]
    step_time = of(own, reference)
    assert step_time.ratio == 2.0
    assert (step_time.seconds, step_time.reference_seconds) == (15.0, 1.0)
    assert (step_time.num_rounds, step_time.batch_size, step_time.image_size) == (7, 32, 48)


@pytest.mark.parametrize(("rounds", "low", "high"), [(6, 1, 6), (9, 2, 8), (15, 4, 12), (20, 6, 15), (30, 10, 21)])
def test_the_interval_is_that_of_the_books(rounds: int, low: int, high: int) -> None:
    # The ranks of the 95 % interval of a median, as tables of order statistics have them.
    step_time = of([float(number) for number in range(rounds, 0, -1)], [1.0] * rounds)
    assert (step_time.low, step_time.high) == (low, high)
    covered = binom.cdf(high - 1, rounds, 0.5) - binom.cdf(low - 1, rounds, 0.5)
    assert covered >= 0.95


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=MIN_ROUNDS, max_size=40))
def test_the_ratio_lies_in_its_interval(rounds: list[tuple[float, float]]) -> None:
    step_time = of([own for own, _ in rounds], [reference for _, reference in rounds])
    ratios = [own / reference for own, reference in rounds]
    assert step_time.ratio == median(ratios)
    assert step_time.low <= step_time.ratio <= step_time.high
    assert {step_time.low, step_time.high} <= set(ratios)


def test_too_few_rounds_have_no_interval() -> None:
    assert ROUNDS >= MIN_ROUNDS
    for rounds in (0, 1, MIN_ROUNDS - 1):
        with pytest.raises(ValueError, match=f"must have at least 6 rounds, got {rounds}"):
            of([1.0] * rounds, [1.0] * rounds)


def test_each_round_has_both() -> None:
    with pytest.raises(ValueError, match="shorter"):
        of([1.0] * 7, [1.0] * 6)
