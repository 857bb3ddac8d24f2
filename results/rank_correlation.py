"""Rank correlations of networks with their bootstrap intervals, all resamples at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Correlation", "Floats", "correlation", "resample", "resampled_rho", "resampled_tau"]

NUM_RESAMPLES = 4000
CONFIDENCE = 0.95
DIGITS = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A rank correlation with its 95 % percentile bootstrap interval over networks."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def correlation(value: float, resampled: Floats) -> Correlation:
    """`value`, with the interval that the values of the resamples give."""
    # scipy's 14 of 28 pairs is 0.49999999999999994.
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Correlation(value=round(float(value), DIGITS), low=float(low), high=float(high))


def resample(figures: Sequence[Floats], size: int, seed: int) -> Floats:
    """How often each of `size` networks is drawn: (NUM_RESAMPLES, `size`), a row a resample.

    A resample in which one of `figures` is the same for all of its networks is drawn again: no correlation is defined
    there. Each of `figures` differs between two networks at least.
    """
    generator = np.random.default_rng(seed)
    differs = [(values[:, None] != values).astype(np.float64) for values in figures]
    kept: list[Floats] = []
    while sum(map(len, kept)) < NUM_RESAMPLES:
        counts = generator.multinomial(size, np.full(size, 1 / size), size=NUM_RESAMPLES).astype(np.float64)
        kept.append(counts[np.all([_pairs(matrix, counts) > 0 for matrix in differs], axis=0)])
    return np.concatenate(kept)[:NUM_RESAMPLES]


def _pairs(matrix: Floats, counts: Floats) -> Floats:
    """The sum of a matrix over all ordered pairs of networks of each resample."""
    return np.asarray(((counts @ matrix) * counts).sum(axis=1))


def resampled_tau(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Kendall's tau-b of each resample: a network drawn twice is a tie in both."""
    sign_x, sign_y = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    untied = _pairs(np.abs(sign_x), counts) * _pairs(np.abs(sign_y), counts)
    return np.asarray(_pairs(sign_x * sign_y, counts) / np.sqrt(untied))


def resampled_rho(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Spearman's rho of each resample: Pearson's of the ranks, ties at their mean."""
    # A rank is what lies below and half of what is equal; its mean is half of all.
    rank_x, rank_y = (
        counts @ ((values[:, None] < values) + 0.5 * (values[:, None] == values)) - counts.sum(axis=1)[:, None] / 2
        for values in (x, y)
    )
    variances = (counts * rank_x**2).sum(axis=1) * (counts * rank_y**2).sum(axis=1)
    return np.asarray((counts * rank_x * rank_y).sum(axis=1) / np.sqrt(variances))
