"""Searches without training: spaces whose networks' worth is known from other people's tables.

* accel: the space of Accel-NASBench (1e11 networks on ImageNet). Truth is a surrogate fitted to its 5,138 networks:
  a quadratic in choices and costs, boosted trees on what that leaves (5-fold: 0.42 points of accuracy, 98.4 % of the
  variance, where one training's noise is 0.26). A trial sees accuracy with that noise and step time within 3 %; before
  it the step time is known within 2.5 %, as with a calibration: the quadratic without the trees, which is 1 %, the rest
  drawn.
* macro: NAS-Bench-Macro, complete. A trial sees one of the table's three trainings, truth is their mean; the table has
  no times, so MACs stand for the step time, with the same errors.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from nas.search.samplers import Costs, Domain
from search_space import Space, load_space

__all__ = ["WORLDS", "Accel", "Decisions", "Macro", "Truth", "World"]

Floats = NDArray[np.float64]
Decisions = tuple[int, ...]

ACCURACY_NOISE, TIME_NOISE, PREDICTION_ERROR = 0.0026, 0.03, 0.025
STALLED = 0.5


class Truth(NamedTuple):
    accuracy: float
    step_time: float
    params: int


class World(ABC):
    """A space whose networks' worth is known. A network is its canonical decisions here."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._truths: dict[Decisions, Truth] = {}
        self._names: dict[Decisions, Decisions] = {}
        generator = np.random.default_rng(0)
        self._multipliers = generator.integers(1, 2**62, len(space.decisions), dtype=np.uint64) * 2 + 1

    @abstractmethod
    def sizes(self, positions: NDArray[np.int64]) -> Floats:
        """Params and MACs (n, 2) of networks (n, decisions)."""

    @abstractmethod
    def _log_step_times(self, positions: NDArray[np.int64], sizes: Floats) -> tuple[Floats, float]:
        """Predicted before a drawn error is added, and what that must have for standard deviation."""

    @abstractmethod
    def _truth(self, network: Decisions) -> tuple[float, float]:
        """Accuracy, a share, and step time, over the reference's."""

    @abstractmethod
    def train(self, network: Decisions, rng: random.Random) -> float:
        """Accuracy of one training."""

    def truth(self, network: Decisions) -> Truth:
        if network not in self._truths:
            params = int(self.sizes(np.array([network]))[0, 0])
            self._truths[network] = Truth(*self._truth(network), params)
        return self._truths[network]

    def random_sizes(self, count: int) -> Floats:
        """Params and MACs of random networks."""
        highs = [len(decision.values) for decision in self.space.decisions]
        return self.sizes(np.random.default_rng(0).integers(0, highs, (count, len(highs))))

    def _drawn(self, positions: NDArray[np.int64]) -> Floats:
        """A standard normal number a network, the same whenever it is asked for."""
        mixed = (positions.astype(np.uint64) + 1) @ self._multipliers
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        drawn: Floats = ndtri(((mixed >> np.uint64(11)).astype(float) + 0.5) / 2**53)
        return drawn

    def _canonical(self, decisions: Sequence[int]) -> Decisions:
        if (described := tuple(decisions)) not in self._names:
            self._names[described] = self.space.canonical(described)
        return self._names[described]

    def domain(self, measured: Mapping[Decisions, float]) -> Domain[Decisions]:
        """As a sampler sees it. Like a step-time model that learns, the step time of a network that was `measured` is
        known from both."""
        always = self.space.active((0,) * len(self.space.decisions))
        assert all(always), "every decision counts in these spaces"
        share = PREDICTION_ERROR**2 / (PREDICTION_ERROR**2 + TIME_NOISE**2)
        low = math.exp(-1.96 * PREDICTION_ERROR)
        low_measured = math.exp(-1.96 * PREDICTION_ERROR * math.sqrt(1 - share))

        def costs(networks: Sequence[Decisions]) -> list[Costs]:
            if not networks:
                return []
            positions = np.array(networks)
            sizes = self.sizes(positions)
            logs, error = self._log_step_times(positions, sizes)
            found = []
            step_times = np.exp(logs + error * self._drawn(positions)).tolist()
            for network, (params, macs), step_time in zip(networks, sizes.tolist(), step_times, strict=True):
                lowest = step_time * low
                if network in measured:
                    step_time = step_time ** (1 - share) * measured[network] ** share
                    lowest = step_time * low_measured
                found.append(Costs(params=int(params), macs=int(macs), step_time=step_time, step_time_low=lowest))
            return found

        return Domain(
            name=self.space.name,
            decisions=self.space.decisions,
            decode=self._canonical if self.space.size() < self.space.num_encodings else tuple,
            encode=lambda network: network,
            active=lambda decisions: always,
            size=self.space.size(),
            costs=costs,
        )


class Fitted:
    """A quadratic ridge regression, and boosted trees on what it leaves."""

    def __init__(self, features: Floats, values: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.linear_model import RidgeCV

        self._centre, self._spread = features.mean(0), features.std(0)
        self._pairs = np.triu_indices(features.shape[1])
        self._ridge = RidgeCV(np.logspace(0, 3, 7)).fit(self._squares(features), values)
        self._trees = HistGradientBoostingRegressor(
            max_iter=300, learning_rate=0.03, max_leaf_nodes=8, l2_regularization=5.0, min_samples_leaf=20
        ).fit(features, values - self.quadratic(features))
        self._nodes = np.concatenate([trees[0].nodes for trees in self._trees._predictors])
        sizes = np.cumsum([0, *(len(trees[0].nodes) for trees in self._trees._predictors)])
        self._roots = sizes[:-1]
        self._baseline = float(self._trees._baseline_prediction.item())

    def _squares(self, features: Floats) -> Floats:
        scaled = (features - self._centre) / self._spread
        return np.column_stack([scaled, scaled[:, self._pairs[0]] * scaled[:, self._pairs[1]]])

    def quadratic(self, features: Floats) -> Floats:
        predicted: Floats = self._squares(features) @ self._ridge.coef_ + self._ridge.intercept_
        return predicted

    def __call__(self, network: Floats) -> float:
        """Of one network (features). The trees are walked side by side: scikit-learn's own way through them takes a
        hundred times longer for one row."""
        at = self._roots
        while not (leaf := self._nodes["is_leaf"][at].astype(bool)).all():
            nodes = self._nodes[at]
            left = network[nodes["feature_idx"]] <= nodes["num_threshold"]
            at = np.where(leaf, at, self._roots + np.where(left, nodes["left"], nodes["right"]))
        left_over = self._baseline + self._nodes["value"][at].sum()
        return float(self.quadratic(network[None])[0] + left_over)


class Accel(World):
    """Accel-NASBench; see above."""

    TREES = 0.01
    """Standard deviation of what the trees say of a step time's log, over the space."""

    def __init__(self, tables: Path) -> None:
        super().__init__(load_space("accel-nasbench"))
        table = pd.read_csv(tables / "accel_nasbench.csv.gz")
        names = {"kernel": "k", "expansion": "e", "se_ratio": "se", "depth": "l"}
        positions = []
        for decision in self.space.decisions:
            stage, _, what = decision.name.partition(".")
            values = table[f"block{int(stage.removeprefix('stage')) - 1}_{names[what]}"].to_numpy(float)
            positions.append([decision.values.index(value / 4 if what == "se_ratio" else value) for value in values])
        self._values = [np.array(decision.values, dtype=float) for decision in self.space.decisions]
        self._fill_sizes()
        networks = np.array(positions).T
        features = self._features(networks, self.sizes(networks))
        self._accuracy = Fitted(features, table.val_top1.to_numpy() / 100)
        log_time, log_speed = np.log(table.train_time.to_numpy()), np.log(table.throughput_a100.to_numpy())
        stalled = np.abs(log_time - np.polyval(np.polyfit(log_speed, log_time, 2), log_speed)) > STALLED
        self._log_time = Fitted(features[~stalled], log_time[~stalled])
        reference = np.array([self.space.encode(self.space.reference)])
        self._reference_log_time = self._log_time(self._features(reference, self.sizes(reference))[0])

    def _fill_sizes(self) -> None:
        """Every width is fixed, so a network's cost is the sum of its stages'."""

        def cost(network: Sequence[int]) -> NDArray[np.int64]:
            return np.array(self.space.decode(network).cost(self.space.image_size))

        counts = [len(values) for values in self._values]
        first = [0] * len(counts)
        self._least = cost(first)
        self._by_stage = []
        for start in range(0, len(counts), 4):
            shape = counts[start : start + 4]
            stage = [cost([*first[:start], *chosen, *first[start + 4 :]]) for chosen in product(*map(range, shape))]
            self._by_stage.append((np.array(stage) - self._least).reshape(*shape, 2))

    def sizes(self, positions: NDArray[np.int64]) -> Floats:
        total = np.tile(self._least.astype(float), (len(positions), 1))
        for place, stage in enumerate(self._by_stage):
            total += stage[tuple(positions[:, 4 * place : 4 * place + 4].T)]
        return total

    def _features(self, positions: NDArray[np.int64], sizes: Floats) -> Floats:
        chosen = [values[positions[:, place]] for place, values in enumerate(self._values)]
        return np.column_stack([*chosen, np.log(sizes)])

    def _log_step_times(self, positions: NDArray[np.int64], sizes: Floats) -> tuple[Floats, float]:
        logs = self._log_time.quadratic(self._features(positions, sizes)) - self._reference_log_time
        return logs, math.sqrt(PREDICTION_ERROR**2 - self.TREES**2)

    def _truth(self, network: Decisions) -> tuple[float, float]:
        positions = np.array([network])
        features = self._features(positions, self.sizes(positions))[0]
        return self._accuracy(features), math.exp(self._log_time(features) - self._reference_log_time)

    def train(self, network: Decisions, rng: random.Random) -> float:
        return self.truth(network).accuracy + rng.gauss(0, ACCURACY_NOISE)


class Macro(World):
    """NAS-Bench-Macro; see above."""

    def __init__(self, tables: Path) -> None:
        super().__init__(load_space("nas-bench-macro"))
        table = pd.read_csv(tables / "nas_bench_macro_cifar10.csv.gz", dtype={"arch": str})
        accuracies = table[["acc0", "acc1", "acc2"]].to_numpy() / 100
        self._trainings = {
            tuple(map(int, digits)): trainings for digits, trainings in zip(table.arch, accuracies, strict=True)
        }
        shape = [len(decision.values) for decision in self.space.decisions]
        self._sizes = np.zeros((*shape, 2))
        for network in product(*map(range, shape)):
            canonical = self._canonical(network)
            # Canonical positions are the lowest that mean the same, so they come first.
            self._sizes[network] = (
                self.space.decode(network).cost(self.space.image_size)
                if canonical == network
                else self._sizes[canonical]
            )
        self._reference_macs = self.space.reference.macs(self.space.image_size)

    def sizes(self, positions: NDArray[np.int64]) -> Floats:
        return self._sizes[tuple(positions.T)]

    def _log_step_times(self, positions: NDArray[np.int64], sizes: Floats) -> tuple[Floats, float]:
        return np.log(sizes[:, 1] / self._reference_macs), PREDICTION_ERROR

    def _truth(self, network: Decisions) -> tuple[float, float]:
        return float(self._trainings[network].mean()), float(self._sizes[network][1]) / self._reference_macs

    def train(self, network: Decisions, rng: random.Random) -> float:
        return float(rng.choice(list(self._trainings[network])))


WORLDS: dict[str, type[Accel] | type[Macro]] = {"accel": Accel, "macro": Macro}
