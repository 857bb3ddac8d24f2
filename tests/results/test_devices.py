"""Trials of different devices are never compared: they are split, or refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import Limits, Objective, TrialResult, best_trial, by_device, fronts_by_device, hypervolume, pareto_front

MakeTrial = Callable[..., TrialResult]

points = st.tuples(
    st.sampled_from(["A100", "T4", "cpu"]),
    st.sampled_from(["ok", "ok", "failed"]),
    st.sampled_from([0.2, 0.5, 0.9]),
    st.sampled_from([0.5, 1.0, 2.5]),
)


def _trials(make: MakeTrial, drawn: list[tuple[str, str, float, float]]) -> list[TrialResult]:
    return [
        make(
            index,
            device=device,
            status=status,
            **({"accuracy": accuracy, "step_time_ratio": ratio} if status == "ok" else {}),
        )
        for index, (device, status, accuracy, ratio) in enumerate(drawn)
    ]


@given(drawn=st.lists(points, max_size=12))
def test_every_measured_trial_is_with_its_device(trial: MakeTrial, drawn: list[tuple[str, str, float, float]]) -> None:
    trials = _trials(trial, drawn)
    groups = by_device(trials)
    assert list(groups) == list(dict.fromkeys(one.device for one in trials if one.ok))
    assert all(one.device == device for device, group in groups.items() for one in group)
    together = [one.index for group in groups.values() for one in group]
    assert sorted(together) == [one.index for one in trials if one.ok]


@given(drawn=st.lists(points, max_size=12), max_step_time=st.none() | st.just(1.0))
def test_a_mixture_is_split_into_the_fronts_of_its_devices_or_refused(
    trial: MakeTrial, drawn: list[tuple[str, str, float, float]], max_step_time: float | None
) -> None:
    trials, limits = _trials(trial, drawn), Limits(max_step_time=max_step_time)
    fronts = fronts_by_device(trials, limits)
    for device, front in fronts.items():
        assert front == pareto_front([one for one in trials if one.device == device], limits)
    compared = {one.device for one in trials if limits.allow(one)}
    objective = Objective(reference_params=2000)
    if len(compared) > 1:
        for ask in (lambda: pareto_front(trials, limits), lambda: best_trial(trials, objective, limits)):
            with pytest.raises(ValueError, match="must be of one device"):
                ask()
    else:
        assert pareto_front(trials, limits) == [one for front in fronts.values() for one in front]
        best = best_trial(trials, objective, limits)
        assert (best and best.device) == next(iter(compared), None)
    if len(fronts) > 1:
        with pytest.raises(ValueError, match="must be of one device"):
            hypervolume(trials, 2000)
    else:
        assert 0 <= hypervolume(trials, 2000) <= 1


def test_a_refusal_names_the_devices_and_says_what_to_do(trial: MakeTrial) -> None:
    trials = [trial(0, device="T4"), trial(1, device="A\n100"), trial(2, device="T4")]
    with pytest.raises(ValueError, match=r"got trials of 'T4' \(2\), 'A\\n100' \(1\): choose one of them") as refused:
        pareto_front(trials)
    assert len(str(refused.value).splitlines()) == 1


def test_a_failure_elsewhere_is_no_second_device(trial: MakeTrial) -> None:
    trials = [trial(0), trial(1, device="unknown", status="failed")]
    assert pareto_front(trials) == [trials[0]]
