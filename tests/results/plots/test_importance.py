"""Which choices matter: a planted one is found, and none where none matters."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from results import Run, TrialResult
from results.plots import Importance, importance
from results.plots.permutation import MIN_NETWORKS, shuffled_errors
from search_space.spec import ArchSpec

MakeRun = Callable[..., Run]
MakeSampled = Callable[..., list[TrialResult]]


def noise(arch: ArchSpec, rng: random.Random) -> dict[str, float]:
    return {"accuracy": rng.uniform(0.4, 0.6)}


def by_name(found: Importance) -> dict[str, Any]:
    return {choice.decision: choice for choice in found.choices}


def test_a_planted_choice_decides_all(make_run: MakeRun, sampled: MakeSampled) -> None:
    def measure(arch: ArchSpec, rng: random.Random) -> dict[str, float]:
        return {"accuracy": (0.7 if arch.stages[0].kernel == 5 else 0.5) + rng.gauss(0, 0.005)}

    found = importance(make_run(sampled(70, measure)), "accuracy")
    first, *others = found.choices
    assert (first.decision, found.of, found.num_networks) == ("stage1.kernel", "accuracy", 70)
    assert first.low > 0.5
    assert found.told > 0.9
    assert all(other.share < 0.05 for other in others)


def test_a_planted_cost_decides_step_time_alone(make_run: MakeRun, sampled: MakeSampled) -> None:
    def measure(arch: ArchSpec, rng: random.Random) -> dict[str, float]:
        return {"step_time_ratio": arch.stages[0].depth * rng.uniform(0.98, 1.02), **noise(arch, rng)}

    run = make_run(sampled(70, measure))
    assert importance(run, "step_time").choices[0].decision == "stage1.depth"
    assert not by_name(importance(run, "accuracy"))["stage1.depth"].is_clear


def test_where_nothing_matters_intervals_hold_0(make_run: MakeRun, sampled: MakeSampled) -> None:
    choices = []
    for number in (40, 60, 80):
        found = importance(make_run(sampled(number, noise), name=f"noise-{number}"), "accuracy")
        assert found.told < 0.1
        choices += found.choices
    assert len(choices) == 24
    # An interval of 95 % may miss: of 24 more than 4 do with a probability under 1 %.
    assert sum(not choice.low <= 0 <= choice.high for choice in choices) <= 4
    assert all(choice.share < 0.2 for choice in choices)


def test_what_a_vanished_stage_had_takes_nothing_of_its_depth(make_run: MakeRun, sampled: MakeSampled) -> None:
    def measure(arch: ArchSpec, rng: random.Random) -> dict[str, float]:
        return {"accuracy": (0.7 if len(arch.stages) == 2 else 0.5) + rng.gauss(0, 0.005)}

    found = by_name(importance(make_run(sampled(70, measure)), "accuracy"))
    assert found["stage2.depth"].low > 0.3
    assert all(found[f"stage2.{name}"].share < 0.05 for name in ("op", "kernel", "expansion"))


def test_all_equal_matters_nothing(make_run: MakeRun, sampled: MakeSampled) -> None:
    found = importance(make_run(sampled(20, lambda arch, rng: {"accuracy": 0.5})), "accuracy")
    assert {(choice.low, choice.high) for choice in found.choices} == {(0, 0)}
    assert found.told == 0


def test_shuffling_agrees_with_scikit_learn() -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    rng = np.random.default_rng(0)
    positions = rng.integers(3, size=(400, 4)).astype(float)
    values = positions @ [1.0, 0.5, 0.2, 0.0] + rng.normal(0, 0.1, 400)
    forest = RandomForestRegressor(20, random_state=0).fit(positions, values)
    *shuffled, error = shuffled_errors(forest, positions, values, rng)
    assert error == pytest.approx(np.mean((forest.predict(positions) - values) ** 2))
    ours = np.array(shuffled) - error
    theirs = permutation_importance(
        forest, positions, values, scoring="neg_mean_squared_error", n_repeats=10, random_state=0
    )
    assert ours == pytest.approx(theirs.importances_mean, rel=0.1, abs=0.002)


def test_what_cannot_tell_is_refused(make_run: MakeRun, sampled: MakeSampled, trial: Callable[..., Any]) -> None:
    few = make_run(sampled(MIN_NETWORKS - 1, noise), name="few")
    with pytest.raises(ValueError, match="at least 10 networks that were measured in full and have decisions, got 9"):
        importance(few)
    undecided = make_run([trial(index, decisions=None) for index in range(12)], name="undecided")
    with pytest.raises(ValueError, match="got 0"):
        importance(undecided)
    with pytest.raises(ValueError, match="must have a space, whose decisions can matter, got none"):
        importance(make_run(sampled(12, noise), name="spaceless", with_space=False))
    with pytest.raises(ValueError, match="of must be one of accuracy, step_time, reward, got 'params'"):
        importance(few, "params")  # type: ignore[arg-type]
    other = make_run([trial(index) for index in range(12)], name="other")
    with pytest.raises(ValueError, match=r"must hold one position a decision \(8\), got 3"):
        importance(other)
