"""Runs of the same conditions stand side by side; others are refused, by what they differ in."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from results import COLUMNS, Limits, Objective, Run, RunWriter, TrialResult, hypervolume, load
from search_space import load_space

MakeTrial = Callable[..., TrialResult]
SPACE = json.loads(load_space("efficientnetv2-tiny").to_json())
CONFIG: dict[str, Any] = {
    "space": SPACE,
    "image_size": 32,
    "batch_size": 64,
    "train_steps": 300,
    "supernet": None,
    "search": {"seed": 0, "sampler": "random", "data": "/there"},
    "data": {"summary": "ten\x1b classes", "fingerprint": "f"},
}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(name: str, *trials: TrialResult, w: float = -0.07, limits: Limits | None = None, **changes: Any) -> Run:
        objective = Objective(reference_params=changes.pop("reference_params", 2000), w=w)
        config = {**CONFIG, **changes}
        with RunWriter.create(tmp_path / name, config=config, objective=objective, limits=limits) as writer:
            for trial in trials:
                writer.append(trial)
            writer.write_summary(stop_reason="the budget is used up")
        return load(tmp_path / name)

    return make


MakeRun = Callable[..., Run]


def _pairs(trial: MakeTrial, *gains: float) -> tuple[list[TrialResult], list[TrialResult]]:
    """Networks of one run, and the same in another that found each so much more accurate."""
    one = [trial(index, accuracy=0.5 + 0.01 * index, step_time_ratio=1.0 + index) for index in range(len(gains))]
    two = [
        replace(each, accuracy=(each.accuracy or 0) + gain, index=10 + each.index)
        for each, gain in zip(one, gains, strict=True)
    ]
    return one, two


def test_what_two_runs_found_stands_side_by_side(make_run: MakeRun, trial: MakeTrial) -> None:
    gains = (0.01, 0.03, -0.005)
    one, two = _pairs(trial, *gains)
    a, b = make_run("a", *one, trial(5)), make_run("b", *two, trial(6, status="failed"))
    compared = a.compare(b)
    assert (compared.device, compared.question, compared.settings) == ("cpu", a.question, ())
    assert (compared.a.best, compared.b.best) == (a.best(), b.best())
    assert (compared.a.front, compared.b.front) == (tuple(a.front()), tuple(b.front()))
    assert (compared.a.hypervolume, compared.b.hypervolume) == (a.hypervolume(), b.hypervolume())
    assert (compared.b.num_trials, compared.b.num_ok) == (4, 3)
    difference = compared.difference("accuracy")
    assert difference is not None
    paired = stats.ttest_rel([each.accuracy for each in two], [each.accuracy for each in one]).confidence_interval()
    assert difference.count == 3
    assert difference.half is not None
    assert (difference.mean - difference.half, difference.mean + difference.half) == pytest.approx(tuple(paired))

    frame = compared.frame()
    assert [(name, str(frame[name].dtype)) for name in frame] == [
        (one.name, one.dtype) for one in COLUMNS["comparison"]
    ]
    assert frame["trial_a"].tolist() == [0, 1, 2, 5]
    assert frame["trial_b"].fillna(-1).tolist() == [10, 11, 12, -1]
    assert frame["accuracy_difference"].tolist()[:3] == pytest.approx(list(gains))
    assert frame["accuracy_difference"].isna().tolist() == frame["on_front_b"].isna().tolist() == [False] * 3 + [True]
    assert frame["on_front_a"].tolist() == [
        network.trial in [one.trial for one in a.front()] for network in a.networks()
    ]
    back = b.compare(a).difference("accuracy")
    assert back is not None
    assert back.mean == pytest.approx(-difference.mean)


def test_what_is_printed_says_what_differs(make_run: MakeRun, trial: MakeTrial) -> None:
    one, two = _pairs(trial, 0.01)
    search = {"seed": 1, "sampler": "random\n\x1b[2J", "data": "/elsewhere", "\x1b[2J": 1}
    a, b = (
        make_run("a", *one),
        make_run("b", *two, search=search, train_steps=600, w=-0.1, limits=Limits(max_params=10**6)),
    )
    first, header, *lines = str(a.compare(b)).splitlines()
    assert first == "on 'cpu', asked: w -0.07, v -0.05, no limits"
    assert header.split() == ["a:", "'a'", "b:", "'b'"]
    rows = [line.split("  ") for line in lines]
    told = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert told["train_steps"] == ["300", "600"]
    assert told["seed"] == ["0", "1"]
    assert told["sampler"] == ['"random"', r'"random\n\u001b[2J"']
    assert "data" not in told
    text = "\n".join(lines)
    assert "1 network in both, b less a: accuracy +1 points, step time +0 x\n" in text
    assert (
        "b: asked anew: w -0.07, v -0.05, no limits; the search was asked: w -0.1, v -0.05, max_params 1000000" in text
    )
    assert "b: the search ran under max_params 1000000: networks that are larger were never trained" in text
    assert a.compare(b, max_params=1).difference("accuracy") is None
    assert "no network was measured in both runs" in str(a.compare(b, max_params=1))
    assert "\x1b" not in str(a.compare(b))


def test_both_are_asked_one_question(make_run: MakeRun, trial: MakeTrial) -> None:
    one, two = _pairs(trial, 0.01, 0.01)
    a, b = make_run("a", *one), make_run("b", *two, w=-2, limits=Limits(max_step_time=1.5))
    compared = a.compare(b, w=-1)
    assert [each.reward for each in compared.b.networks] == [each.reward for each in b.networks(w=-1, no_limits=True)]
    assert len(compared.b.networks) == 2
    assert compared.b.hypervolume == hypervolume(b.networks(no_limits=True), 2000)
    assert len(b.compare(a).b.networks) == 1, "b's limits hold for both"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"summary": "other", "fingerprint": "g"}}, r'data "ten\\u001b classes" and "other"'),
        ({"image_size": 64}, "image_size 32 and 64"),
        ({"batch_size": 16, "compute": {"dtype": "x"}}, 'batch_size 64 and 16; dtype null and "x"'),
        ({"reference_params": 2001}, r"reference network .*2,000 parameters\) and .*\(2,001 parameters\)"),
        ({"supernet": {"steps": 3}}, "accuracy of own weights and of inherited weights"),
        ({"supernet": {"steps": 3}, "train_steps": 0}, "accuracy of own weights and of supernet weights"),
        ({"space": json.loads(load_space("efficientnetv2-tiny").with_num_classes(3).to_json())}, "reference network"),
    ],
)
def test_runs_of_other_conditions_are_refused(
    make_run: MakeRun, trial: MakeTrial, changes: dict[str, Any], told: str
) -> None:
    a, b = make_run("a", trial(0)), make_run("b", trial(0), **changes)
    with pytest.raises(ValueError, match=f"runs must be of the same conditions to be compared, got {told}"):
        a.compare(b)


def test_runs_of_other_devices_are_refused(make_run: MakeRun, trial: MakeTrial) -> None:
    a, b = make_run("a", trial(0)), make_run("b", trial(0, device="T4"), trial(1, device="L4"))
    with pytest.raises(ValueError, match=r"step times of different devices do not compare\), got 'cpu' and 'T4', 'L4'"):
        a.compare(b)
    with pytest.raises(ValueError, match="choose one with device"):
        b.compare(b)
    assert b.compare(b, device="L4").device == "L4"
    with pytest.raises(ValueError, match="for device 'cpu'"):
        b.compare(b, device="cpu")
    with pytest.raises(ValueError, match="got 'cpu' and none"):
        a.compare(make_run("empty"))


def test_a_run_of_nothing_but_trials_compares_with_its_like(new_run: Callable[..., Path], trial: MakeTrial) -> None:
    a, b = load(new_run(trial(0), name="a")), load(new_run(trial(0), name="b"))
    compared = a.compare(b)
    assert compared.settings == ()
    assert compared.notes == ("a: interrupted", "b: interrupted")
