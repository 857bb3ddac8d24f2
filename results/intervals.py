"""How sure a mean of trainings is: Wilson's interval, the spread of trainings pooled, the chance to be the best."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Self

__all__ = ["CONFIDENCE", "Spread", "chances_to_be_best", "wilson_interval"]

CONFIDENCE = 0.95
NUM_DRAWS = 20_000
DRAWS_SEED = 0
_Z2 = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) ** 2


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` images.

    It covers the chance of which images were held out, not that of the training: another seed differs by more.
    """
    centre = (share + _Z2 / (2 * count)) / (1 + _Z2 / count)
    half = math.sqrt(_Z2 * (share * (1 - share) / count + _Z2 / (4 * count**2))) / (1 + _Z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far trainings of one network lie from each other: the standard deviation `deviation`, known with `df`
    degrees of freedom."""

    deviation: float
    df: int

    @classmethod
    def pooled(cls, samples: Iterable[Sequence[float]], *, least: float = 0.0) -> Self | None:
        """The standard deviation within samples, which may differ in their means: sqrt(sum of squares / df), with
        df = sum(n - 1), and not below `least`. None where no sample has two values."""
        squares, df = 0.0, 0
        for sample in samples:
            if len(sample) > 1:
                mean = math.fsum(sample) / len(sample)
                squares += math.fsum((value - mean) ** 2 for value in sample)
                df += len(sample) - 1
        return cls(deviation=max(least, math.sqrt(squares / df)), df=df) if df else None

    @cached_property
    def _t(self) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.df, 0.5 + CONFIDENCE / 2))

    def half_width(self, count: int, other: int | None = None) -> float:
        """Half of the 95 % interval, by Student's t, of a mean of `count` trainings, or of its difference to a mean of
        `other`."""
        return self._t * self.deviation * math.sqrt(1 / count + (1 / other if other else 0.0))


def chances_to_be_best(means: Sequence[float], counts: Sequence[int], spread: Spread) -> list[float]:
    """The probability of each mean to be the highest in truth; they sum to 1.

    Each true mean is a normal about the one seen, of variance s^2 / count, with s^2 = deviation^2 df / chi2_df drawn
    once for all: the posterior of normal means of one unknown variance under the flat prior. By 20,000 draws of a
    fixed seed, so to about 0.004; for two it is the one-sided t-test's answer.
    """
    import numpy as np

    rng = np.random.default_rng(DRAWS_SEED)
    deviations = spread.deviation * np.sqrt(spread.df / rng.chisquare(spread.df, NUM_DRAWS))
    highest, winner = np.full(NUM_DRAWS, -np.inf), np.zeros(NUM_DRAWS, dtype=np.intp)
    for number, (mean, count) in enumerate(zip(means, counts, strict=True)):
        drawn = mean + deviations * rng.standard_normal(NUM_DRAWS) / math.sqrt(count)
        wins = drawn > highest
        highest[wins], winner[wins] = drawn[wins], number
    wins_of = np.bincount(winner, minlength=len(means))
    return [float(wins) / NUM_DRAWS for wins in wins_of]
