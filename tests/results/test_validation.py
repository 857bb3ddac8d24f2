"""Verdicts on trainings of which it is known how well they rank."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from results import NetworkPair, Objective, Ranking, TrialResult, TrialStatus, Validation, reward, validate

MakeTrial = Callable[..., TrialResult]


def networks(
    num: int, short_accuracy: Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray], *, seed: int = 0
) -> list[NetworkPair]:
    """Networks as a table of them has: the larger the better in the long training, roughly; `short_accuracy` follows
    from a generator, the long accuracies and the params."""
    rng = np.random.default_rng(seed)
    params = rng.integers(50_000, 500_000, size=num)
    ratios = np.exp(rng.normal(0, 0.5, size=num))
    size = np.log(params / 160_000) / 0.6
    long_accuracy = np.clip(0.7 + 0.02 * size + rng.normal(0, 0.06, size=num), 0, 1)
    short = np.clip(short_accuracy(rng, long_accuracy, size), 0, 1)
    return [
        NetworkPair(
            trial=index,
            long_trial=index,
            params=int(params[index]),
            step_time_ratio=float(ratios[index]),
            short_accuracy=float(short[index]),
            long_accuracy=float(long_accuracy[index]),
            short_reward=reward(short[index], ratios[index], params[index] / 100_000),
            long_reward=reward(long_accuracy[index], ratios[index], params[index] / 100_000),
            cost_reward=reward(1.0, ratios[index], params[index] / 100_000),
        )
        for index in range(num)
    ]


def perfect(rng: np.random.Generator, long: np.ndarray, size: np.ndarray) -> np.ndarray:
    return 0.6 * long


def noisy(rng: np.random.Generator, long: np.ndarray, size: np.ndarray) -> np.ndarray:
    return 0.6 * long + rng.normal(0, 0.005, size=len(long))


def noisier(rng: np.random.Generator, long: np.ndarray, size: np.ndarray) -> np.ndarray:
    return 0.6 * long + rng.normal(0, 0.02, size=len(long))


def useless(rng: np.random.Generator, long: np.ndarray, size: np.ndarray) -> np.ndarray:
    return rng.uniform(0.2, 0.7, size=len(long))


def size_alone(rng: np.random.Generator, long: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.full(len(long), 0.5)


def by(rankings: tuple[Ranking, ...], start: str) -> Ranking:
    return next(ranking for ranking in rankings if ranking.by.startswith(start))


def test_a_perfect_training_is_fit() -> None:
    found = validate(networks(20, perfect))
    assert found.verdict.fit
    short = found.by_long_accuracy[0]
    assert short.tau is not None
    assert (short.tau.value, short.tau.low, short.tau.high) == pytest.approx((1, 1, 1))
    assert short.short_better is None
    assert found.regret.share == pytest.approx(0)
    assert (found.regret.rank, found.regret.picked) == (1, found.regret.best)


def test_a_noisy_training_is_fit_where_enough_networks_show_it() -> None:
    many = validate(networks(40, noisy))
    assert many.verdict.fit
    assert "above 0.3 with its whole interval" in many.verdict.reasons[0]
    assert "better than each baseline" in many.verdict.reasons[1]


def test_a_useless_training_is_not_fit() -> None:
    found = validate(networks(30, useless))
    assert not found.verdict.fit
    assert "below 0.5" in found.verdict.reasons[0]
    assert found.regret.rank > 1
    assert found.regret.share > 0.01


def test_a_training_that_tells_no_more_than_cost_does_is_not_fit() -> None:
    found = validate(networks(30, size_alone))
    assert found.by_long_accuracy[0].tau is None
    cost = by(found.by_long_reward, "cost alone")
    assert cost.short_better == 0.5
    assert not found.verdict.fit
    assert any(reason.startswith("cost alone") and "ranks as well" in reason for reason in found.verdict.reasons)


def test_few_networks_show_little_and_it_is_said_how_many_would() -> None:
    found = validate(networks(8, noisier, seed=5))
    tau = found.by_long_reward[0].tau
    assert tau is not None
    assert tau.value > 0.5
    assert tau.low < 0.3
    assert not found.verdict.fit
    shown = next(reason for reason in found.verdict.reasons if "above 0.3 is not shown with 8 networks" in reason)
    needed = int(shown.split("some ")[1].split()[0])
    # The lower half of the interval is then as wide as the distance to 0.3.
    assert (tau.value - tau.low) * math.sqrt(8 / needed) == pytest.approx(tau.value - 0.3, rel=0.06)


def test_a_tau_of_exactly_one_half_is_not_below_it() -> None:
    found = validate(networks(8, noisier, seed=6))
    assert found.by_long_reward[0].tau is not None
    assert found.by_long_reward[0].tau.value == 0.5
    assert not any("below 0.5" in reason for reason in found.verdict.reasons)


def test_values_are_scipys_and_baselines_take_their_better_sign() -> None:
    pairs = networks(15, noisy, seed=5)
    found = validate(pairs)
    column = {name: [getattr(pair, name) for pair in pairs] for name in NetworkPair.__dataclass_fields__}
    for rankings, target in ((found.by_long_accuracy, "long_accuracy"), (found.by_long_reward, "long_reward")):
        for start, name in (
            ("short", target.replace("long", "short")),
            ("params", "params"),
            ("step", "step_time_ratio"),
        ):
            ranking = by(rankings, start)
            tau, rho = (
                stats.kendalltau(column[name], column[target])[0],
                stats.spearmanr(column[name], column[target])[0],
            )
            sign = -1 if ranking.order == "lowest first" else 1
            assert ranking.tau is not None
            assert ranking.rho is not None
            assert (ranking.tau.value, ranking.rho.value) == pytest.approx((sign * tau, sign * rho))
            assert ranking.tau.low <= ranking.tau.value <= ranking.tau.high
            assert ranking.tau.value >= 0 or start == "short"
    step_time = by(found.by_long_reward, "step time")
    assert step_time.order == "lowest first"
    cost = by(found.by_long_reward, "cost")
    assert cost.tau is not None
    assert cost.tau.value == pytest.approx(stats.kendalltau(column["cost_reward"], column["long_reward"])[0])


def test_the_same_pairs_have_the_same_figures_and_they_are_json() -> None:
    pairs = networks(12, noisy)
    document = validate(pairs).to_dict()
    assert document == validate(pairs).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["regret"] == document["regret"]
    assert validate(pairs, seed=1).by_long_reward != validate(pairs).by_long_reward


@given(st.integers(5, 15), st.integers(0, 50))
@settings(max_examples=15)
def test_what_holds_of_all(num: int, seed: int) -> None:
    pairs = networks(num, noisy, seed=seed)
    found = validate(pairs)
    squashed = [
        replace(pair, short_accuracy=pair.short_accuracy**2, long_reward=np.exp(pair.long_reward)) for pair in pairs
    ]
    again = validate(squashed)
    assert ranks(again) == ranks(found)
    assert again.verdict == found.verdict
    assert 0 <= found.regret.share < 1
    assert (found.regret.rank == 1) == (found.regret.share == 0)
    for ranking in found.by_long_reward[1:]:
        assert ranking.short_better is not None
        assert 0 <= ranking.short_better <= 1


def ranks(validation: Validation) -> list[Ranking]:
    return [*validation.by_long_accuracy, *validation.by_long_reward]


def test_long_rewards_that_are_all_the_same_rank_nothing() -> None:
    found = validate([replace(pair, long_reward=0.0) for pair in networks(8, noisy)])
    assert found.verdict.reasons == ("the short or the long reward is the same for all networks: none ranks",)
    assert all(ranking.tau is None and ranking.short_better is None for ranking in found.by_long_reward)
    assert found.regret.share == 0


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 networks measured in full, got 4"):
        validate(networks(4, perfect))
    with pytest.raises(ValueError, match="each network once"):
        validate([*networks(5, perfect), *networks(1, perfect)])


def test_forty_networks_take_no_time() -> None:
    pairs = networks(40, noisy)
    validate(pairs)
    start = time.perf_counter()
    validate(pairs)
    assert time.perf_counter() - start < 2


def test_a_pair_is_of_two_trials_of_one_network(trial: MakeTrial, objective: Objective) -> None:
    short = trial(3, accuracy=0.4, step_time_ratio=2.0)
    long = trial(0, arch=short.arch, accuracy=0.8, step_time_ratio=1.9)
    pair = NetworkPair.of(short, long, objective)
    assert (pair.trial, pair.long_trial, pair.params, pair.step_time_ratio) == (3, 0, short.params, 2.0)
    assert (pair.short_accuracy, pair.long_accuracy) == (0.4, 0.8)
    assert (pair.short_reward, pair.long_reward) == (objective.reward(short), objective.reward(long))
    assert pair.short_reward == pytest.approx(0.4 * pair.cost_reward)
    with pytest.raises(ValueError, match="must be of one network"):
        NetworkPair.of(short, trial(1), objective)
    with pytest.raises(ValueError, match="has no reward"):
        NetworkPair.of(short, trial(0, arch=short.arch, status=TrialStatus.DIVERGED), objective)
