"""How good is what each sampler finds, by number of trials? Whole searches replayed on other people's tables.

    python benchmarks/search_efficiency.py run TABLES FILE --seeds 20 --processes 2
    python benchmarks/search_efficiency.py show FILE
    python benchmarks/search_efficiency.py regressors TABLES
    python benchmarks/search_efficiency.py proposals TABLES

TABLES is the folder of accel_nasbench.csv.gz and nas_bench_macro_cifar10.csv.gz. Worlds:

* accel: the space of Accel-NASBench (4.6e9 networks on ImageNet). Truth is a surrogate fitted to its 5,138 networks:
  a quadratic in choices and costs, boosted trees on what that leaves (5-fold: 0.42 points of accuracy, 98.4 % of the
  variance, where one training's noise is 0.26). A trial sees accuracy with that noise and step time within 3 %; before
  it, the step time is known within 2.5 %, as with a calibration.
* macro: NAS-Bench-Macro, complete. A trial sees one of the table's three trainings, truth is their mean; the table has
  no times, so MACs stand for the step time, with the same errors.

A sampler's pick after n trials is the trial of the highest reward that it saw; what counts is that network's true
reward (or the true hypervolume of all n). `run` goes on where FILE ends.
"""

import argparse
import json
import math
import random
import sys
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.search.samplers import SAMPLERS, Candidate, Costs, Domain, Goal, Outcome, Sampler
from results import Limits, Objective
from search_space import Space, load_space

Floats = NDArray[np.float64]
Decisions = tuple[int, ...]


class Network(NamedTuple):
    """True accuracy and step time, and the step time that is predicted."""

    params: int
    macs: int
    accuracy: float
    step_time: float
    predicted: float


COUNTS = (30, 50, 100, 250, 300)
ACCURACY_NOISE, TIME_NOISE, PREDICTION_ERROR = 0.0026, 0.03, 0.025
STALLED = 0.5


class World(ABC):
    """A space whose networks' worth is known. A network is its canonical decisions here."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._known: dict[Decisions, Network] = {}
        self._names: dict[Decisions, Decisions] = {}

    @abstractmethod
    def _truths(self, networks: Sequence[Decisions], sizes: Floats) -> tuple[Floats, Floats]:
        """True accuracies (shares) and step times over the reference's, from decisions and (params, MACs)."""

    @abstractmethod
    def train(self, decisions: Decisions, rng: random.Random) -> float:
        """Accuracy of one training."""

    def know(self, networks: Sequence[Decisions]) -> list[Network]:
        fresh = [decisions for decisions in dict.fromkeys(networks) if decisions not in self._known]
        if fresh:
            sizes = np.array([self.space.decode(decisions).cost(self.space.image_size) for decisions in fresh])
            accuracies, step_times = self._truths(fresh, sizes)
            for decisions, (params, macs), accuracy, step_time in zip(
                fresh, sizes.tolist(), accuracies.tolist(), step_times.tolist(), strict=True
            ):
                # As wrong for one network whenever it is asked.
                wrong = random.Random(str(decisions)).gauss(0, PREDICTION_ERROR)
                self._known[decisions] = Network(params, macs, accuracy, step_time, step_time * math.exp(wrong))
        return [self._known[decisions] for decisions in networks]

    def _canonical(self, decisions: Sequence[int]) -> Decisions:
        if (described := tuple(decisions)) not in self._names:
            self._names[described] = self.space.canonical(described)
        return self._names[described]

    def domain(self, measured: Mapping[Decisions, float]) -> Domain[Decisions]:
        """As a sampler sees it. Like a step-time model that learns, the step time of a network that was `measured` is
        known from both."""
        space = self.space

        def costs(networks: Sequence[Decisions]) -> list[Costs]:
            found = []
            for decisions, network in zip(networks, self.know(networks), strict=True):
                step_time, error = network.predicted, PREDICTION_ERROR
                if decisions in measured:
                    share = PREDICTION_ERROR**2 / (PREDICTION_ERROR**2 + TIME_NOISE**2)
                    step_time = step_time ** (1 - share) * measured[decisions] ** share
                    error *= math.sqrt(1 - share)
                low = step_time * math.exp(-1.96 * error)
                found.append(Costs(params=network.params, macs=network.macs, step_time=step_time, step_time_low=low))
            return found

        return Domain(
            name=space.name,
            decisions=space.decisions,
            decode=self._canonical if space.size() < space.num_encodings else tuple,
            encode=lambda network: network,
            active=space.active,
            size=space.size(),
            costs=costs,
        )


class Fitted:
    """A quadratic ridge regression, and boosted trees on what it leaves."""

    def __init__(self, features: Floats, values: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        ridge = RidgeCV(np.logspace(0, 3, 7))
        self._quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2), ridge).fit(features, values)
        self._trees = HistGradientBoostingRegressor(
            max_iter=300, learning_rate=0.03, max_leaf_nodes=8, l2_regularization=5.0, min_samples_leaf=20
        ).fit(features, values - self._quadratic.predict(features))

    def __call__(self, features: Floats) -> Floats:
        predicted: Floats = self._quadratic.predict(features) + self._trees.predict(features)
        return predicted


class Accel(World):
    """Accel-NASBench; see above."""

    def __init__(self, tables: Path) -> None:
        super().__init__(load_space("accel-nasbench"))
        table = pd.read_csv(tables / "accel_nasbench.csv.gz")
        names = {"kernel": "k", "expansion": "e", "se_ratio": "se", "depth": "l"}
        positions = []
        for decision in self.space.decisions:
            stage, _, what = decision.name.partition(".")
            values = table[f"block{int(stage.removeprefix('stage')) - 1}_{names[what]}"].to_numpy(float)
            positions.append([decision.values.index(value / 4 if what == "se_ratio" else value) for value in values])
        networks = [tuple(row) for row in np.array(positions).T.tolist()]
        sizes = np.array([self.space.decode(network).cost(self.space.image_size) for network in networks])
        features = self._features(networks, sizes)
        self._accuracy = Fitted(features, table.val_top1.to_numpy() / 100)
        log_time, log_speed = np.log(table.train_time.to_numpy()), np.log(table.throughput_a100.to_numpy())
        stalled = np.abs(log_time - np.polyval(np.polyfit(log_speed, log_time, 2), log_speed)) > STALLED
        self._log_time = Fitted(features[~stalled], log_time[~stalled])
        reference = self.space.encode(self.space.reference)
        reference_sizes = np.array([self.space.reference.cost(self.space.image_size)])
        self._reference_log_time = self._log_time(self._features([reference], reference_sizes))[0]

    def _features(self, networks: Sequence[Decisions], sizes: Floats) -> Floats:
        values = [np.array(decision.values, dtype=float) for decision in self.space.decisions]
        positions = np.array(networks)
        chosen = np.column_stack([value[positions[:, place]] for place, value in enumerate(values)])
        return np.column_stack([chosen, np.log(sizes)])

    def _truths(self, networks: Sequence[Decisions], sizes: Floats) -> tuple[Floats, Floats]:
        features = self._features(networks, sizes)
        return self._accuracy(features), np.exp(self._log_time(features) - self._reference_log_time)

    def train(self, decisions: Decisions, rng: random.Random) -> float:
        return self.know([decisions])[0].accuracy + rng.gauss(0, ACCURACY_NOISE)


class Macro(World):
    """NAS-Bench-Macro; see above."""

    def __init__(self, tables: Path) -> None:
        super().__init__(load_space("nas-bench-macro"))
        table = pd.read_csv(tables / "nas_bench_macro_cifar10.csv.gz", dtype={"arch": str})
        accuracies = table[["acc0", "acc1", "acc2"]].to_numpy() / 100
        self._trainings = {
            tuple(map(int, digits)): trainings for digits, trainings in zip(table.arch, accuracies, strict=True)
        }

    def _truths(self, networks: Sequence[Decisions], sizes: Floats) -> tuple[Floats, Floats]:
        accuracies = np.array([self._trainings[network].mean() for network in networks])
        return accuracies, sizes[:, 1] / self.space.reference.macs(self.space.image_size)

    def train(self, decisions: Decisions, rng: random.Random) -> float:
        return float(rng.choice(list(self._trainings[decisions])))


WORLDS: dict[str, type[Accel] | type[Macro]] = {"accel": Accel, "macro": Macro}
