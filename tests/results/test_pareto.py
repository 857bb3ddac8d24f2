"""Fronts, volumes and intervals against their definitions, and against scipy."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from results import Limits, TrialResult, accuracy_interval, hypervolume, pareto_front

MakeTrial = Callable[..., TrialResult]
Point = tuple[float, float, int]

# Few different values, so that equal coordinates and equal points are common.
coarse = st.tuples(
    st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.sampled_from([0.1, 0.5, 1.0, 2.5]), st.sampled_from([10, 500, 1000])
)
fine = st.tuples(st.floats(0, 1), st.floats(0.01, 10), st.integers(1, 10**9))


def _trials(make: MakeTrial, points: Sequence[Point]) -> list[TrialResult]:
    arch = make(0).arch
    return [
        make(index, arch=arch, accuracy=accuracy, step_time_ratio=ratio, params=params)
        for index, (accuracy, ratio, params) in enumerate(points)
    ]


def _dominates(one: Point, other: Point) -> bool:
    as_good = one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]
    return as_good and one != other


@given(points=st.lists(coarse | fine, max_size=30))
def test_the_front_is_what_nothing_dominates(trial: MakeTrial, points: list[Point]) -> None:
    front = pareto_front(_trials(trial, points))
    expected = {i for i, point in enumerate(points) if not any(_dominates(other, point) for other in points)}
    assert {member.index for member in front} == expected
    accuracies = [member.accuracy for member in front]
    assert accuracies == sorted(accuracies, reverse=True)


def test_only_measured_trials_stand_on_the_front(trial: MakeTrial) -> None:
    assert pareto_front([]) == []
    assert pareto_front([trial(0, status="failed"), trial(1, status="pruned")]) == []
    assert [member.index for member in pareto_front([trial(0, status="timed_out"), trial(1)])] == [1]


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
    assert hypervolume(_trials(trial, points), reference_params) == pytest.approx(inside / steps**3, abs=3 / steps)


def test_known_volumes(trial: MakeTrial) -> None:
    assert hypervolume([], 100) == 0
    assert hypervolume([trial(0, status="failed")], 100) == 0
    at_reference = trial(0, accuracy=0.8, step_time_ratio=1.0, params=100)
    assert hypervolume([at_reference], 100) == pytest.approx(0.8 / 4)
    beyond = trial(1, accuracy=1.0, step_time_ratio=2.0, params=10)
    assert hypervolume([beyond], 100) == 0
    assert hypervolume([at_reference, beyond], 100) == pytest.approx(0.2)


@given(points=st.lists(coarse | fine, min_size=1, max_size=20))
def test_a_further_trial_never_takes_volume_away(trial: MakeTrial, points: list[Point]) -> None:
    trials = _trials(trial, points)
    assert hypervolume(trials[:-1], 1000) <= hypervolume(trials, 1000) + 1e-12
    assert 0 <= hypervolume(trials, 1000) <= 1


@given(count=st.integers(1, 5000), data=st.data())
def test_the_interval_is_wilsons(trial: MakeTrial, count: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, count))
    expected = binomtest(correct, count).proportion_ci(method="wilson")
    interval = accuracy_interval(trial(0, accuracy=correct / count, num_evaluated=count))
    assert interval is not None
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_interval_where_the_number_of_images_is_not_known(trial: MakeTrial) -> None:
    assert accuracy_interval(trial(0, num_evaluated=None)) is None
    assert accuracy_interval(trial(0, status="failed")) is None


def test_limits_allow_what_they_say(trial: MakeTrial) -> None:
    limits = Limits(max_params=2000, min_params=1000, max_step_time=1.5, min_accuracy=0.4)
    assert [limits.params_allow(params) for params in (999, 1000, 2000, 2001)] == [False, True, True, False]
    assert [limits.step_time_allows(ratio) for ratio in (0.1, 1.5, 1.6)] == [True, True, False]
    good = {"accuracy": 0.4, "step_time_ratio": 1.5, "params": 1500}
    assert limits.allow(trial(0, **good))
    for change in ({"accuracy": 0.39}, {"step_time_ratio": 1.51}, {"params": 2500}):
        assert not limits.allow(trial(0, **(good | change)))
    assert not limits.allow(trial(0, status="failed"))
    assert Limits().allow(trial(0, accuracy=0.0, step_time_ratio=1e9))


def test_what_a_limit_forbids_hides_nothing_that_it_dominates(trial: MakeTrial) -> None:
    better = trial(0, accuracy=0.9, params=50)
    worse = trial(1, accuracy=0.8, params=100)
    assert [member.index for member in pareto_front([better, worse])] == [0]
    assert [member.index for member in pareto_front([better, worse], Limits(min_params=60))] == [1]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_params": 0},
        {"min_params": 1.5},
        {"min_params": 3, "max_params": 2},
        {"max_step_time": 0},
        {"max_step_time": float("nan")},
        {"min_accuracy": 1.1},
        {"min_accuracy": float("nan")},
    ],
)
def test_limits_keep_their_rules(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Limits\.\w+ must be"):
        Limits(**limits)  # type: ignore[arg-type]
