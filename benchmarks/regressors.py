"""The table by which cost-aware's surrogate was chosen; `search_efficiency.py regressors` prints it.

Each regressor learns from the first n networks that an evolutionary search meets, and orders those that other such
searches meet last: good networks, unlike each other, which is where a sampler must tell better from worse.
"""

import random
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from worlds import Decisions, World

from nas.search.samplers import EvolutionSampler, Goal, Outcome
from nas.search.samplers._surrogate import Features, Surrogate
from results import Limits, Objective

Floats = NDArray[np.float64]
NUMBERS = (30, 50, 100, 200)
TEST_SEEDS = range(91, 95)


def compare(world: World, *, seeds: int) -> None:
    """Means over seeds, with the standard error of the first figure."""
    domain = world.domain({})
    features = Features(domain)
    tests = [network for seed in TEST_SEEDS for network in evolved(world, seed, 250)[0][150:]]
    unseen, truths = (
        features.of(tests, domain.costs(tests)),
        np.array([world.truth(network).accuracy for network in tests]),
    )
    runs = [evolved(world, seed, max(NUMBERS)) for seed in range(seeds)]
    print(f"\n### {world.space.name}, {len(tests)} good networks, {seeds} seeds\n")
    print("| regressor | n | Spearman | error (sd), points | seconds |\n| --- | --- | --- | --- | --- |")
    for n in NUMBERS:
        for name, make in REGRESSORS.items():
            figures = []
            for networks, accuracies in runs:
                start = time.process_time()
                predicted = make(features.of(networks[:n], domain.costs(networks[:n])), np.log(accuracies[:n]), unseen)
                seconds = time.process_time() - start
                error = 100 * float(np.std(np.exp(predicted) - truths))
                figures.append((float(spearmanr(predicted, truths).statistic), error, seconds))
            (rank, error, seconds), (spread, _, _) = np.mean(figures, 0), np.std(figures, 0) / np.sqrt(seeds)
            print(f"| {name} | {n} | {rank:.3f} ± {spread:.3f} | {error:.2f} | {seconds:.3f} |", flush=True)


class Young(EvolutionSampler[Any]):
    POPULATION, SAMPLE = 16, 6


def evolved(world: World, seed: int, count: int) -> tuple[list[Decisions], Floats]:
    """Networks in the order in which evolution meets them, and the accuracy that one training of each shows."""
    goal = Goal(objective=Objective(reference_params=world.space.reference.params), limits=Limits())
    sampler, rng = Young(world.domain({}), goal=goal, seed=seed), random.Random(seed)
    networks, accuracies = [], []
    for _ in range(count):
        candidate = sampler.ask()
        networks.append(candidate.decisions)
        accuracies.append(world.train(candidate.decisions, rng))
        step_time = world.truth(candidate.decisions).step_time
        sampler.tell(candidate, Outcome(accuracy=accuracies[-1], step_time=step_time))
    return networks, np.array(accuracies)


def ours(features: Floats, values: Floats, unseen: Floats) -> Floats:
    surrogate = Surrogate()
    surrogate.fit(features, values, features[:0])
    return surrogate.predict(unseen)[0]


def process(*kernel: str) -> Callable[[Floats, Floats, Floats], Floats]:
    """scikit-learn's Gaussian process of a sum of kernels over all columns."""

    def predict(features: Floats, values: Floats, unseen: Floats) -> Floats:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern, WhiteKernel

        parts = {
            "linear": lambda: ConstantKernel(0.1, (1e-4, 10)) * DotProduct(1.0, "fixed"),
            "quadratic": lambda: ConstantKernel(0.001, (1e-6, 10)) * DotProduct(1.0, "fixed") ** 2,
            "rbf": lambda: ConstantKernel(1.0, (1e-3, 100)) * RBF(5.0, (1, 100)),
            "matern": lambda: ConstantKernel(1.0, (1e-3, 100)) * Matern(5.0, (1, 100), nu=2.5),
        }
        total = WhiteKernel(0.05, (1e-4, 1))
        for name in kernel:
            total = total + parts[name]()
        return fitted(GaussianProcessRegressor(total, normalize_y=True))(features, values, unseen)

    return predict


def fitted(model: Any) -> Callable[[Floats, Floats, Floats], Floats]:
    def predict(features: Floats, values: Floats, unseen: Floats) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a kernel's parameter at its bound
            predicted: Floats = model.fit(features, values).predict(unseen)
        return predicted

    return predict


def forest(name: str, **settings: Any) -> Callable[[Floats, Floats, Floats], Floats]:
    def predict(features: Floats, values: Floats, unseen: Floats) -> Floats:
        from sklearn import ensemble

        return fitted(getattr(ensemble, name)(random_state=0, **settings))(features, values, unseen)

    return predict


def bayesian_ridge(features: Floats, values: Floats, unseen: Floats) -> Floats:
    from sklearn.linear_model import BayesianRidge

    return fitted(BayesianRidge())(features, values, unseen)


REGRESSORS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "ours: GP, size apart": ours,
    "GP, linear + RBF": process("linear", "rbf"),
    "GP, linear + Matern 5/2": process("linear", "matern"),
    "GP, linear + quadratic": process("linear", "quadratic"),
    "GP, RBF": process("rbf"),
    "Bayesian ridge": bayesian_ridge,
    "random forest": forest("RandomForestRegressor", n_estimators=100, max_features=0.5),
    "extra trees": forest("ExtraTreesRegressor", n_estimators=100, max_features=0.5),
    "boosted trees": forest("HistGradientBoostingRegressor", min_samples_leaf=5),
}
