"""A record keeps its rules, and comes back from its line as it was."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import TrialResult, TrialStatus

MakeTrial = Callable[..., TrialResult]
NUMBERS = (
    "accuracy",
    "step_time_ratio",
    "step_time_s",
    "step_time_reference_s",
    "step_time_predicted",
    "step_time_predicted_low",
    "step_time_predicted_high",
    "train_loss",
    "seconds",
    "device_seconds",
    "started_s",
    "ended_s",
)


@given(
    index=st.integers(0, 10_000_000),
    seed=st.integers(0, 2**59),
    accuracy=st.floats(0, 1),
    ratio=st.floats(1e-6, 1e6),
    worker=st.text(max_size=40),
    decisions=st.none() | st.lists(st.integers(0, 50), max_size=30).map(tuple),
)
def test_a_record_comes_back_from_its_line(
    trial: MakeTrial, index: int, seed: int, accuracy: float, ratio: float, worker: str, decisions: Any
) -> None:
    made = replace(
        trial(0, accuracy=accuracy, step_time_ratio=ratio), index=index, seed=seed, worker=worker, decisions=decisions
    )
    line = made.to_json()
    assert len(line.splitlines()) == 1
    assert TrialResult.from_json(line) == made


@pytest.mark.parametrize("status", [status for status in TrialStatus if status is not TrialStatus.OK])
def test_a_failure_is_a_record(trial: MakeTrial, status: TrialStatus) -> None:
    made = trial(3, status=status, reason="why it ended")
    assert not made.ok
    assert TrialResult.from_json(made.to_json()) == made
    assert json.loads(made.to_json())["status"] == status.value


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, True, "1"])
def test_what_is_no_finite_number_never_gets_in(trial: MakeTrial, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"TrialResult\.{name} must be"):
        trial(0, **{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_never_read(trial: MakeTrial, name: str, text: str) -> None:
    document = json.loads(trial(0).to_json())
    line = json.dumps(document | {name: "@"}).replace('"@"', text)
    with pytest.raises(ValueError, match=r"finite|JSON"):
        TrialResult.from_json(line)


COUNTS = ("index", "seed", "params", "macs", "num_evaluated", "step_time_n", "train_steps", "max_batch_size")


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", np.int64(3)])
def test_counts_are_plain_integers(trial: MakeTrial, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"TrialResult\.{name} must be an integer"):
        replace(trial(0), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"accuracy": 1.01}, "accuracy must be at least 0 and at most 1"),
        ({"accuracy": None}, "accuracy must be given where the status is ok"),
        ({"step_time_ratio": None}, "step_time_ratio must be given where the status is ok"),
        ({"step_time_ratio": 0.0}, "step_time_ratio must be at least 1e-06 and at most 1e\\+06, got 0.0"),
        ({"step_time_ratio": 1e-300}, "step_time_ratio must be at least 1e-06 and at most 1e\\+06, got 1e-300"),
        ({"step_time_ratio": 1.1e6}, "step_time_ratio must be at least 1e-06 and at most 1e\\+06, got 1100000.0"),
        ({"step_time_ratio_low": 1e-300}, "step_time_ratio_low must be at least 1e-06"),
        ({"step_time_ratio_high": 1e7}, "step_time_ratio_high must be at least 1e-06"),
        ({"params": 0}, "params must be an integer from 1"),
        ({"reason": "none needed"}, "reason must be None where the status is ok"),
        ({"status": "failed", "reason": None}, "reason must say why the status is failed"),
        ({"status": "failed", "reason": ""}, "reason must say why the status is failed"),
        ({"status": "lost"}, "'lost' is not a valid TrialStatus"),
        ({"key": "0" * 64}, "key must be arch.key"),
        ({"started_s": 9.0, "ended_s": 8.0}, "ended_s must be at least started_s"),
        ({"step_time_ratio_low": None}, "must be given together"),
        ({"step_time_ratio_low": 1.05}, "must lie in its interval"),
        ({"step_time_reference_s": 0.0}, "step_time_reference_s must be above 0"),
        ({"step_time_precise": 1}, "step_time_precise must be a bool, got 1"),
        ({"step_time_predicted": None}, "step_time_predicted, its _low and its _high must be given together"),
        ({"step_time_predicted_low": None}, "step_time_predicted, its _low and its _high must be given together"),
        ({"step_time_predicted": 0.0, "step_time_predicted_low": 0.0}, "step_time_predicted must be above 0"),
        ({"step_time_predicted": 1.5}, r"step_time_predicted must lie in its interval \[0.8, 1.4\], got 1.5"),
        ({"repeat": -1}, "repeat must be an integer from 0 to 10000000, got -1"),
        ({"repeat": True}, "repeat must be an integer from 0"),
        ({"max_batch_size": -1}, "max_batch_size must be an integer from 0"),
        ({"decisions": (1, -1)}, "decisions must be an integer"),
    ],
)
def test_a_broken_rule_is_named(trial: MakeTrial, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        trial(0, **changes)


def test_a_step_time_may_be_predicted_of_a_trial_that_was_never_run(trial: MakeTrial) -> None:
    made = trial(0, status="pruned", reason="predicted to be too slow")
    assert (made.step_time_ratio, made.step_time_predicted) == (None, 1.05)
    unknown = replace(
        made, step_time_predicted=None, step_time_predicted_low=None, step_time_predicted_high=None, max_batch_size=None
    )
    assert TrialResult.from_json(unknown.to_json()) == unknown


def test_a_record_says_which_training_it_is_and_what_was_known_then(trial: MakeTrial) -> None:
    assert trial(0).repeat == 0
    made = trial(9, repeat=3)
    assert TrialResult.from_json(made.to_json()) == made


def test_reading_is_strict(trial: MakeTrial) -> None:
    document = json.loads(trial(0).to_json())
    for changed, rule in (
        (document | {"speed": 1}, "speed: unknown field"),
        (document | {"index": "0"}, "index: .*integer"),
        (document | {"step_time_precise": "yes"}, "step_time_precise: .*boolean"),
        ({name: value for name, value in document.items() if name != "seed"}, "seed: required field is missing"),
        (document | {"arch": document["arch"] | {"stages": []}}, "at least one stage"),
    ):
        with pytest.raises(ValueError, match=rule):
            TrialResult.from_json(json.dumps(changed))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"index":0}{"index":1}', "[" * 10_000])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        TrialResult.from_json(text)


def test_a_long_reason_keeps_its_end_and_odd_text_can_be_stored(trial: MakeTrial) -> None:
    made = trial(0, status="failed", reason="x" * 10_000 + "\ud800 the end")
    assert made.reason is not None
    assert len(made.reason) <= 4000
    assert made.reason.endswith("? the end")
    assert TrialResult.from_json(made.to_json()) == made


def test_numpy_floats_become_plain(trial: MakeTrial) -> None:
    made = trial(0, accuracy=np.float64(0.25))
    assert type(made.accuracy) is float
    with pytest.raises(ValueError, match="accuracy must be a finite number"):
        trial(0, accuracy=np.float32(0.25))
