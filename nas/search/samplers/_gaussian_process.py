"""Gaussian process regression with a kernel made for networks: what size is worth, apart from what each decision is.

    k(x, y) = a (1 + <x_d, y_d>) + b (1 + <x_c, y_c> / C)^2 + c exp(-|x - y|^2 / 2 l^2),   noise s

where x_d are the columns of decisions and x_c the C columns of costs: accuracy is a parabola over size, plus a bit for
each decision, plus what they do together. scikit-learn's kernels cannot be told to look at some columns only, and its
fits take twenty times as long.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

__all__ = ["GaussianProcess", "likeliest_parameters"]

Floats = NDArray[np.float64]

_TYPICAL = np.log([0.03, 1.0, 0.3, 6.0, 0.05])
"""Logs of a, b, c, l and s, for values of standard deviation 1."""

_DEVIATION = 1.5
_RANGE = 6.0


class _Likeness(NamedTuple):
    """Of the rows of two matrices, what the kernel is made of: 1 and the inner product of decisions; the square of 1
    and that of costs; the squared distance of everything. All (n, m)."""

    decisions: Floats
    costs: Floats
    distance: Floats


def _likeness(first: Floats, second: Floats, num_costs: int) -> _Likeness:
    split = first.shape[1] - num_costs
    of_decisions = first[:, :split] @ second[:, :split].T
    of_costs = first[:, split:] @ second[:, split:].T
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)
    distance = np.maximum(squares - 2 * (of_decisions + of_costs), 0.0)
    return _Likeness(1 + of_decisions, (1 + of_costs / num_costs) ** 2, distance)


def _parts(likeness: _Likeness, parameters: Floats) -> list[Floats]:
    a, b, c, length, _ = np.exp(parameters)
    return [a * likeness.decisions, b * likeness.costs, c * np.exp(-likeness.distance / (2 * length**2))]


def likeliest_parameters(features: Floats, values: Floats, num_costs: int) -> Floats:
    """Logs of a, b, c, l and s under which `values` (n), of standard deviation 1, are likeliest, given that each is
    lognormal around what is typical: 30 values alone would not settle five parameters."""
    likeness = _likeness(features, features, num_costs)
    found = minimize(
        _unlikeliness,
        _TYPICAL,
        args=(likeness, values),
        jac=True,
        method="L-BFGS-B",
        bounds=[(typical - _RANGE, typical + _RANGE) for typical in _TYPICAL],
        options={"maxiter": 40},
    )
    parameters: Floats = found.x
    return parameters


def _unlikeliness(parameters: Floats, likeness: _Likeness, values: Floats) -> tuple[float, Floats]:
    """The negative log of the posterior density of the parameters but for a constant, and its gradient."""
    parts = _parts(likeness, parameters)
    noise = np.exp(parameters[-1]) * np.eye(len(values))
    factor = cho_factor(sum(parts) + noise, lower=True)
    weights = cho_solve(factor, values)
    slack = cho_solve(factor, np.eye(len(values))) - np.outer(weights, weights)
    slopes = [*parts, parts[-1] * likeness.distance / np.exp(2 * parameters[3]), noise]
    gradient = np.array([(slack * slope).sum() / 2 for slope in slopes])
    away = (parameters - _TYPICAL) / _DEVIATION
    value = values @ weights / 2 + np.log(np.diag(factor[0])).sum() + away @ away / 2
    return float(value), gradient + away / _DEVIATION


class GaussianProcess:
    """Given its parameters, as of `likeliest_parameters`; the last `num_costs` columns of features are costs."""

    def __init__(self, parameters: Floats, num_costs: int) -> None:
        self._parameters = parameters
        self._num_costs = num_costs

    def fit(self, features: Floats, values: Floats) -> Self:
        """To `features` (n, d) and `values` (n), whose mean is 0."""
        self._features = features
        covariance = self._covariance(features) + np.exp(self._parameters[-1]) * np.eye(len(values))
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, values)
        return self

    def _covariance(self, features: Floats) -> Floats:
        first, second, third = _parts(_likeness(features, self._features, self._num_costs), self._parameters)
        return first + second + third

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and variances (n), the noise of one measurement left out."""
        covariance = self._covariance(features)
        split = features.shape[1] - self._num_costs
        lengths, lengths_of_costs = ((columns**2).sum(1) for columns in (features[:, :split], features[:, split:]))
        a, b, c, _, _ = np.exp(self._parameters)
        before = a * (1 + lengths) + b * (1 + lengths_of_costs / self._num_costs) ** 2 + c
        explained = (solve_triangular(self._factor[0], covariance.T, lower=True) ** 2).sum(0)
        mean: Floats = covariance @ self._weights
        return mean, np.maximum(before - explained, 1e-12)
