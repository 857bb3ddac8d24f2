"""Intervals and chances against scipy, numpy and closed forms."""

import math
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, f_oneway, t, ttest_ind

from results.intervals import Spread, chances_to_be_best, wilson_interval

samples = st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=5), max_size=6)


@given(count=st.integers(1, 5000), data=st.data())
def test_the_interval_of_a_share_is_wilsons(count: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, count))
    expected = binomtest(correct, count).proportion_ci(method="wilson")
    assert wilson_interval(correct / count, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(drawn=samples)
def test_a_pooled_spread_is_what_is_left_within_samples(drawn: list[list[float]]) -> None:
    spread = Spread.pooled(drawn)
    df = sum(len(sample) - 1 for sample in drawn)
    if not df:
        assert spread is None
        return
    assert spread is not None
    assert spread.df == df
    within = sum(np.var(sample) * len(sample) for sample in drawn)
    assert spread.deviation == pytest.approx(math.sqrt(within / df), abs=1e-9)


def test_one_sample_alone_has_its_own_deviation_and_students_interval() -> None:
    values = [0.31, 0.35, 0.36, 0.30]
    spread = Spread.pooled([values])
    assert spread is not None
    assert spread.deviation == pytest.approx(stdev(values))
    low, high = t.interval(0.95, 3, loc=0, scale=stdev(values) / 2)
    assert (-spread.half_width(4), spread.half_width(4)) == pytest.approx((low, high))


def test_a_pooled_spread_is_the_error_of_an_analysis_of_variance() -> None:
    drawn = [[1.0, 1.3, 0.8], [2.0, 2.2], [1.5, 1.4, 1.9, 1.2]]
    spread = Spread.pooled(drawn)
    assert spread is not None
    everything = [value for sample in drawn for value in sample]
    grand = sum(everything) / len(everything)
    between = sum(len(sample) * (np.mean(sample) - grand) ** 2 for sample in drawn) / 2
    assert between / spread.deviation**2 == pytest.approx(f_oneway(*drawn).statistic)


@pytest.mark.parametrize("first", [[0.50, 0.52, 0.51], [0.53, 0.55], [0.40, 0.60, 0.52, 0.51, 0.50]])
def test_of_two_the_chance_and_the_difference_are_the_t_tests(first: list[float]) -> None:
    second = [0.49, 0.51, 0.50]
    spread = Spread.pooled([first, second])
    assert spread is not None
    chance, other = chances_to_be_best([np.mean(first), np.mean(second)], [len(first), 3], spread)
    exact = 1 - ttest_ind(first, second, alternative="greater").pvalue
    assert chance == pytest.approx(exact, abs=0.011), "three standard errors of 20,000 draws"
    assert chance + other == pytest.approx(1)
    interval = ttest_ind(first, second).confidence_interval(0.95)
    assert spread.half_width(len(first), 3) == pytest.approx((interval.high - interval.low) / 2)


@given(
    means=st.lists(st.floats(-2, 2), min_size=2, max_size=6),
    count=st.integers(1, 5),
    deviation=st.floats(0, 1),
    df=st.integers(1, 20),
)
def test_chances_add_up_and_follow_the_means(means: list[float], count: int, deviation: float, df: int) -> None:
    spread = Spread(deviation=deviation, df=df)
    chances = chances_to_be_best(means, [count] * len(means), spread)
    assert sum(chances) == pytest.approx(1)
    assert chances == chances_to_be_best(means, [count] * len(means), spread), "the same question, the same answer"
    assert chances[means.index(max(means))] >= max(chances) - 0.02


def test_equal_means_have_equal_chances() -> None:
    chances = chances_to_be_best([0.1] * 4, [3] * 4, Spread(deviation=0.01, df=8))
    assert chances == pytest.approx([0.25] * 4, abs=0.011)
