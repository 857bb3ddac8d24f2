"""Which networks of a run are trained for longer, under what, and what makes a validation go on or be refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas.search.config import SearchConfig
from nas.search.forecast import Forecast
from nas.search.long_training import _plan, _writer
from nas.search.plan import Plan
from nas.search.progress import Progress
from nas.search.run import resume_search
from nas.search.samplers import ListSampler, SpaceExhausted
from nas.search.validation import ValidationConfig, _spread, find_long_training
from results import Run, RunWriter, TrialResult, TrialStatus
from search_space import Space

NUM_TRIALS = 30
MakeRun = Callable[..., Run]


def trials_of(plan: Plan, count: int) -> list[TrialResult]:
    """Each network of the space once; trial i has the i-th lowest accuracy, the first one failed."""
    sampler = plan.sampler(Forecast())
    return [trial_of(sampler.ask(index), index, plan) for index in range(count)]


def trial_of(candidate: Any, index: int, plan: Plan, *, device: str = "a chip", accuracy: float = 0.0) -> TrialResult:
    arch = candidate.arch
    ok = index > 0 or bool(accuracy)
    return TrialResult(
        index=index,
        status=TrialStatus.OK if ok else TrialStatus.FAILED,
        reason=None if ok else "it ended",
        key=arch.key,
        arch=arch,
        decisions=candidate.decisions,
        seed=plan.training_seed * 1_000_003 + index,
        params=arch.params,
        macs=arch.macs(8),
        accuracy=(accuracy or index / 100) if ok else None,
        step_time_ratio=1.0 if ok else None,
        seconds=3.0,
        device_seconds=3.0,
        started_s=0.0,
        ended_s=3.0,
        worker="host/1",
        device=device,
    )


@pytest.fixture
def make_run(tmp_path: Path, small_space: Space) -> MakeRun:
    """A run on digits, its reward its accuracy."""

    def make(count: int = NUM_TRIALS, *, device: Callable[[int], str] = lambda index: "a chip", **asked: Any) -> Run:
        config = SearchConfig(**{"w": 0.0, "v": 0.0, "train_length": "10", "budget": "5", "seed": 7, **asked})
        plan = Plan.of(config, small_space)
        document = plan.for_record() | {"compute": {"device": "cpu"}, "resources": {"workers": 2}}
        writer = RunWriter.create(tmp_path / "run", config=document, objective=plan.objective(), limits=config.limits())
        with writer:
            for trial in trials_of(plan, count):
                writer.append(replace(trial, device=device(trial.index)))
        return Run(tmp_path / "run")

    return make


def begin(run: Run, done: int = 0, **asked: Any) -> ValidationConfig:
    """A validation of which `done` networks are on record."""
    config = ValidationConfig(**asked)
    training = find_long_training(run, config)
    plan = _plan(training, config)
    sampler = plan.sampler(Forecast())
    with _writer(training, plan) as writer:
        for index in range(done):
            writer.append(trial_of(sampler.ask(index), index, plan, accuracy=0.5 + index / 100))
    return config


@given(st.integers(5, 300), st.integers(5, 60))
def test_places_are_spread_evenly_from_the_first_to_the_last(size: int, count: int) -> None:
    places = _spread(size, count, set())
    assert len(places) == min(size, count)
    assert (places[0], places[-1]) == (0, size - 1)
    gaps = [high - low for low, high in pairwise(places)]
    assert max(gaps) - min(gaps) <= 1


@given(st.data())
def test_what_was_taken_before_is_kept_and_gaps_are_filled(data: st.DataObject) -> None:
    size = data.draw(st.integers(5, 100))
    kept = data.draw(st.sets(st.integers(0, size - 1), min_size=5, max_size=size))
    count = data.draw(st.integers(len(kept), 120))
    places = _spread(size, count, kept)
    assert kept <= set(places) <= set(range(size))
    assert len(places) == max(min(count, size), len({*kept, 0, size - 1}))
    assert {0, size - 1} <= set(places)


def test_the_best_and_the_worst_and_between_them(make_run: MakeRun) -> None:
    run = make_run()
    training = find_long_training(run, ValidationConfig(networks=8))
    assert [trial.index for trial in training.short] == [29, 25, 21, 17, 13, 9, 5, 1]
    assert training.folder == run.folder / "validate-4x"
    assert training.left == list(training.short)
    assert training.begun is None
    assert len(find_long_training(run, ValidationConfig()).short) == 12
    assert len(find_long_training(run, ValidationConfig(networks=90)).short) == NUM_TRIALS - 1


def test_only_networks_within_the_limits(make_run: MakeRun) -> None:
    run = make_run(min_accuracy=0.2)
    assert [trial.index for trial in find_long_training(run, ValidationConfig(networks=5)).short] == [
        29,
        27,
        25,
        22,
        20,
    ]


def test_a_long_training_is_the_runs_but_for_its_length_and_seeds(make_run: MakeRun) -> None:
    run = make_run(max_step_time=1.0, deadline=5.0, max_params=10**9)
    config = ValidationConfig(times=3, workers=1)
    training = find_long_training(run, config)
    plan = _plan(training, config)
    assert (plan.steps, plan.training_seed) == (30, 8)
    short = Plan.of(SearchConfig(train_length="10", seed=7), plan.space)
    assert (plan.data.config, plan.config.recipe) == (short.data.config, short.config.recipe)
    assert (plan.config.budget, plan.config.workers) == ("12", 1)
    assert (plan.config.deadline, plan.config.max_step_time, plan.config.max_params) == (None, None, 10**9)
    sampler = plan.sampler(Forecast())
    assert isinstance(sampler, ListSampler)
    asked = [sampler.ask(index) for index in range(12)]
    assert [candidate.arch for candidate in asked] == [trial.arch for trial in training.short]
    with pytest.raises(SpaceExhausted, match="all 12 networks were trained"):
        sampler.ask(12)
    assert _plan(training, ValidationConfig(train_length="1ep")).steps == round(plan.data.counts["train"] / 16)


def test_it_goes_on_from_its_record(make_run: MakeRun) -> None:
    run = make_run()
    config = begin(run, done=3, networks=6)
    training = find_long_training(run, ValidationConfig())
    assert [trial.index for trial in training.left] == [trial.index for trial in training.short[3:]]
    assert [pair.trial for pair in training.pairs()] == [29, 23, 18]
    assert (training.short_steps(), training.long_steps()) == (10, 40)
    recorded = _plan(training, config).sampler(Forecast())
    recorded.recover(training.long)
    assert recorded.ask(3).arch == training.short[3].arch
    assert training.failed == []


def test_more_networks_are_added_behind(make_run: MakeRun) -> None:
    run = make_run()
    begin(run, done=6, networks=6)
    before = find_long_training(run, ValidationConfig())
    training = find_long_training(run, ValidationConfig(networks=9))
    assert training.short[:6] == before.short
    assert [trial.index for trial in training.left] == [26, 15, 4]
    begin(run, networks=9)
    assert Run(training.folder).config["validation"]["trials"] == [trial.index for trial in training.short]
    with pytest.raises(ValueError, match="has 9 networks already"):
        find_long_training(run, ValidationConfig(networks=6))


def test_trials_of_one_device_are_compared(make_run: MakeRun) -> None:
    run = make_run(device=lambda index: "T4" if index % 2 else "V100")
    with pytest.raises(ValueError, match=r"do not compare: choose one$"):
        find_long_training(run, ValidationConfig())
    begin(run, device="T4")
    training = find_long_training(run, ValidationConfig())
    assert {trial.device for trial in training.short} == {training.device} == {"T4"}
    with pytest.raises(ValueError, match="is of the trials on 'T4', not 'V100'"):
        find_long_training(run, ValidationConfig(device="V100"))


def test_what_cannot_be_validated_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(5)
    with pytest.raises(ValueError, match="at least 5 networks measured in full within the run's limits, got 4"):
        find_long_training(run, ValidationConfig())
    with pytest.raises(ValueError, match="no trial was measured in full on device 'T4'"):
        find_long_training(run, ValidationConfig(device="T4"))
    with (run.folder / "trials.jsonl").open("a") as file:
        file.writelines(trial.to_json() + "\n" for trial in trials_of(Plan.of(SearchConfig(), _space(run)), 9)[5:])
    run = Run(run.folder)
    training = find_long_training(run, ValidationConfig(train_length="10"))
    with pytest.raises(ValueError, match="must be longer than the run's 10 steps, got 10"):
        _plan(training, ValidationConfig(train_length="10"))
    begin(run, networks=5)
    with pytest.raises(ValueError, match="is a validation itself"):
        find_long_training(Run(run.folder / "validate-4x"), ValidationConfig())
    with pytest.raises(ValueError, match="is a validation: go on with nas validate"):
        resume_search(run.folder / "validate-4x", Progress(), changes={})


def test_other_data_than_the_runs_are_refused(make_run: MakeRun) -> None:
    run = make_run()
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["data"]["fingerprint"] = "of others"
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="the data are not those that the run began with"):
        _plan(find_long_training(Run(run.folder), ValidationConfig()), ValidationConfig())


def test_data_that_were_moved_are_named_once(make_run: MakeRun, tmp_path: Path) -> None:
    photos, moved = tmp_path / "photos", tmp_path / "moved"
    for shade in range(10):
        for index in range(20):
            path = photos / str(shade) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (20 * shade, index, 0)).save(path)
    run = make_run(data=str(photos))
    photos.rename(moved)
    with pytest.raises(ValueError, match="photos"):
        _plan(find_long_training(run, ValidationConfig()), ValidationConfig())
    begin(run, networks=6, data=str(moved))
    plan = _plan(find_long_training(run, ValidationConfig()), ValidationConfig())
    assert (plan.config.data, len(plan.networks)) == (str(moved), 6)


def test_a_damaged_record_is_named(make_run: MakeRun) -> None:
    run = make_run()
    begin(run, done=2)
    path = run.folder / "validate-4x" / "config.json"
    whole = json.loads(path.read_text())
    for record, said in (
        (None, "validation: "),
        ({"trials": [1, 2], "device": "a chip", "more": 1}, "more"),
        ({"trials": [1, 2], "device": "a chip"}, r"trials\.jsonl: trial 0: is of no network of the list"),
        ({"trials": [29], "device": "a chip"}, r"trials\.jsonl: trial 1: is of no network of the list"),
        ({"trials": [99], "device": "a chip"}, "has no trial 99"),
    ):
        path.write_text(json.dumps(whole | {"validation": record}))
        with pytest.raises(ValueError, match=said):
            find_long_training(run, ValidationConfig(networks=12))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"networks": 4}, "networks must be at least 5, got 4"),
        ({"times": 1.0}, "times must be above 1 and at most 10000, got 1"),
        ({"times": float("inf")}, "times must be above 1"),
        ({"times": 1e308}, "times must be above 1 and at most 10000"),
        ({"times": 4.0, "train_length": "100"}, "either times or train_length"),
        ({"train_length": "1h"}, "steps \\(450\\) or epochs"),
    ],
)
def test_bad_values_are_named(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ValidationConfig(**asked)


@pytest.mark.parametrize(
    ("asked", "name"),
    [({}, "validate-4x"), ({"times": 2.5}, "validate-2.5x"), ({"train_length": "20ep"}, "validate-20ep")],
)
def test_each_length_has_a_folder(asked: dict[str, Any], name: str) -> None:
    assert ValidationConfig(**asked).folder_name(300) == name


def _space(run: Run) -> Space:
    return Space.from_json(json.dumps(run.config["space"]))
