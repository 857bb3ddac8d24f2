"""Fronts and volumes against their definitions; what is best."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import Limits, Network, Objective, TrialResult, best_network, hypervolume, networks, pareto_front

MakeTrial = Callable[..., TrialResult]
Point = tuple[float, float, int]

# Few different values, so that equal coordinates and equal points are common.
coarse = st.tuples(
    st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.sampled_from([0.1, 0.5, 1.0, 2.5]), st.sampled_from([10, 500, 1000])
)
fine = st.tuples(st.floats(0, 1), st.floats(0.01, 10), st.integers(1, 10**9))


OBJECTIVE = Objective(reference_params=1000)


def _networks(make: MakeTrial, points: Sequence[Point]) -> list[Network]:
    trials = [
        make(index, accuracy=accuracy, step_time_ratio=ratio, params=params)
        for index, (accuracy, ratio, params) in enumerate(points)
    ]
    return networks(trials, OBJECTIVE)


def _dominates(one: Point, other: Point) -> bool:
    as_good = one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]
    return as_good and one != other


@given(points=st.lists(coarse | fine, max_size=30))
def test_the_front_is_what_nothing_dominates(trial: MakeTrial, points: list[Point]) -> None:
    front = pareto_front(_networks(trial, points))
    expected = {i for i, point in enumerate(points) if not any(_dominates(other, point) for other in points)}
    assert {member.trial for member in front} == expected
    accuracies = [member.accuracy for member in front]
    assert accuracies == sorted(accuracies, reverse=True)


def test_only_measured_trials_stand_on_the_front(trial: MakeTrial) -> None:
    assert pareto_front([]) == []
    assert networks([trial(0, status="failed"), trial(1, status="pruned")], OBJECTIVE) == []
    front = pareto_front(networks([trial(0, status="timed_out"), trial(1)], OBJECTIVE))
    assert [member.trial for member in front] == [1]


@settings(max_examples=30)
@given(points=st.lists(coarse, max_size=6))
def test_the_volume_is_the_share_of_the_box_that_is_dominated(trial: MakeTrial, points: list[Point]) -> None:
    reference_params = 400
    steps = 20

    def covered(accuracy: float, ratio: float, params_ratio: float) -> bool:
        return any(a > accuracy and r < ratio and p / reference_params < params_ratio for a, r, p in points)

    cells = product(range(steps), repeat=3)
    inside = sum(covered((i + 0.5) / steps, 2 * (j + 0.5) / steps, 2 * (k + 0.5) / steps) for i, j, k in cells)
    # Cells that the surface cuts are counted whole or not: at most one layer of them a side.
    assert hypervolume(_networks(trial, points), reference_params) == pytest.approx(inside / steps**3, abs=3 / steps)


def test_known_volumes(trial: MakeTrial) -> None:
    assert hypervolume([], 100) == 0
    at_reference, beyond = _networks(trial, [(0.8, 1.0, 100), (1.0, 2.0, 10)])
    assert hypervolume([at_reference], 100) == pytest.approx(0.8 / 4)
    assert hypervolume([beyond], 100) == 0
    assert hypervolume([at_reference, beyond], 100) == pytest.approx(0.2)


@given(points=st.lists(coarse | fine, min_size=1, max_size=20))
def test_a_further_network_never_takes_volume_away(trial: MakeTrial, points: list[Point]) -> None:
    found = _networks(trial, points)
    assert hypervolume(found[:-1], 1000) <= hypervolume(found, 1000) + 1e-12
    assert 0 <= hypervolume(found, 1000) <= 1


def test_the_best_is_confirmed_where_any_is(trial: MakeTrial) -> None:
    trials = [trial(index, accuracy=accuracy) for index, accuracy in enumerate((0.5, 0.7, 0.9))]
    best = best_network(networks(trials, OBJECTIVE))
    assert best is not None
    assert (best.trial, best.confirmed) == (2, False)
    again = [
        trial(3, arch=trials[0].arch, accuracy=0.6, repeat=1),
        trial(4, arch=trials[1].arch, accuracy=0.4, repeat=1),
    ]
    best = best_network(networks(trials + again, OBJECTIVE))
    assert best is not None
    assert (best.trial, best.confirmed, best.accuracy) == (0, True, 0.6)
    best = best_network(networks(trials + again, OBJECTIVE, Limits(min_accuracy=0.65)))
    assert best is not None
    assert best.trial == 2, "no confirmed network is within the limits"
    assert best_network([]) is None


def test_of_equal_rewards_the_earlier_is_best(trial: MakeTrial) -> None:
    best = best_network(_networks(trial, [(0.2, 1.0, 100), (0.5, 1.0, 100), (0.5, 1.0, 100)]))
    assert best is not None
    assert best.trial == 1


def test_what_a_limit_forbids_hides_nothing_that_it_dominates(trial: MakeTrial) -> None:
    trials = [trial(0, accuracy=0.9, params=50), trial(1, accuracy=0.8, params=100)]
    assert [member.trial for member in pareto_front(networks(trials, OBJECTIVE))] == [0]
    assert [member.trial for member in pareto_front(networks(trials, OBJECTIVE, Limits(min_params=60)))] == [1]
