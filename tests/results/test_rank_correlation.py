"""Rank correlations of resamples against scipy's, one resample at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from results.rank_correlation import NUM_RESAMPLES, Floats, correlation, resample, resampled_rho, resampled_tau

Values = st.lists(st.integers(0, 6).map(float), min_size=5, max_size=12).filter(lambda values: len(set(values)) > 1)


def two_figures(data: st.DataObject) -> tuple[Floats, Floats]:
    x = data.draw(Values)
    y = data.draw(
        st.lists(st.integers(0, 6).map(float), min_size=len(x), max_size=len(x)).filter(lambda v: len({*v}) > 1)
    )
    return np.array(x), np.array(y)


@given(st.data())
def test_each_resample_has_scipys_values(data: st.DataObject) -> None:
    x, y = two_figures(data)
    counts = resample([x, y], len(x), seed=data.draw(st.integers(0, 99)))[:8]
    for row, tau, rho in zip(counts, resampled_tau(x, y, counts), resampled_rho(x, y, counts), strict=True):
        drawn = np.repeat(np.arange(len(x)), row.astype(int))
        assert tau == pytest.approx(stats.kendalltau(x[drawn], y[drawn], variant="b").statistic)
        assert rho == pytest.approx(stats.spearmanr(x[drawn], y[drawn]).statistic)


@given(st.data())
def test_a_monotone_transform_changes_nothing(data: st.DataObject) -> None:
    x, y = two_figures(data)
    counts = resample([x, y], len(x), seed=0)[:50]
    for statistic in (resampled_tau, resampled_rho):
        plain = statistic(x, y, counts)
        np.testing.assert_array_equal(statistic(np.exp(x), y**3, counts), plain)
        np.testing.assert_allclose(statistic(-x, y, counts), -plain)
        np.testing.assert_allclose(statistic(y, x, counts), plain)


def test_a_resample_of_which_nothing_can_be_said_is_drawn_again() -> None:
    nearly_constant = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    counts = resample([nearly_constant, np.arange(5.0)], 5, seed=1)
    assert counts.shape == (NUM_RESAMPLES, 5)
    assert (counts.sum(axis=1) == 5).all()
    assert ((counts[:, 0] > 0) & (counts[:, 0] < 5)).all()
    assert np.isfinite(resampled_tau(nearly_constant, np.arange(5.0), counts)).all()


def test_the_interval_is_as_wide_as_scipys_bootstrap() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = x + rng.normal(size=20)
    ours = correlation(0.0, resampled_tau(x, y, resample([x, y], 20, seed=0)))
    theirs = stats.bootstrap(
        (x, y),
        lambda x, y: stats.kendalltau(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=1,
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)
