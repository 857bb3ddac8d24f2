"""A budget of wall clock: as many steps as fit, and a training that is the same as one of that number of steps."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data import DataMode
from nas.train import TrainingInterrupted, TrainJob, TrainLength, read_job, train_full
from nas.train import budget as budget_module
from nas.train import full as full_module
from nas.train.budget import BudgetTooShort, Costs, steps_within
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from nas.train.full import train_in
from nas.train.group import Group
from nas.train.report import Silent
from results import RunError
from tests.nas.train.processes import run_group
from tests.nas.train.test_full import StopAt, assert_same_end, lines

TEN_SECONDS = TrainLength(seconds=10)


def ticking(tick_s: float) -> Any:
    """`time` with a clock that goes on when it is read and at no other time: what is measured does not depend on the
    machine."""
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += tick_s
        return now

    return SimpleNamespace(monotonic=monotonic)


@pytest.fixture(autouse=True)
def _clock(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))
    monkeypatch.setattr(budget_module, "time", ticking(0.1))


Changed = Callable[..., TrainJob]


@pytest.fixture(scope="session")
def changed(small_job: TrainJob) -> Changed:
    def make(**options: Any) -> TrainJob:
        return replace(small_job, options=replace(small_job.options, **options))

    return make


costs_s = st.floats(1e-3, 10)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(({}, {"grow_batch": True}, {"growth": "fixed"})), st.floats(0, 5000))
def test_as_many_steps_as_fit(changed: Changed, data: st.DataObject, options: dict[str, Any], seconds: float) -> None:
    job = changed(**options)
    num_phases = len(job.phases(3))
    costs = Costs(
        step_s=data.draw(st.tuples(*[costs_s] * num_phases)),
        evaluation_s=data.draw(costs_s),
        once_s=data.draw(costs_s),
    )
    steps = steps_within(seconds, costs, job, 1293)
    assert steps % num_phases == 0
    assert not steps or costs.of(job, steps, 1293) <= seconds
    assert costs.of(job, steps + num_phases, 1293) > seconds


@pytest.mark.parametrize("options", [{}, {"grow_batch": True}, {"growth": "fixed"}])
def test_what_is_counted_is_what_a_training_does(changed: Changed, tmp_path: Path, options: dict[str, Any]) -> None:
    job = replace(changed(**options), length=TrainLength(steps=42))
    result = train_full(job, tmp_path / "run")
    phases = job.phases(42)
    a_step = Costs(step_s=(1.0,) * len(phases), evaluation_s=0.0, once_s=0.0)
    assert a_step.of(job, 42, 1293) == result.steps
    an_evaluation = Costs(step_s=(0.0,) * len(phases), evaluation_s=1.0, once_s=0.0)
    assert an_evaluation.of(job, 42, 1293) == len(lines(tmp_path / "run"))
    in_the_first = Costs(step_s=(1.0, *[0.0] * (len(phases) - 1)), evaluation_s=0.0, once_s=0.5)
    assert in_the_first.of(job, 42, 1293) == phases[0].steps + 0.5


@pytest.mark.parametrize(("mode", "workers"), [("cache", None), ("stream", 1)])
def test_the_bits_are_those_of_as_many_steps(
    small_job: TrainJob, tmp_path: Path, mode: DataMode, workers: int | None
) -> None:
    job = replace(small_job, length=TEN_SECONDS, data_mode=mode)
    watch = StopAt(10**9)
    result = train_full(job, tmp_path / "budget", progress=watch, loader_workers=workers)
    found = read_job(tmp_path / "budget")
    assert found == replace(job, length=TrainLength(seconds=10, steps=result.steps))
    assert result.steps > 12
    assert result.steps % 3 == 0
    (told,) = watch.notes
    assert told.startswith(f"budget 10s: {result.steps:,} steps fit (")
    assert all(f" ms at {size} px" in told for size in (8, 10, 12))
    torch.rand(3)
    train_full(replace(job, length=TrainLength(steps=result.steps)), tmp_path / "steps", loader_workers=workers)
    assert_same_end(tmp_path / "budget", tmp_path / "steps")
    assert not (tmp_path / "budget/.timed").exists()


def test_compiling_is_taken_into_account(changed: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    steps = {}
    for compiles in (False, True):
        monkeypatch.setattr(budget_module, "time", ticking(0.1))
        job = replace(changed(compile=compiles), length=TEN_SECONDS)
        steps[compiles] = train_full(job, tmp_path / str(compiles)).steps
    assert 3 <= steps[True] < steps[False]


def test_a_resumption_measures_nothing(small_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(small_job, length=TEN_SECONDS)
    with pytest.raises(TrainingInterrupted):
        train_full(job, tmp_path / "stopped", progress=StopAt(8, signal.SIGTERM))
    steps = read_job(tmp_path / "stopped").length.steps
    assert steps is not None
    monkeypatch.setattr(full_module, "measured_length", None)
    with pytest.raises(RunError, match="holds another training already"):
        train_full(replace(job, length=TrainLength(seconds=11)), tmp_path / "stopped")
    with pytest.raises(TrainingInterrupted):
        train_full(read_job(tmp_path / "stopped"), tmp_path / "stopped", progress=StopAt(12, signal.SIGTERM))
    # The command that began it, given again.
    train_full(job, tmp_path / "stopped")
    train_full(replace(job, length=TrainLength(steps=steps)), tmp_path / "plain")
    assert_same_end(tmp_path / "stopped", tmp_path / "plain")


@pytest.mark.parametrize(
    ("seconds", "rule"),
    [
        (0.5, "budget must be longer: it was over while steps at 8 px were timed, got 0.5s"),
        (
            5.0,
            r"budget must be at least about \d\.\d+s here, for a step of each of 3 phases, .* to time them\), got 5s",
        ),
    ],
)
@pytest.mark.parametrize("is_there", [False, True])
def test_too_short_a_budget_begins_nothing(
    small_job: TrainJob, tmp_path: Path, seconds: float, rule: str, is_there: bool
) -> None:
    folder = tmp_path / "run"
    if is_there:
        folder.mkdir()
    with pytest.raises(BudgetTooShort, match=rule):
        train_full(replace(small_job, length=TrainLength(seconds=seconds)), folder)
    assert folder.exists() is is_there
    assert train_full(replace(small_job, length=TrainLength(steps=3)), folder).steps == 3


def test_a_stop_while_it_is_measured_begins_nothing(
    small_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, steps = budget_module.FullStep.__call__, 0

    def step(*arguments: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        signal.raise_signal(signal.SIGINT)
        return plain(*arguments)

    monkeypatch.setattr(budget_module.FullStep, "__call__", step)
    with pytest.raises(TrainingInterrupted, match="stopped before the first step"):
        train_full(replace(small_job, length=TEN_SECONDS), tmp_path / "run")
    assert steps == 1
    assert not (tmp_path / "run").exists()


def training_with_ticks(job: TrainJob, folder: Path) -> int | None:
    """A process's part of a training; each has another clock."""
    group = Group.joined()
    budget_module.time = ticking(0.05 * (1 + group.rank))
    feed = Feed(job)
    with TrainFolder(folder, job, feed.fingerprints, holds_lock=False) as place:
        how: dict[str, Any] = {"progress": Silent(), "checkpoint_every_s": 1e9, "asks_to_stop": lambda: False}
        return train_in(place, job, feed, group=group, **how).steps


def test_processes_agree_on_the_steps(small_job: TrainJob, tmp_path: Path) -> None:
    job, folder = replace(small_job, length=TEN_SECONDS).anchored(), tmp_path / "two"
    with TrainFolder(folder, job, Feed(job).fingerprints):
        steps = run_group(2, tmp_path / "store", training_with_ticks, job, folder)
    assert steps == [read_job(folder).length.steps] * 2
    assert steps[0] % 3 == 0
    assert steps[0] > 12
