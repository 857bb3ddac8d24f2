"""The ratio with its interval, and the values that come with it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from nas.measure import Precision, Samples, StepTime
from nas.measure.step_time import FIRST_LOOK, MIN_ROUNDS, interval

SECONDS = st.floats(1e-6, 1e3)


def samples(ratios: list[float]) -> Samples:
    return Samples(tuple(ratios), (1.0,) * (len(ratios) + 1), 2)


@pytest.mark.parametrize(("rounds", "low", "high"), [(6, 1, 6), (9, 2, 8), (15, 4, 12), (20, 6, 15), (30, 10, 21)])
def test_the_interval_is_that_of_the_books(rounds: int, low: int, high: int, conditions: Any) -> None:
    # The ranks of the 95 % interval of a median, as tables of order statistics have them.
    found = StepTime.of(samples([float(number) for number in range(rounds, 0, -1)]), conditions(), width=0.02)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("rounds", [*range(MIN_ROUNDS, 40), 50, 70, 100])
def test_the_interval_is_the_narrowest_that_holds_the_median(rounds: int) -> None:
    found = interval([float(number) for number in range(1, rounds + 1)])

    def covered(low: float, high: float) -> float:
        return float(binom.cdf(high - 1, rounds, 0.5) - binom.cdf(low - 1, rounds, 0.5))

    assert found.low + found.high == rounds + 1
    assert covered(found.low, found.high) >= 0.95 > covered(found.low + 1, found.high - 1)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    # Skewed, as steps on a shared machine are; the median is 1.
    held = 0
    for _ in range(400):
        found = interval(list(np.exp(0.3 * rng.standard_normal(15)) ** 2))
        held += found.low <= 1 <= found.high
    assert binom.ppf(0.001, 400, 0.95) <= held <= binom.ppf(0.999, 400, 0.98)


def test_the_ratio_is_the_median_of_paired_ratios(conditions: Any) -> None:
    # A load that comes in between slows both of a round: the ratio of medians would be 15.
    own, reference = (2.0, 2.0, 2.0, 15.0, 20.0, 20.0, 20.0), (1.0, 1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0)
    found = StepTime.of(Samples(own, reference, 3), conditions(batch_size=30), width=0.02)
    assert found.ratio == 2.0
    assert (found.seconds, found.reference_seconds, found.num_rounds) == (15.0, 5.5, 7)
    assert found.images_per_second == 2.0


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=MIN_ROUNDS, max_size=40))
def test_the_ratio_lies_in_its_interval(conditions: Any, rounds: list[tuple[float, float]]) -> None:
    taken = Samples(tuple(own for own, _ in rounds), (1.0, *(reference for _, reference in rounds)), 2)
    found = StepTime.of(taken, conditions(), width=0.02)
    assert found.low <= found.ratio <= found.high
    assert {found.low, found.high} <= set(taken.ratios)
    assert found.precise == (found.high - found.low <= 0.02 * found.ratio) or math.isclose(
        found.high - found.low, 0.02 * found.ratio
    )


def test_too_few_rounds_have_no_interval(conditions: Any) -> None:
    assert FIRST_LOOK >= MIN_ROUNDS
    for rounds in (0, 1, MIN_ROUNDS - 1):
        with pytest.raises(ValueError, match=f"must have at least 6 rounds, got {rounds}"):
            StepTime.of(samples([1.0] * rounds), conditions(), width=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0.0}, "Precision.width must be a share above 0 and below 1, got 0.0"),
        ({"width": 1.0}, "Precision.width must be a share above 0 and below 1, got 1.0"),
        ({"width": math.nan}, "Precision.width must be a share above 0 and below 1, got nan"),
        ({"max_rounds": 5}, "Precision.max_rounds must be at least 6, got 5"),
        ({"max_seconds": 0.0}, "Precision.max_seconds must be above 0, got 0.0"),
        ({"max_seconds": math.nan}, "Precision.max_seconds must be above 0, got nan"),
    ],
)
def test_a_precision_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Precision(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "Conditions.batch_size must be at least 1, got 0"),
        ({"image_size": -1}, "Conditions.image_size must be at least 1, got -1"),
        ({"optimizer": "adam"}, "Conditions.optimizer must be one of sgd, adamw, rmsprop, got 'adam'"),
        ({"drop_path": 1.0}, "Conditions.drop_path must be at least 0 and below 1, got 1.0"),
        ({"drop_path": math.nan}, "Conditions.drop_path must be at least 0 and below 1, got nan"),
    ],
)
def test_conditions_that_cannot_be_are_refused(change: dict[str, Any], message: str, conditions: Any) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        conditions(**change)
