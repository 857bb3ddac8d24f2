"""Gaussian process regression with a kernel made for networks: what size is worth, apart from what each decision is.

    k(x, y) = a (1 + <x_d, y_d>) + b exp(-|x_c - y_c|^2 / 2 l^2) + c exp(-|x - y|^2 / 2 m^2),   noise s

where x_d are the columns of decisions and x_c those of costs: accuracy is a smooth curve of size, plus a bit for each
decision, plus what they do together. scikit-learn's kernels cannot be told to look at some columns only, and take
twenty times as long to fit.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

__all__ = ["GaussianProcess", "likeliest_parameters"]

Floats = NDArray[np.float64]

_TYPICAL = np.log([0.03, 3.0, 3.0, 0.3, 6.0, 0.05])
"""Logs of a, b, l, c, m and s, for values of standard deviation 1."""

_DEVIATION = 1.5
_RANGE = 6.0


class _Likeness(NamedTuple):
    """Between the rows of two matrices: the inner products of decisions, plus 1, and squared distances of costs and of
    everything; all (n, m)."""

    inner: Floats
    between_costs: Floats
    between_all: Floats


def _likeness(first: Floats, second: Floats, num_costs: int) -> _Likeness:
    split = first.shape[1] - num_costs
    inner = first[:, :split] @ second[:, :split].T
    squares = [(rows**2)[:, :split].sum(1) for rows in (first, second)]
    between_decisions = np.maximum(squares[0][:, None] + squares[1] - 2 * inner, 0.0)
    between_costs = ((first[:, None, split:] - second[None, :, split:]) ** 2).sum(2)
    return _Likeness(1 + inner, between_costs, between_decisions + between_costs)


def _parts(likeness: _Likeness, parameters: Floats) -> list[Floats]:
    a, b, length, c, length_of_all, _ = np.exp(parameters)
    return [
        a * likeness.inner,
        b * np.exp(-likeness.between_costs / (2 * length**2)),
        c * np.exp(-likeness.between_all / (2 * length_of_all**2)),
    ]


def likeliest_parameters(features: Floats, values: Floats, num_costs: int) -> Floats:
    """Logs of a, b, l, c, m and s under which `values` (n), of standard deviation 1, are likeliest, given that each is
    lognormal around what is typical: 30 values alone would not settle six parameters."""
    likeness = _likeness(features, features, num_costs)
    bounds = [(typical - _RANGE, typical + _RANGE) for typical in _TYPICAL]
    found = minimize(
        _unlikeliness, _TYPICAL, args=(likeness, values), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 40},
    )  # fmt: skip
    parameters: Floats = found.x
    return parameters


def _unlikeliness(parameters: Floats, likeness: _Likeness, values: Floats) -> tuple[float, Floats]:
    """The negative log of the posterior density of the parameters but for a constant, and its gradient."""
    linear, of_costs, of_all = parts = _parts(likeness, parameters)
    noise = np.exp(parameters[-1])
    identity = np.eye(len(values))
    factor = cho_factor(sum(parts) + noise * identity, lower=True)
    weights = cho_solve(factor, values)
    slack = cho_solve(factor, identity) - np.outer(weights, weights)
    slopes = [
        linear,
        of_costs,
        of_costs * likeness.between_costs / np.exp(2 * parameters[2]),
        of_all,
        of_all * likeness.between_all / np.exp(2 * parameters[4]),
        noise * identity,
    ]
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
        covariance: Floats = sum(
            _parts(_likeness(features, self._features, self._num_costs), self._parameters),
            np.zeros((len(features), len(self._features))),
        )
        return covariance

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and variances (n), the noise of one measurement left out."""
        covariance = self._covariance(features)
        a, b, _, c, _, _ = np.exp(self._parameters)
        before = a * (1 + (features[:, : features.shape[1] - self._num_costs] ** 2).sum(1)) + b + c
        explained = (solve_triangular(self._factor[0], covariance.T, lower=True) ** 2).sum(0)
        mean: Floats = covariance @ self._weights
        return mean, np.maximum(before - explained, 1e-12)
