"""What trainings of one network say together: estimates, intervals, and which is the best."""

import cProfile
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import geometric_mean, mean, stdev, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t, ttest_ind

from results import Limits, Network, Objective, TrialResult, Weights, best_network, networks, pareto_front

MakeTrial = Callable[..., TrialResult]
OBJECTIVE = Objective(reference_params=2000)
Seen = Sequence[tuple[float, float]]


def _trials(make: MakeTrial, *networks_seen: Seen, **changes: object) -> list[TrialResult]:
    """For each network (accuracy, step time ratio) of the search's trial, then of its trainings anew."""
    return [
        make(
            100 * repeat + number,
            arch=make(number).arch,
            repeat=repeat,
            accuracy=accuracy,
            step_time_ratio=ratio,
            step_time_ratio_low=0.95 * ratio,
            step_time_ratio_high=1.1 * ratio,
            **changes,
        )
        for number, seen in enumerate(networks_seen)
        for repeat, (accuracy, ratio) in enumerate(seen)
    ]


def _wilson(accuracy: float, count: int) -> tuple[float, float]:
    found = binomtest(round(accuracy * count), count).proportion_ci(method="wilson")
    return found.low, found.high


def test_a_network_that_was_trained_once_is_its_trial(trial: MakeTrial) -> None:
    made = trial(5, accuracy=0.75, num_evaluated=400)
    (network,) = networks([made], OBJECTIVE)
    assert (network.trial, network.device, network.seed, network.key, network.arch) == (
        5,
        "cpu",
        7,
        made.key,
        made.arch,
    )
    assert (network.accuracy, network.params, network.macs) == (0.75, made.params, made.macs)
    assert (network.accuracy_low, network.accuracy_high) == pytest.approx(_wilson(0.75, 400))
    assert (network.step_time_ratio_low, network.step_time_ratio, network.step_time_ratio_high) == (0.9, 1.0, 1.1)
    assert (network.reward, network.reward_low, network.reward_high) == (OBJECTIVE.reward(made), None, None)
    assert (network.num_trainings, network.confirmed, network.p_best, network.tied) == (1, False, None, False)
    assert network.to_dict()["arch"]["stages"][0]["op"] == "mbconv"
    (unknown,) = networks([trial(0, num_evaluated=None, step_time_ratio=0.5)], OBJECTIVE)
    assert (unknown.accuracy_low, unknown.accuracy_high) == (None, None)
    assert (unknown.step_time_ratio_low, unknown.step_time_ratio_high) == (None, None)


def test_a_confirmed_network_is_judged_by_its_repeats_alone(trial: MakeTrial) -> None:
    first, again, other = networks(
        _trials(trial, [(0.9, 0.5), (0.6, 1.0), (0.7, 2.0)], [(0.8, 1.0), (0.5, 1.0)], [(0.4, 1.0)]), OBJECTIVE
    )
    assert (first.trial, first.num_trainings, first.confirmed) == (0, 2, True)
    assert first.accuracy == pytest.approx(0.65)
    assert first.step_time_ratio == pytest.approx(math.sqrt(2.0))
    assert first.reward == OBJECTIVE.weigh(first.accuracy, first.step_time_ratio, first.params)
    assert (again.trial, again.num_trainings, again.confirmed, again.accuracy) == (1, 1, True, 0.5)
    assert (other.trial, other.num_trainings, other.confirmed, other.accuracy) == (2, 1, False, 0.4)


def test_a_repeat_that_failed_counts_for_nothing(trial: MakeTrial) -> None:
    trials = [trial(0, accuracy=0.9), trial(1, arch=trial(0).arch, repeat=1, status="diverged")]
    assert networks(trials, OBJECTIVE) == networks(trials[:1], OBJECTIVE)


def test_the_order_of_the_record_does_not_matter(trial: MakeTrial) -> None:
    trials = _trials(trial, [(0.9, 0.5), (0.6, 1.0), (0.7, 2.0)], [(0.8, 1.0), (0.5, 1.0), (0.55, 0.9)], [(0.4, 1.0)])
    expected = networks(trials, OBJECTIVE)
    for seed in range(5):
        random.Random(seed).shuffle(trials)
        assert networks(trials, OBJECTIVE) == expected
    with pytest.raises(ValueError, match=r"must differ in repeat, got 1 for trials 100 and 500"):
        networks([*trials, trial(500, arch=trial(0).arch, repeat=1)], OBJECTIVE)


@given(accuracies=st.lists(st.integers(0, 100), min_size=1, max_size=4))
def test_without_a_spread_the_intervals_are_the_measurements_own(trial: MakeTrial, accuracies: list[int]) -> None:
    found = networks(_trials(trial, *([(0.9, 1.0), (share / 100, 1.5)] for share in accuracies)), OBJECTIVE)
    for network, share in zip(found, accuracies, strict=True):
        assert (network.accuracy_low, network.accuracy_high) == pytest.approx(_wilson(share / 100, 100), abs=1e-12)
        assert (network.step_time_ratio_low, network.step_time_ratio_high) == (0.95 * 1.5, 1.1 * 1.5)
        assert (network.reward_low, network.reward_high, network.p_best, network.tied) == (None, None, None, False)


SEEN: list[Seen] = [
    [(0.9, 0.5), (0.60, 0.8), (0.66, 1.2), (0.63, 1.0)],
    [(0.8, 1.0), (0.50, 1.0), (0.56, 1.5)],
    [(0.7, 1.1)],
]


def _pooled(samples: list[list[float]]) -> float:
    return math.sqrt(sum((len(one) - 1) * variance(one) for one in samples) / sum(len(one) - 1 for one in samples))


def test_the_intervals_are_students_with_the_pooled_deviation(trial: MakeTrial) -> None:
    found = networks(_trials(trial, *SEEN), OBJECTIVE)
    repeats = [seen[1:] for seen in SEEN[:2]]
    quantile = t.ppf(0.975, 3)
    s_accuracy = _pooled([[accuracy for accuracy, _ in one] for one in repeats])
    s_ratio = _pooled([[math.log(ratio) for _, ratio in one] for one in repeats])
    s_reward = _pooled([[math.log(accuracy * ratio**-0.07) for accuracy, ratio in one] for one in repeats])
    for network, seen in zip(found, SEEN, strict=True):
        counted = seen[1:] or seen
        accuracy, n = mean(accuracy for accuracy, _ in counted), len(counted)
        assert (network.accuracy, network.num_trainings) == (pytest.approx(accuracy), n)
        # Wilson's halves and Student's in quadrature.
        z2 = 1.959963984540054**2
        centre = (accuracy + z2 / 200) / (1 + z2 / 100)
        wilson = math.sqrt(z2 * (accuracy * (1 - accuracy) / 100 + z2 / 40000)) / (1 + z2 / 100)
        student = quantile * s_accuracy / math.sqrt(n)
        assert network.accuracy_low == pytest.approx(accuracy - math.hypot(accuracy - centre + wilson, student))
        assert network.accuracy_high == pytest.approx(accuracy + math.hypot(centre + wilson - accuracy, student))
        ratio = geometric_mean(ratio for _, ratio in counted)
        factor = math.exp(quantile * s_ratio / math.sqrt(n))
        assert factor > 1.1, "trainings differ by more than the measurements' own intervals say"
        assert network.step_time_ratio_low == pytest.approx(ratio / factor)
        assert network.step_time_ratio_high == pytest.approx(ratio * factor)
        factor = math.exp(quantile * s_reward / math.sqrt(n))
        assert network.reward_low == pytest.approx(network.reward / factor)
        assert network.reward_high == pytest.approx(network.reward * factor)


def test_a_step_time_is_never_surer_than_its_measurements(trial: MakeTrial) -> None:
    (network,) = networks(_trials(trial, [(0.9, 1.0), (0.6, 1.0), (0.6, 1.0), (0.6, 1.0)]), OBJECTIVE)
    assert (network.step_time_ratio_low, network.step_time_ratio_high) == pytest.approx((0.95, 1.1))
    trials = _trials(trial, [(0.9, 1.0), (0.6, 1.0), (0.6, 1.002)])
    bare = [replace(one, step_time_ratio_low=None, step_time_ratio_high=None) for one in trials]
    (network,) = networks(bare, OBJECTIVE)
    half = t.ppf(0.975, 1) * stdev([0.0, math.log(1.002)]) / math.sqrt(2)
    assert network.step_time_ratio_high == pytest.approx(network.step_time_ratio * math.exp(half))


def test_trainings_that_agree_by_chance_are_not_taken_for_sure(trial: MakeTrial) -> None:
    """Each network's two trainings have the same accuracy on 100 images: they may still differ by one of them."""
    agreeing = [[(0.9, 1.0), (0.80, 1.0), (0.80, 1.0)], [(0.9, 1.0), (0.81, 1.0), (0.81, 1.0)]]
    first, second = networks(_trials(trial, *agreeing), Objective(reference_params=2000, v=0.0))
    assert first.reward_low == pytest.approx(0.8 / math.exp(t.ppf(0.975, 2) * 0.01 / 0.805 / math.sqrt(2)))
    assert first.tied
    assert second.tied
    assert second.p_best is not None
    assert 0.6 < second.p_best < 0.95


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.05, 0.2])
def test_two_networks_compare_as_the_t_test_says(trial: MakeTrial, gap: float) -> None:
    # Accuracies are equal, so that log rewards differ by step times and params alone and their means are exact.
    logs = [[0.0, 0.02, -0.01], [1.0 + gap, 0.97 + gap]]
    objective = Objective(reference_params=2000, w=-1.0, v=0.0)
    seen: list[Seen] = [[(0.5, 1.0), *((0.5, math.exp(log)) for log in one)] for one in logs]
    seen[1] = [(accuracy, ratio * math.exp(-1.0)) for accuracy, ratio in seen[1]]
    trials = [replace(one, num_evaluated=None) for one in _trials(trial, *seen)]
    first, second = networks(trials, objective)
    rewards = [[-log for log in logs[0]], [1.0 - log for log in logs[1]]]
    exact = 1 - ttest_ind(rewards[0], rewards[1], alternative="greater").pvalue
    assert first.p_best == pytest.approx(exact, abs=0.011)
    assert first.p_best is not None
    assert second.p_best == pytest.approx(1 - first.p_best)
    assert first.tied is second.tied is bool(ttest_ind(*rewards).pvalue >= 0.05)


def test_only_the_confirmed_within_the_limits_are_compared(trial: MakeTrial) -> None:
    trials = _trials(
        trial,
        [(0.9, 1.0), (0.90, 1.0), (0.86, 1.0)],
        [(0.8, 1.0), (0.70, 1.0), (0.66, 1.0)],
        [(0.8, 1.0), (0.71, 1.0), (0.66, 1.0)],
        [(0.99, 1.0)],
    )

    def compared(limits: Limits) -> dict[int, tuple[bool, bool]]:
        return {one.trial: (one.p_best is not None, one.tied) for one in networks(trials, OBJECTIVE, limits)}

    assert compared(Limits()) == {0: (True, False), 1: (True, False), 2: (True, False), 3: (False, False)}
    small = Limits(min_params=trials[3].params)
    assert compared(small) == {1: (True, True), 2: (True, True), 3: (False, False)}
    only = [one for one in networks(trials, OBJECTIVE, small) if one.p_best is not None]
    assert sum(one.p_best or 0 for one in only) == pytest.approx(1)
    assert compared(Limits(min_accuracy=0.8)) == {0: (False, False), 3: (False, False)}
    alone, _ = networks(trials, OBJECTIVE, Limits(min_accuracy=0.8))
    everybody = networks(trials, OBJECTIVE)
    assert alone.reward_low == everybody[0].reward_low, "what limits forbid still tells how far trainings differ"


def test_a_network_that_classified_nothing_rightly_poisons_nothing(trial: MakeTrial) -> None:
    trials = _trials(trial, [(0.9, 1.0), (0.0, 1.0), (0.0, 1.0)], [(0.8, 1.0), (0.70, 1.0), (0.66, 1.0)])
    worst, best = networks(trials, OBJECTIVE)
    assert (worst.reward, worst.reward_low, worst.reward_high, worst.p_best) == (0.0, 0.0, 0.0, 0.0)
    assert (best.p_best, best.tied, worst.tied) == (1.0, False, False)


@given(
    seen=st.lists(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=4), min_size=1, max_size=5
    )
)
def test_estimates_lie_in_their_intervals(trial: MakeTrial, seen: list[list[tuple[float, float]]]) -> None:
    def holds(low: float | None, value: float, high: float | None) -> bool:
        return low is None or high is None or low - 1e-9 <= value <= high + 1e-9

    found = networks(_trials(trial, *seen), OBJECTIVE)
    for one in found:
        assert holds(one.accuracy_low, one.accuracy, one.accuracy_high)
        assert 0 <= (one.accuracy_low or 0) <= (one.accuracy_high or 1) <= 1
        assert holds(one.step_time_ratio_low, one.step_time_ratio, one.step_time_ratio_high)
        assert holds(one.reward_low, one.reward, one.reward_high)
        assert not one.tied or one.confirmed
    tied = [one for one in found if one.tied]
    assert len(tied) != 1
    if tied:
        assert max((one for one in found if one.confirmed), key=lambda one: one.reward).reward in [
            one.reward for one in tied
        ]


@pytest.mark.parametrize("w", [-10, 10])
def test_no_record_makes_a_number_too_large(trial: MakeTrial, w: float) -> None:
    low, high = 1.1e-6, 9e5
    smallest, largest, apart = (
        [(0.5, ratio) for ratio in ratios] for ratios in ((1, low, low), (1, high, high), (1, low, high))
    )
    objective = Objective(reference_params=10**18, w=w, v=-10)
    for record in ([smallest, largest, apart], [apart], [apart, [(0.5, low)]]):
        for one in networks(_trials(trial, *record), objective):
            bounds = (one.reward, one.reward_low, one.reward_high, one.step_time_ratio_low, one.step_time_ratio_high)
            assert all(bound is not None and math.isfinite(bound) for bound in bounds)


def test_coverage_is_what_is_promised(trial: MakeTrial) -> None:
    # 300 searches of 3 networks with 3 trainings each: true log rewards lie in 95 % of their intervals.
    rng = random.Random(5)
    truth, sd, inside, total = [0.5, 0.52, 0.4], 0.03, 0, 0
    base = [trial(number) for number in range(3)]
    for _ in range(300):
        trials = [
            replace(
                one,
                index=10 * repeat + number,
                repeat=repeat,
                accuracy=truth[number] * math.exp(rng.gauss(0, sd)),
            )
            for number, one in enumerate(base)
            for repeat in range(4)
        ]
        for network, accuracy in zip(networks(trials, OBJECTIVE), truth, strict=True):
            true = OBJECTIVE.weigh(accuracy, 1.0, network.params)
            inside += _between(network, true)
            total += 1
    assert inside / total == pytest.approx(0.95, abs=0.025)


def _between(network: Network, reward: float) -> bool:
    assert network.reward_low is not None
    assert network.reward_high is not None
    return network.reward_low <= reward <= network.reward_high


def test_the_work_for_many_networks_is_in_proportion(trial: MakeTrial) -> None:
    archs = [trial(number).arch for number in range(400)]

    def calls(count: int) -> int:
        trials = [trial(number, arch=archs[number]) for number in range(count)]
        profile = cProfile.Profile()
        profile.runcall(networks, trials, OBJECTIVE)
        return sum(entry.callcount for entry in profile.getstats())

    calls(100)
    assert calls(400) < 4.5 * calls(100)


def _judged(make: MakeTrial) -> list[TrialResult]:
    """Three networks that a supernet judged; the first two trained alone, twice each way."""
    seen = {
        0: [(0.6, Weights.SUPERNET), (0.40, Weights.OWN), (0.42, Weights.OWN), (0.5, Weights.INHERITED)],
        1: [(0.5, Weights.SUPERNET), (0.44, Weights.OWN), (0.46, Weights.OWN), (0.4, Weights.INHERITED)],
        2: [(0.7, Weights.SUPERNET)],
    }
    return [
        make(100 * repeat + number, arch=make(number).arch, repeat=repeat, accuracy=accuracy, weights=weights)
        for number, trainings in seen.items()
        for repeat, (accuracy, weights) in enumerate(trainings)
    ]


def test_what_a_supernet_judged_and_what_was_trained_alone_do_not_mix(trial: MakeTrial) -> None:
    trials = _judged(trial)
    found = networks(trials, OBJECTIVE)
    judged = [one for one in trials if one.weights is Weights.SUPERNET]
    assert [replace(one, alone=None, inherited=None) for one in found] == networks(judged, OBJECTIVE)
    alone = networks([one for one in trials if one.weights is Weights.OWN], OBJECTIVE)
    assert [one.alone for one in found] == [replace(alone[0], trial=0), replace(alone[1], trial=1), None]
    assert [one.alone and one.alone.accuracy for one in found] == [pytest.approx(0.41), pytest.approx(0.45), None]
    assert [one.inherited and one.inherited.accuracy for one in found] == [0.5, 0.4, None]
    assert found[1].alone is not None
    assert found[1].alone.confirmed
    assert found[1].final == found[1].alone
    assert found[2].final == found[2]
    best = best_network(found)
    assert best is not None
    assert best.trial == 1, "by the trainings alone"
    assert [one.trial for one in pareto_front(found)] == [2, 0], "by the supernet"


def test_limits_are_of_what_the_supernet_says(trial: MakeTrial) -> None:
    found = networks(_judged(trial), OBJECTIVE, Limits(min_accuracy=0.55))
    assert [one.trial for one in found] == [0, 2]
    assert found[0].alone is not None


def test_trainings_from_inherited_weights_alone_are_as_any(trial: MakeTrial) -> None:
    one = trial(0, weights=Weights.INHERITED)
    (network,) = networks([one], OBJECTIVE)
    assert network == networks([replace(one, weights=Weights.OWN)], OBJECTIVE)[0]
