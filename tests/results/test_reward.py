"""The reward is the paper's product, and moves the way it must."""

import doctest
import math
from collections.abc import Callable
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import Objective, TrialResult, reward

ratios = st.floats(1e-3, 1e3)


def test_the_docstrings_examples_hold() -> None:
    assert doctest.testmod(import_module("results.reward")).failed == 0


def test_the_reference_is_worth_its_accuracy() -> None:
    assert reward(0.763, 1.0, 1.0) == 0.763


def test_the_papers_exponents() -> None:
    assert reward(0.8, 2.0, 3.0) == pytest.approx(0.8 * 2**-0.07 * 3**-0.05)
    assert reward(0.8, 2.0, 3.0, w=0, v=0) == 0.8


@given(accuracy=st.floats(0, 1), ratio=ratios, params=ratios, w=st.floats(-2, 0), v=st.floats(-2, 0))
def test_cost_counts_against_a_network(accuracy: float, ratio: float, params: float, w: float, v: float) -> None:
    value = reward(accuracy, ratio, params, w=w, v=v)
    assert value >= 0
    assert math.isfinite(value)
    assert reward(accuracy, 2 * ratio, params, w=w, v=v) <= value
    assert reward(accuracy, ratio, 2 * params, w=w, v=v) <= value
    assert value == pytest.approx(accuracy * math.exp(w * math.log(ratio) + v * math.log(params)))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ((math.nan, 1, 1), "accuracy must be finite and at least 0"),
        ((-0.1, 1, 1), "accuracy must be finite and at least 0"),
        ((0.5, 0, 1), "step_time_ratio must be finite and above 0"),
        ((0.5, math.inf, 1), "step_time_ratio must be finite and above 0"),
        ((0.5, 1, -1), "params_ratio must be finite and above 0"),
    ],
)
def test_values_out_of_range_are_named(values: tuple[float, float, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        reward(*values)


def test_an_objective_rewards_trials(trial: Callable[..., TrialResult]) -> None:
    made = trial(0, accuracy=0.6, step_time_ratio=0.5)
    objective = Objective(reference_params=2 * made.params, w=-0.1, v=0)
    assert objective.reward(made) == pytest.approx(0.6 * 0.5**-0.1)
    assert objective.params_ratio(made.params) == 0.5
    with pytest.raises(ValueError, match="trial 1 has no reward: its status is diverged"):
        objective.reward(trial(1, status="diverged"))


@pytest.mark.parametrize("changes", [{"reference_params": 0}, {"reference_params": 1.5}, {"w": math.nan}, {"v": "1"}])
def test_an_objective_keeps_its_rules(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Objective\.\w+ must be"):
        Objective(**({"reference_params": 1} | changes))  # type: ignore[arg-type]
