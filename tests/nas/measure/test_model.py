"""Predictions, against Bayesian linear regression as the books have it and against truths that are made up."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import exp, log
from statistics import mean, median
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from nas.measure import Calibration, Prediction, StepTimeModel, network_parts
from nas.measure.model import _EXACT, _MISFIT, _PART, _SCALE
from search_space import ArchSpec, Space, load_space

Z = norm.ppf(0.975)


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space("efficientnetv2-tiny")


@pytest.fixture(scope="module")
def table(space: Space, calibration_of: Any) -> Calibration:
    rng = random.Random(5)
    found: Calibration = calibration_of(space, ratio=lambda: rng.uniform(0.01, 0.3))
    return found


def archs_of(space: Space, count: int, seed: int = 0) -> list[ArchSpec]:
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


def times(table: Calibration, arch: ArchSpec) -> NDArray[np.float64]:
    """Seconds in each part of the table, in the network."""
    stands = {part.name: count for part, count in network_parts(arch, table.conditions.image_size).items()}
    return np.array([stands.get(name, 0) * part.ratio for name, part in table.parts.items()])


class Books:
    """Bishop, Pattern Recognition and Machine Learning, equations 3.50, 3.51, 3.58 and 3.59, with a prior that differs
    from weight to weight and a noise that differs from point to point."""

    def __init__(self, table: Calibration) -> None:
        self.table = table
        self.reference_sum = times(table, table.reference).sum()
        self.prior = np.diag([1 / _SCALE**2, *[1 / _PART**2] * len(table.parts)])
        self.inputs, self.targets, self.variances = [self.features(table.reference)], [0.0], [_EXACT + _MISFIT**2]

    def features(self, arch: ArchSpec) -> NDArray[np.float64]:
        taken = times(self.table, arch)
        return np.array([1.0, *taken / taken.sum()])

    def base(self, arch: ArchSpec) -> float:
        return float(times(self.table, arch).sum() / self.reference_sum)

    def learn(self, arch: ArchSpec, ratio: float, low: float, high: float) -> None:
        self.inputs.append(self.features(arch))
        self.targets.append(log(ratio / self.base(arch)))
        self.variances.append(((log(high) - log(low)) / (2 * Z)) ** 2 + _MISFIT**2)

    def predict(self, arch: ArchSpec) -> Prediction:
        inputs, weights = np.array(self.inputs), np.diag(1 / np.array(self.variances))
        covariance = np.linalg.inv(self.prior + inputs.T @ weights @ inputs)
        posterior = covariance @ inputs.T @ weights @ np.array(self.targets)
        point, base = self.features(arch), self.base(arch)
        centre, spread = point @ posterior, np.sqrt(_MISFIT**2 + point @ covariance @ point)
        return Prediction(
            ratio=base * exp(centre), low=base * exp(centre - Z * spread), high=base * exp(centre + Z * spread)
        )


def numbers(found: Prediction) -> tuple[float, float, float]:
    return found.low, found.ratio, found.high


@pytest.mark.parametrize("count", [0, 1, 5, 30])
def test_it_is_bayesian_linear_regression(count: int, space: Space, table: Calibration) -> None:
    model, books, rng = StepTimeModel(table), Books(table), random.Random(count)
    for arch in archs_of(space, count):
        ratio, width = books.base(arch) * rng.lognormvariate(0.05, 0.1), rng.uniform(0.005, 0.1)
        for learner in (model, books):
            learner.learn(arch, ratio, ratio * (1 - width), ratio * (1 + width))
    assert model.num_learned == count
    asked = [space.reference, *archs_of(space, 20, seed=1), *archs_of(space, count)]
    for arch, found in zip(asked, model.predict_all(asked), strict=True):
        assert numbers(found) == pytest.approx(numbers(books.predict(arch)), rel=1e-9)
        assert numbers(model.predict(arch)) == pytest.approx(numbers(found), rel=1e-12)
        assert found.low < found.ratio < found.high


def test_the_reference_is_predicted_as_1(space: Space, table: Calibration) -> None:
    model = StepTimeModel(table)
    found = model.predict(space.reference)
    assert found.ratio == 1.0
    assert found.low < 1 < found.high
    for arch in archs_of(space, 20):
        ratio = 1.1 * model.predict(arch).ratio
        model.learn(arch, ratio, 0.98 * ratio, 1.02 * ratio)
    found = model.predict(space.reference)
    assert found.low < 1 < found.high


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_measured_network_pulls_its_prediction_and_narrows_it(
    factor: float, space: Space, table: Calibration
) -> None:
    model, arch = StepTimeModel(table), archs_of(space, 1)[0]
    before = model.predict(arch)
    measured = factor * before.ratio
    for _ in range(3):
        model.learn(arch, measured, 0.99 * measured, 1.01 * measured)
        after = model.predict(arch)
        assert abs(log(after.ratio / measured)) < abs(log(before.ratio / measured))
        assert after.high / after.low < before.high / before.low
        before = after


def test_a_vague_measurement_teaches_less(space: Space, table: Calibration) -> None:
    arch = archs_of(space, 1)[0]
    found = []
    for width in (0.005, 0.05, 0.5):
        model = StepTimeModel(table)
        ratio = 1.3 * model.predict(arch).ratio
        model.learn(arch, ratio, ratio * (1 - width), ratio * (1 + width))
        found.append(model.predict(arch))
    assert all(sharp.ratio > vague.ratio for sharp, vague in pairwise(found))
    assert all(sharp.high / sharp.low < vague.high / vague.low for sharp, vague in pairwise(found))


def test_an_interval_without_width_can_be_learned(space: Space, table: Calibration) -> None:
    model, arch = StepTimeModel(table), archs_of(space, 1)[0]
    for _ in range(2):
        model.learn(arch, 1.5, 1.5, 1.5)
    assert model.predict(arch).low > 0


def truths(space: Space, table: Calibration, seed: int) -> Iterator[tuple[ArchSpec, float]]:
    """Networks with ratios of parts whose times are not quite the table's, and of a rest that no part explains."""
    rng = random.Random(seed)
    errors = np.array([rng.lognormvariate(0, 0.1) for _ in table.parts])
    reference = float(times(table, space.reference) @ errors)
    while True:
        arch = space.sample(rng)
        yield arch, float(times(table, arch) @ errors) / reference * rng.lognormvariate(0.04, 0.015)


def test_what_is_learned_makes_predictions_better_and_intervals_hold(space: Space, table: Calibration) -> None:
    errors: dict[int, list[float]] = {0: [], 10: [], 60: []}
    held: dict[int, list[bool]] = {count: [] for count in errors}
    for seed in range(5):
        rng, source = random.Random(seed), truths(space, table, seed)
        model, asked = StepTimeModel(table), [next(source) for _ in range(40)]
        for count in range(max(errors) + 1):
            if count in errors:
                found = model.predict_all([arch for arch, _ in asked])
                for prediction, (_, true) in zip(found, asked, strict=True):
                    errors[count].append(abs(prediction.ratio / true - 1))
                    held[count].append(prediction.low <= true <= prediction.high)
            arch, true = next(source)
            measured = true * rng.lognormvariate(0, 0.01)
            model.learn(arch, measured, measured * exp(-0.01 * Z), measured * exp(0.01 * Z))
    typical = [median(errors[count]) for count in sorted(errors)]
    assert typical == sorted(typical, reverse=True)
    assert typical[-1] < typical[0] / 1.5
    assert all(mean(held[count]) >= 0.85 for count in held)


def test_nothing_asked_is_nothing_predicted(table: Calibration) -> None:
    assert StepTimeModel(table).predict_all([]) == []


def test_a_network_with_an_unknown_part_is_refused(space: Space, table: Calibration) -> None:
    model, other = StepTimeModel(table), space.reference.with_num_classes(11)
    unknown = "no prediction: the calibration does not hold the part 'head 64-128 k1 e1 s1 se0 @2 c11'"
    with pytest.raises(ValueError, match=unknown):
        model.predict_all([space.reference, other])
    with pytest.raises(ValueError, match=unknown):
        model.learn(other, 1.0, 0.9, 1.1)
    assert model.num_learned == 0


@pytest.mark.parametrize(("name", "value"), [("activation", "relu"), ("padding", "same")])
def test_a_network_of_another_kind_is_refused(name: str, value: str, space: Space, table: Calibration) -> None:
    other = replace(space.reference, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"no prediction: the calibration is of {name} '.*', got '{value}'"):
        StepTimeModel(table).predict(other)


@pytest.mark.parametrize(
    "interval", [(0.0, 0.0, 1.0), (1.0, 1.1, 1.2), (1.0, 0.8, 0.9), (float("nan"),) * 3, (1.0, 0.9, float("inf"))]
)
def test_what_is_no_interval_is_not_learned(
    interval: tuple[float, float, float], space: Space, table: Calibration
) -> None:
    model = StepTimeModel(table)
    with pytest.raises(ValueError, match="must have 0 < low <= ratio <= high, got "):
        model.learn(space.reference, *interval)
    assert model.num_learned == 0
