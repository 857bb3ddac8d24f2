"""Trials of different devices are never compared: they are split, or refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import (
    Limits,
    Objective,
    TrialResult,
    best_network,
    by_device,
    hypervolume,
    networks,
    networks_by_device,
    pareto_front,
)

MakeTrial = Callable[..., TrialResult]
OBJECTIVE = Objective(reference_params=2000)

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
def test_a_mixture_is_split_into_the_networks_of_its_devices_or_refused(
    trial: MakeTrial, drawn: list[tuple[str, str, float, float]], max_step_time: float | None
) -> None:
    trials, limits = _trials(trial, drawn), Limits(max_step_time=max_step_time)
    found = networks_by_device(trials, OBJECTIVE, limits)
    for device, of_device in found.items():
        assert of_device == networks([one for one in trials if one.device == device], OBJECTIVE, limits)
    together = [network for of_device in found.values() for network in of_device]
    if len(found) > 1:
        with pytest.raises(ValueError, match="must be of one device"):
            networks(trials, OBJECTIVE, limits)
    else:
        assert networks(trials, OBJECTIVE, limits) == together
    if len({network.device for network in together}) > 1:
        for ask in (pareto_front, best_network, lambda mixed: hypervolume(mixed, 2000)):
            with pytest.raises(ValueError, match="must be of one device"):
                ask(together)
    else:
        assert 0 <= hypervolume(together, 2000) <= 1


def test_a_refusal_names_the_devices_and_says_what_to_do(trial: MakeTrial) -> None:
    trials = [trial(0, device="T4"), trial(1, device="A\n100"), trial(2, device="T4")]
    with pytest.raises(ValueError, match=r"got 'T4' \(2\), 'A\\n100' \(1\): choose one of them") as refused:
        networks(trials, OBJECTIVE)
    assert len(str(refused.value).splitlines()) == 1


def test_a_failure_elsewhere_is_no_second_device(trial: MakeTrial) -> None:
    (network,) = networks([trial(0), trial(1, device="unknown", status="failed")], OBJECTIVE)
    assert (network.trial, network.device) == (0, "cpu")


def test_a_network_that_was_trained_again_elsewhere_is_confirmed_there_alone(trial: MakeTrial) -> None:
    found = networks_by_device(
        [trial(0, device="T4"), trial(1, arch=trial(0).arch, repeat=1, device="A100")], OBJECTIVE
    )
    (here,), (there,) = found["T4"], found["A100"]
    assert (here.trial, here.confirmed, there.trial, there.confirmed) == (0, False, 1, True)
