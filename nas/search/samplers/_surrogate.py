"""What a network will be worth, from those that were measured: a Gaussian process with a linear part.

Kernels and other regressors were compared (docs/log.md): with the known costs among the inputs this one did as well in
whole searches as any that ordered networks better by themselves.
"""

import math
import random
import warnings
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.search.samplers._domain import Costs, Domain
from search_space.variation import draw

__all__ = ["Features", "Surrogate"]

T = TypeVar("T")
Floats = NDArray[np.float64]

FITS_EACH_BELOW, GROWTH, FITS_AT_MOST = 24, 1.1, 160
TAIL = 4.0
PREDICTS_AT_ONCE = 4096
"""Networks: each needs a row as long as those that were measured."""


class Features(Generic[T]):
    """Inputs of a surrogate: a decision among numbers is one column from -1 to 1, one among names a column a name; a
    decision without effect stands at 0; the logs of params and MACs, by the spread they have in the domain."""

    SAMPLE = 256

    def __init__(self, domain: Domain[T]) -> None:
        self._domain = domain
        self._columns = [_columns(decision.values) for decision in domain.decisions]
        rng = random.Random(0)
        drawn = [domain.decode(draw(domain.decisions, rng)) for _ in range(self.SAMPLE)]
        logs = _log_sizes(domain.costs(drawn))
        self._centre, self._spread = logs.mean(0), np.maximum(logs.std(0), 1e-9)

    def of(self, decisions: Sequence[Sequence[int]], costs: Sequence[Costs]) -> Floats:
        """One row a network."""
        if not decisions:
            return np.empty((0, sum(column.shape[1] for column in self._columns) + 2))
        positions = np.array(decisions)
        flags = np.array([self._domain.active(row) for row in decisions], dtype=float)
        columns = [column[positions[:, place]] * flags[:, place, None] for place, column in enumerate(self._columns)]
        return np.column_stack([*columns, (_log_sizes(costs) - self._centre) / self._spread])


def _log_sizes(costs: Sequence[Costs]) -> Floats:
    return np.log([(cost.params, max(1, cost.macs)) for cost in costs])


def _columns(values: Sequence[Any]) -> Floats:
    """What stands for each value of a decision: (values, columns)."""
    if any(isinstance(value, str) for value in values):
        return np.eye(len(values))[:, 1:] if len(values) == 2 else np.eye(len(values))
    numbers = np.array(values, dtype=float)
    span = numbers.max() - numbers.min()
    return (2 * (numbers - numbers.min()) / span - 1 if span else 0 * numbers)[:, None]


class Surrogate:
    """Predicts one quantity. Its kernel's parameters are those that the first `m` of the measured networks are most
    likely under, where `m` grows by a tenth at a time, up to 160: so they are a function of what was measured,
    whenever they are asked for."""

    def __init__(self) -> None:
        self._kernels: dict[int, Any] = {}
        self._process: Any = None
        self._centre, self._spread = 0.0, 1.0
        self.lowest = -math.inf
        """What lies below it was drawn in: such networks are not believed to be as good as they are predicted."""

    @property
    def is_fitted(self) -> bool:
        return self._process is not None

    def fit(self, features: Floats, values: Floats, pending: Floats) -> None:
        """To `features` (n, d) and `values` (n), in the order in which they were measured.

        `pending` (p, d) are networks in training: they count as measured at what is predicted of them, so that others
        are chosen.
        """
        from sklearn.gaussian_process import GaussianProcessRegressor

        m = _fitted_to(len(values))
        if m not in self._kernels:
            self._kernels[m] = _likeliest(features[:m], _scaled(values[:m])[0])
        kernel = self._kernels[m]
        scaled, self._centre, self._spread = _scaled(values)
        self.lowest = _lowest(values)
        self._process = GaussianProcessRegressor(kernel, optimizer=None).fit(features, scaled)
        if len(pending):
            believed = np.concatenate([scaled, self._process.predict(pending)])
            joined = np.concatenate([features, pending])
            self._process = GaussianProcessRegressor(kernel, optimizer=None).fit(joined, believed)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations (n), the noise of one measurement left out."""
        parts = np.array_split(features, math.ceil(len(features) / PREDICTS_AT_ONCE) or 1)
        found = [self._process.predict(part, return_std=True) for part in parts]
        mean, deviation = (np.concatenate(values) for values in zip(*found, strict=True))
        noise = self._process.kernel_.k2.noise_level
        known = np.sqrt(np.maximum(deviation**2 - noise, 1e-12))
        return self._centre + self._spread * mean, self._spread * known


def _fitted_to(count: int) -> int:
    """How many of `count` measured networks the kernel's parameters are of."""
    m = min(count, FITS_EACH_BELOW)
    while m >= FITS_EACH_BELOW and int(m * GROWTH) <= min(count, FITS_AT_MOST):
        m = int(m * GROWTH)
    return m


def _lowest(values: Floats) -> float:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle - TAIL * max(high - low, 1e-9))


def _scaled(values: Floats) -> tuple[Floats, float, float]:
    """Values in units of their spread, with its centre and size. What lies far below the others (a network that has not
    begun to learn) is drawn in: how bad it is teaches nothing of the good ones."""
    drawn = np.maximum(values, _lowest(values))
    centre, spread = float(drawn.mean()), max(float(drawn.std()), 1e-9)
    return (drawn - centre) / spread, centre, spread


def _likeliest(features: Floats, values: Floats) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    kernel = (
        ConstantKernel(0.1, (1e-4, 10.0)) * DotProduct(1.0, "fixed")
        + ConstantKernel(1.0, (1e-3, 100.0)) * RBF(5.0, (1.0, 100.0))
        + WhiteKernel(0.05, (1e-4, 1.0))
    )
    with warnings.catch_warnings():
        # A parameter at its bound is an answer too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel).fit(features, values).kernel_
