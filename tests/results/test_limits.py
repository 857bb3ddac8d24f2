"""Limits allow what they say, and know which of them are looser."""

from collections.abc import Callable
from typing import Any

import pytest

from results import Limits, TrialResult

MakeTrial = Callable[..., TrialResult]


def test_limits_allow_what_they_say(trial: MakeTrial) -> None:
    limits = Limits(max_params=2000, min_params=1000, max_step_time=1.5, min_accuracy=0.4)
    assert [limits.params_allow(params) for params in (999, 1000, 2000, 2001)] == [False, True, True, False]
    assert [limits.step_time_allows(ratio) for ratio in (0.1, 1.5, 1.6)] == [True, True, False]
    good = {"accuracy": 0.4, "step_time_ratio": 1.5, "params": 1500}
    assert limits.allow(trial(0, **good))
    for change in ({"accuracy": 0.39}, {"step_time_ratio": 1.51}, {"params": 2500}):
        assert not limits.allow(trial(0, **(good | change)))
    assert not limits.allow(trial(0, status="failed"))
    assert Limits().allow(trial(0, accuracy=0.0, step_time_ratio=1e6))


@pytest.mark.parametrize(
    ("asked", "searched", "looser"),
    [
        ({}, {}, ()),
        ({"max_params": 5}, {}, ()),
        ({"max_params": 5}, {"max_params": 5}, ()),
        ({"max_params": 4}, {"max_params": 5}, ()),
        ({"max_params": 6}, {"max_params": 5}, ("max_params",)),
        ({"min_params": 4}, {"min_params": 5}, ("min_params",)),
        ({"min_params": 6}, {"min_params": 5}, ()),
        ({"max_step_time": 2.0}, {"max_step_time": 1.5}, ("max_step_time",)),
        ({}, {"max_params": 5, "min_params": 2, "max_step_time": 1.0}, ("max_params", "min_params", "max_step_time")),
        ({}, {"min_accuracy": 0.5}, ()),
    ],
)
def test_looser_limits_are_named(asked: dict[str, Any], searched: dict[str, Any], looser: tuple[str, ...]) -> None:
    assert Limits(**asked).looser_than(Limits(**searched)) == looser


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
