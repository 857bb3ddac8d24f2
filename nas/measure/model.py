"""What a training step of a network will take, before anything of it is built: a block table, corrected by what was
measured since.

    base  = sum of the network's parts in the table / the same sum of the reference network
    ratio = base x exp(a + sum over parts of (the part's share of the sum x its error) + what no table can tell)

`a` and the parts' errors are unknown and small, drawn from normal distributions: that is a Gaussian process on the log
of measured / base with a linear kernel over the shares, so each measured network corrects every network that has parts
in common with it, and each prediction has an interval. It is kept as the mean and the covariance of `a` and the errors,
to which each network adds (Bishop, Pattern Recognition and Machine Learning, 3.49): a trial costs as much late in a
search as early.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nas.measure.calibration import Calibration
from nas.measure.parts import network_parts
from search_space import ArchSpec

__all__ = ["Prediction", "StepTimeModel"]

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_SCALE, _PART, _MISFIT = 0.06, 0.1, 0.015
"""Standard deviations, in the log, of `a`, of one part's error, and of what no table can tell: with these the intervals
held what was measured of 50 networks (docs/log.md); fitting them to each run's few networks did no better."""
_EXACT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A predicted step-time ratio with its 95 % interval."""

    ratio: float
    low: float
    high: float


class StepTimeModel:
    """Predicts step-time ratios on the device, and under the conditions, of its calibration.

    Args:
        calibration: times of parts, of the space whose networks are asked for.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._times = {name: part.ratio for name, part in calibration.parts.items()}
        self._index = {name: index for index, name in enumerate(self._times)}
        self._mean = np.zeros(1 + len(self._index))
        self._covariance = np.diag([_SCALE**2, *[_PART**2] * len(self._index)])
        self.num_learned = 0
        """How many measured networks it was told of."""
        self._reference_sum, shares = self._sum_and_shares(calibration.reference)
        # The reference's own ratio is 1, and known without measuring.
        self._add(shares, 0.0, _EXACT)

    def _sum_and_shares(self, arch: ArchSpec) -> tuple[float, Floats]:
        reference = self.calibration.reference
        for name in ("activation", "padding"):
            if getattr(arch, name) != getattr(reference, name):
                raise ValueError(
                    f"no prediction: the calibration is of {name} {getattr(reference, name)!r}, "
                    f"got {getattr(arch, name)!r}"
                )
        shares = np.zeros(len(self._index))
        for part, times in network_parts(arch, self.calibration.conditions.image_size).items():
            if part.name not in self._index:
                raise ValueError(f"no prediction: the calibration does not hold the part {part.name!r}")
            shares[self._index[part.name]] += times * self._times[part.name]
        total = float(shares.sum())
        return total, shares / total

    def learn(self, arch: ArchSpec, ratio: float, low: float, high: float) -> None:
        """A network's measured ratio and its 95 % interval.

        Raises:
            ValueError: for a network with a part that is not in the calibration, or numbers that are no interval.
        """
        if not 0 < low <= ratio <= high < math.inf:
            raise ValueError(f"StepTimeModel.learn must have 0 < low <= ratio <= high, got {low}, {ratio}, {high}")
        total, shares = self._sum_and_shares(arch)
        self._add(shares, math.log(ratio / (total / self._reference_sum)), (math.log(high / low) / (2 * _Z)) ** 2)
        self.num_learned += 1

    def _add(self, shares: Floats, residual: float, variance: float) -> None:
        inputs = np.concatenate([[1.0], shares])
        towards = self._covariance @ inputs
        expected = inputs @ towards + variance + _MISFIT**2
        self._mean += towards * ((residual - inputs @ self._mean) / expected)
        self._covariance -= np.outer(towards, towards) / expected

    def predict(self, arch: ArchSpec) -> Prediction:
        """The ratio of one network.

        Raises:
            ValueError: for a network with a part, an activation or a padding that is not the calibration's.
        """
        return self.predict_all([arch])[0]

    def predict_all(self, archs: Sequence[ArchSpec]) -> list[Prediction]:
        """The ratios of many networks, faster than one by one."""
        if not archs:
            return []
        found = [self._sum_and_shares(arch) for arch in archs]
        inputs = np.column_stack([np.ones(len(found)), [shares for _, shares in found]])
        means = inputs @ self._mean
        spreads = np.sqrt(np.einsum("ij,ij->i", inputs @ self._covariance, inputs) + _MISFIT**2)
        return [
            Prediction(
                ratio=total / self._reference_sum * math.exp(mean),
                low=total / self._reference_sum * math.exp(mean - _Z * spread),
                high=total / self._reference_sum * math.exp(mean + _Z * spread),
            )
            for (total, _), mean, spread in zip(found, means, spreads, strict=True)
        ]
