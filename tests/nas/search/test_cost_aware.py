"""What cost-aware believes and how it chooses, against Monte Carlo, moocore, scipy and scikit-learn."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from nas.search.samplers import (
    Asked,
    Candidate,
    CostAwareSampler,
    Costs,
    Domain,
    Goal,
    Outcome,
    RandomSampler,
    Sampler,
    Told,
)
from nas.search.samplers._acquisition import expected_gain, expected_hypervolume_growth, expected_improvement, merit
from nas.search.samplers._belief import Believed
from nas.search.samplers._surrogate import Features, Surrogate, _fitted_to
from results import Limits, Objective
from results.pareto import MAXIMISE
from search_space import Decision

Table = Domain[tuple[int, ...]]
WORST = np.array([2.0, 2.0])
VALUES = (1, 2, 3, 4)
NUM_LAYERS = 8


def table(*, times: bool = True, wakes: bool = False) -> Table:
    """Networks of eight layers, each 1 to 4 wide, and an activation; where it `wakes`, only in a wide first layer."""
    layers = tuple(Decision(name=f"layer{place}", values=VALUES) for place in range(NUM_LAYERS))
    decisions = (*layers, Decision(name="activation", values=("relu", "silu", "gelu")))

    def active(positions: Sequence[int]) -> tuple[bool, ...]:
        return (*(True,) * NUM_LAYERS, not wakes or positions[0] > 1)

    def canonical(positions: Sequence[int]) -> tuple[int, ...]:
        return tuple(position if on else 0 for position, on in zip(positions, active(positions), strict=True))

    def costs(networks: Sequence[tuple[int, ...]]) -> list[Costs]:
        return [
            Costs(params=size, macs=size * size, step_time=step_time(network) if times else None)
            for network, size in ((each, params(each)) for each in networks)
        ]

    return Domain(
        name="table",
        decisions=decisions,
        decode=canonical,
        encode=canonical,
        active=active,
        size=3 * 4**NUM_LAYERS,
        costs=costs,
    )


def params(network: Sequence[int]) -> int:
    return 1000 * sum(1 + width for width in network[:NUM_LAYERS])


def step_time(network: Sequence[int]) -> float:
    return sum((1 + width) * (1 + place / 4) for place, width in enumerate(network[:NUM_LAYERS])) / 40


def accuracy(network: Sequence[int]) -> float:
    """Late layers want to be wide, early ones narrow; silu is best."""
    gains = [width * (place - 3) for place, width in enumerate(network[:NUM_LAYERS])]
    return 0.5 + 0.005 * sum(gains) + 0.02 * (network[-1] == 1)


def outcome(network: Sequence[int], rng: random.Random | None = None) -> Outcome:
    noise = rng.gauss(0, 0.003) if rng else 0.0
    return Outcome(accuracy=accuracy(network) + noise, step_time=step_time(network))


def goal(*, front: bool = False, **limits: Any) -> Goal:
    return Goal(objective=Objective(reference_params=20_000), limits=Limits(**limits), front=front)


def search(
    sampler: Sampler[Any], count: int, ends: Callable[[Candidate[Any]], Outcome], workers: int = 1
) -> list[Candidate[Any]]:
    """`count` candidates, `workers` of them in training at any time; the last few stay there."""
    asked: list[Candidate[Any]] = []
    for _ in range(count):
        asked.append(sampler.ask())
        if len(asked) >= workers:
            ended = asked[len(asked) - workers]
            sampler.tell(ended, ends(ended))
    return asked


def rewards_of(candidates: Sequence[Candidate[Any]], wanted: Goal) -> list[float]:
    rewards = [wanted.reward(outcome(each.arch), Costs(params=params(each.arch), macs=0)) for each in candidates]
    return [-1.0 if reward is None else reward for reward in rewards]


# What a network is expected to add


@given(st.floats(-3, 3), st.floats(0.01, 2), st.floats(-3, 3))
def test_expected_improvement_is_its_integral(mean: float, deviation: float, best: float) -> None:
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    top = max(best, mean + 12 * deviation)
    integral = quad(lambda x: (x - best) * norm.pdf(x, mean, deviation), best, top, points=[max(best, mean)])[0]
    assert found == pytest.approx(integral, abs=1e-7)


def points(seed: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.column_stack([generator.uniform(0.1, 0.95, count), generator.uniform(0.1, 2.3, (count, 2))])


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_of_a_network_known_for_certain_growth_is_the_difference_of_hypervolumes(seed: int, count: int) -> None:
    front, fresh = points(seed, count), points(seed + 1, 5)
    found = expected_hypervolume_growth(np.log(fresh[:, 0]), np.full(5, 1e-9), fresh[:, 1:], front, WORST)
    for one, growth in zip(fresh, found, strict=True):
        volumes = [
            moocore.hypervolume(rows, ref=(0, 2, 2), maximise=MAXIMISE) if len(rows) else 0.0
            for rows in (front, np.vstack([front, one]))
        ]
        assert growth == pytest.approx(volumes[1] - volumes[0], abs=1e-6)


def test_growth_of_hypervolume_is_the_mean_over_accuracies() -> None:
    front, fresh = points(3, 6), points(4, 4)
    deviations = np.array([0.02, 0.1, 0.3, 0.6])
    found = expected_hypervolume_growth(np.log(fresh[:, 0]), deviations, fresh[:, 1:], front, WORST)
    drawn = np.random.default_rng(0).normal(size=1500)
    before = moocore.hypervolume(front, ref=(0, 2, 2), maximise=MAXIMISE)
    for one, deviation, growth in zip(fresh, deviations, found, strict=True):
        growths = []
        for accurate in np.minimum(1.0, one[0] * np.exp(deviation * drawn)):
            rows = np.vstack([front, [accurate, *one[1:]]])
            growths.append(moocore.hypervolume(rows, ref=(0, 2, 2), maximise=MAXIMISE) - before)
        assert growth == pytest.approx(np.mean(growths), abs=4 * np.std(growths) / np.sqrt(len(growths)) + 1e-9)


def believed(log_accuracy: Sequence[float], deviation: float, log_step_time: Sequence[float]) -> Believed:
    count = len(log_accuracy)
    return Believed(
        np.array(log_accuracy), np.full(count, deviation), np.array(log_step_time), np.full(count, 0.1), np.ones(count)
    )


def test_a_gain_counts_by_the_chance_that_limits_are_kept() -> None:
    tried = believed([-0.5], 0.01, [-1.0])
    fresh = believed([-0.4, -0.4, -0.4], 0.05, [-1.0, 0.0, 1.0])
    within, at, beyond = expected_gain(goal(max_step_time=1.0), fresh, tried) / expected_gain(goal(), fresh, tried)
    assert within == pytest.approx(1.0)
    assert at == pytest.approx(0.5)
    assert beyond < 1e-9


@pytest.mark.parametrize("front", [False, True])
def test_what_breaks_a_limit_sets_no_mark_and_comes_last(front: bool) -> None:
    tried = believed([-0.1, -0.5], 0.01, [1.0, -1.0])
    fresh = believed([-0.4], 0.05, [-1.0])
    limited = goal(front=front, max_step_time=1.0)
    alone = Believed(*(values[1:] for values in tried))
    assert expected_gain(limited, fresh, tried) == expected_gain(limited, fresh, alone)
    assert merit(limited, tried)[0] == -np.inf
    assert np.isfinite(merit(limited, tried)[1])


# What is believed


NOISE = 0.1


def features_and_values(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of standard deviation 1, seen with noise of standard deviation NOISE."""
    domain, rng = table(), random.Random(3)
    networks = [tuple(rng.randrange(size) for size in domain.sizes) for _ in range(count)]
    values = np.array([accuracy(network) for network in networks])
    noise = np.random.default_rng(4).normal(0, NOISE, count)
    return Features(domain).of(networks, domain.costs(networks)), (values - values.mean()) / values.std() + noise


def test_the_surrogate_predicts_and_knows_how_well() -> None:
    features, values = features_and_values(160)
    surrogate = Surrogate()
    surrogate.fit(features[:60], values[:60], features[:0])
    mean, deviation = surrogate.predict(features[60:])
    away = (values[60:] - mean) / np.hypot(deviation, NOISE)
    assert np.std(values[60:] - mean) < 0.2
    assert 0.5 < np.std(away) < 1.5


def test_less_is_expected_to_be_learned_where_something_is_in_training() -> None:
    features, values = features_and_values(40)
    alone, beside = Surrogate(), Surrogate()
    alone.fit(features[:30], values[:30], features[:0])
    beside.fit(features[:30], values[:30], features[30:31])
    (mean, deviation), (mean_beside, deviation_beside) = (each.predict(features[30:]) for each in (alone, beside))
    assert mean_beside == pytest.approx(mean, abs=1e-6), "what counts as measured is what was predicted"
    assert deviation_beside[0] < 0.9 * deviation[0]
    assert (deviation_beside <= deviation + 1e-9).all()


def test_one_that_did_not_begin_to_learn_teaches_nothing_of_the_others() -> None:
    features, values = features_and_values(60)
    sound, spoilt = Surrogate(), Surrogate()
    sound.fit(features[:40], values[:40], features[:0])
    spoilt.fit(features[:40], np.concatenate([values[:39], [-1000.0]]), features[:0])
    assert np.abs(sound.predict(features[40:])[0] - spoilt.predict(features[40:])[0]).max() < 1.0


def test_parameters_depend_on_what_was_measured_first_only() -> None:
    counts = [_fitted_to(count) for count in range(1, 500)]
    assert counts == sorted(counts)
    assert all(fitted <= count for count, fitted in enumerate(counts, 1))
    assert counts[:24] == list(range(1, 25))
    assert len(set(counts)) < 60, "fitted seldom once there are many"


def test_features_are_numbers_names_and_sizes() -> None:
    domain = table(wakes=True)
    features = Features(domain)
    narrow, wide = (0,) * 8 + (0,), (3,) * 8 + (2,)
    rows = features.of([narrow, wide], domain.costs([narrow, wide]))
    assert rows[0, :NUM_LAYERS].tolist() == [-1.0] * NUM_LAYERS
    assert rows[1, :NUM_LAYERS].tolist() == [1.0] * NUM_LAYERS
    assert rows[0, NUM_LAYERS:-2].tolist() == [0.0, 0.0, 0.0], "a decision without effect"
    assert rows[1, NUM_LAYERS:-2].tolist() == [0.0, 0.0, 1.0]
    # MACs are params squared here, and both stand in units of their spread.
    assert rows[:, -1] == pytest.approx(rows[:, -2])
    assert rows[0, -1] < -2 < 2 < rows[1, -1]
    assert features.of([], []).shape == (0, rows.shape[1])


# Whole searches


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_recovered_search_goes_on_as_if_it_had_not_been_interrupted(front: bool, workers: int) -> None:
    whole = CostAwareSampler(table(wakes=True), goal=goal(front=front), seed=5)
    rng = random.Random(0)
    history: list[Asked | Told] = []
    running: list[Candidate[Any]] = []
    for _ in range(20):
        running.append(whole.ask())
        history.append(Asked(index=running[-1].index, decisions=running[-1].decisions))
        if len(running) == workers:
            ended = running.pop(rng.randrange(workers))
            history.append(Told(index=ended.index, outcome=outcome(ended.arch, rng)))
            whole.tell(ended, history[-1].outcome)
    resumed = CostAwareSampler(table(wakes=True), goal=goal(front=front), seed=5)
    resumed.recover(history)
    assert resumed.picks() == whole.picks()
    assert [resumed.ask() for _ in range(4)] == [whole.ask() for _ in range(4)]


def test_candidates_of_a_batch_are_different_and_apart() -> None:
    sampler = CostAwareSampler(table(), goal=goal(), seed=0)
    search(sampler, 16, lambda candidate: outcome(candidate.arch))
    batch = [sampler.ask() for _ in range(6)]
    ranked = CostAwareSampler(table(), goal=goal(), seed=0)
    search(ranked, 16, lambda candidate: outcome(candidate.arch))
    first = ranked._rank(ranked._generator(16))[:6]
    assert len({each.decisions for each in batch}) == 6
    assert batch[0].decisions == first[0]
    assert [each.decisions for each in batch] != first, "what is in training changes what comes next"


@pytest.mark.parametrize("front", [False, True])
def test_limits_are_honoured(front: bool) -> None:
    sampler = CostAwareSampler(table(), goal=goal(front=front, max_params=16_000, max_step_time=0.7), seed=0)
    tried = search(sampler, 24, lambda candidate: outcome(candidate.arch))
    assert all(params(each.arch) <= 16_000 for each in tried)
    assert all(step_time(each.arch) <= 0.7 for each in tried)


@pytest.mark.parametrize("times", [True, False])
def test_it_finds_in_30_trials_what_random_does_not_in_300(times: bool) -> None:
    """Also where step times are not known beforehand."""
    rng = random.Random(0)
    ours, random_search = [], []
    for seed in range(2):
        sampler = CostAwareSampler(table(times=times), goal=goal(), seed=seed)
        search(sampler, 30, lambda candidate: outcome(candidate.arch, rng))
        ours.append(rewards_of(sampler.picks()[:1], goal())[0])
        drawn = search(RandomSampler(table(), goal=goal(), seed=seed), 300, lambda candidate: Outcome())
        random_search.append(max(rewards_of(drawn, goal())))
    assert min(ours) > max(random_search)


def test_a_front_grows_faster_than_at_random() -> None:
    def volume(tried: Sequence[Candidate[Any]]) -> float:
        rows = [(accuracy(each.arch), step_time(each.arch), params(each.arch) / 20_000) for each in tried]
        return float(moocore.hypervolume(rows, ref=(0, 2, 2), maximise=MAXIMISE))

    wanted = goal(front=True)
    ours = search(CostAwareSampler(table(), goal=wanted, seed=0), 30, lambda candidate: outcome(candidate.arch))
    drawn = search(RandomSampler(table(), goal=wanted, seed=0), 300, lambda candidate: Outcome())
    assert volume(ours) > volume(drawn)


def test_what_failed_counts_as_bad_and_is_never_a_pick() -> None:
    """Networks of gelu fail: it soon leaves them alone."""
    sampler = CostAwareSampler(table(), goal=goal(), seed=0)
    tried = search(sampler, 40, lambda each: Outcome() if each.arch[-1] == 2 else outcome(each.arch))
    assert sum(each.arch[-1] == 2 for each in tried[20:]) <= 4
    assert all(each.arch[-1] != 2 for each in sampler.picks())


def test_where_everything_fails_it_goes_on() -> None:
    sampler = CostAwareSampler(table(), goal=goal(), seed=0)
    assert len({each.decisions for each in search(sampler, 20, lambda candidate: Outcome())}) == 20
    assert sampler.picks() == []


def test_a_pick_is_what_is_believed_not_what_was_lucky() -> None:
    sampler = CostAwareSampler(table(), goal=goal(), seed=0)
    rng = random.Random(1)
    tried = search(sampler, 40, lambda candidate: outcome(candidate.arch, rng))
    poor = min(tried, key=lambda each: rewards_of([each], goal())[0])
    sampler.tell(poor, Outcome(accuracy=accuracy(poor.arch) + 0.02, step_time=step_time(poor.arch)))
    assert sampler.picks()[0] != poor
    assert {each.index for each in sampler.picks()} == set(range(40))
