"""The search without an engine: a fake clock, trials that are only told of, and a real record on the disk."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.measure import Prediction
from nas.search.budget import Budget, BudgetKeeper
from nas.search.confirm import Confirming
from nas.search.forecast import Forecast
from nas.search.loop import Finished, SearchLoop
from nas.search.proposals import outcome_of, space_domain
from nas.search.samplers import SAMPLERS, Candidate, Goal, Outcome, SpaceExhausted
from results import Limits, Objective, Run, RunWriteError, RunWriter, TrialResult, TrialStatus
from search_space import ArchSpec, Space, StageChoices

MakeFinished = Callable[..., Finished]
Length = Callable[[int], float]


class Clock:
    """The run's budget clock; stands still unless it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Session:
    """One session of a run: a loop with its record, driven here in place of workers."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        budget: str = "8",
        workers: int = 1,
        seed: int = 3,
        sampler: str = "random",
        devices: float = 1.0,
        expected_s: float = 0.0,
        forecast: Forecast | None = None,
        confirm_share: float = 0.0,
        repeat: int = 3,
    ) -> None:
        objective = Objective(reference_params=space.reference.params)
        if (folder / "config.json").exists():
            self.writer = RunWriter.resume(folder)
        else:
            self.writer = RunWriter.create(folder, config={}, objective=objective)
        self.clock = Clock()
        self.clock.now_s = max((trial.ended_s for trial in self.writer.trials), default=0.0)
        self.finished: list[TrialResult] = []
        self.told: list[tuple[int, Outcome]] = []
        domain = space_domain(space, 8, lambda archs: [None] * len(archs))
        self.sampler = SAMPLERS[sampler](domain, goal=Goal(objective=objective, limits=Limits()), seed=seed)
        self.loop = SearchLoop(
            sampler=self.sampler,
            space=space,
            keeper=BudgetKeeper(Budget.parse(budget), devices=devices, expected_s=expected_s),
            writer=self.writer,
            objective=objective,
            image_size=8,
            seed=seed,
            max_running=workers,
            devices=devices,
            now_s=self.clock,
            on_finished=self.finished.append,
            forecast=forecast or Forecast(),
            confirming=Confirming(share=confirm_share, repeat=repeat),
        )
        self._tell, self.sampler.tell = self.sampler.tell, self._note_and_tell  # type: ignore[method-assign]
        self.started: list[Candidate[ArchSpec]] = []
        self._times: dict[int, tuple[float, float]] = {}

    def _note_and_tell(self, candidate: Candidate[ArchSpec], outcome: Outcome) -> None:
        self.told.append((candidate.index, outcome))
        self._tell(candidate, outcome)

    def start_all(self, length: Length = lambda index: 2.0) -> None:
        """Start what may start now."""
        while (candidate := self.loop.next()) is not None:
            self.started.append(candidate)
            self._times[candidate.index] = (self.clock.now_s, self.clock.now_s + length(candidate.index))

    def end_next(self, told: Callable[[int, float], Finished]) -> TrialResult:
        """The clock goes on to where the first of the running trials ends."""
        index = min(self._times, key=lambda index: self._times[index][1])
        started_s, ended_s = self._times.pop(index)
        self.clock.now_s = max(self.clock.now_s, ended_s)
        return self.loop.finish(index, told(index, ended_s - started_s))

    def lose(self) -> None:
        """The machines are gone, and what ran on them."""
        self._times.clear()
        self.loop.run_again()

    def run(
        self,
        told: Callable[[int, float], Finished],
        length: Length = lambda index: 2.0,
        *,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """To the end, or to where `until` holds, with more started by then."""
        self.start_all(length)
        while not self.loop.over and not until():
            self.end_next(told)
            self.start_all(length)

    @property
    def keys(self) -> dict[int, str]:
        return {trial.index: trial.key for trial in self.writer.trials}

    @property
    def searched(self) -> list[TrialResult]:
        return [trial for trial in self.writer.trials if not trial.repeat]

    @property
    def repeated(self) -> list[TrialResult]:
        """The trainings anew."""
        return [trial for trial in self.writer.trials if trial.repeat]


@pytest.fixture
def session(tmp_path: Path, small_space: Space) -> Iterator[Callable[..., Session]]:
    """Begins a run in `name`, or goes on with it."""
    opened: list[Session] = []

    def begin(name: str = "run", space: Space = small_space, **settings: Any) -> Session:
        for other in opened:
            other.writer.close()
        opened.append(Session(tmp_path / name, space, **settings))
        return opened[-1]

    yield begin
    for other in opened:
        other.writer.close()


@pytest.fixture
def ok(finished: MakeFinished) -> Callable[[int, float], Finished]:
    return lambda index, seconds: finished(seconds=seconds, correct=20 + index % 60)


@pytest.fixture(scope="module")
def eight(small_space: Space) -> Space:
    """Eight networks."""
    stage = StageChoices(op=("mbconv",), kernel=(3, 5), expansion=(1, 2), width=(8,), depth=(1, 2), stride=2)
    return replace(small_space, name="eight", stages=(stage,), reference=None)


Begin = Callable[..., Session]
Ok = Callable[[int, float], Finished]


def told_of(trials: list[TrialResult]) -> list[tuple[int, Outcome]]:
    return [(trial.index, outcome_of(trial)) for trial in trials]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_budget_of_trials_is_met_exactly(session: Begin, ok: Ok, workers: int, sampler: str) -> None:
    running = session(budget="8", workers=workers, sampler=sampler)
    running.run(ok)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert sorted(running.keys) == list(range(8))
    assert len(set(running.keys.values())) == 8
    assert running.finished == running.writer.trials
    assert running.told == told_of(running.finished)
    assert not running.loop.interrupted


def test_never_more_at_once_than_there_are_workers(session: Begin, ok: Ok) -> None:
    running = session(budget="9", workers=3)
    running.start_all(lambda index: 1.0)
    assert running.loop.num_running == 3
    assert running.loop.next() is None
    assert not running.loop.over
    running.end_next(ok)
    assert running.loop.num_running == 2
    running.start_all(lambda index: 1.0)
    assert [candidate.index for candidate in running.started] == [0, 1, 2, 3]


def test_a_budget_of_wall_clock_is_kept(session: Begin, ok: Ok) -> None:
    running = session(budget="60s", workers=2, expected_s=10)
    running.run(ok, lambda index: 4.0 + index % 3)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert 54 <= running.clock.now_s <= 60
    assert all(trial.started_s + 6 <= 60 for trial in running.writer.trials if trial.index > 5)


def test_a_budget_of_device_time_is_kept(session: Begin, ok: Ok) -> None:
    running = session(budget="60cpu-s", workers=2, devices=2, expected_s=3)
    running.run(ok, lambda index: 3.0)
    assert [trial.device_seconds for trial in running.writer.trials] == [6.0] * 10
    assert (running.loop.stop_reason or "").startswith("the budget")


def test_device_time_that_a_trial_leaves_over_is_used(session: Begin, finished: MakeFinished) -> None:
    # The first two are expected to use all of it; the one that fails at once leaves room for more.
    running = session(budget="20cpu-s", workers=2, expected_s=9)
    running.start_all(lambda index: 1.0 if index == 0 else 9.0)
    assert running.loop.num_running == 2
    assert running.loop.next() is None
    running.end_next(lambda index, seconds: finished(TrialStatus.FAILED, seconds=seconds))
    assert running.loop.stop_reason is None
    running.start_all(lambda index: 9.0)
    assert [candidate.index for candidate in running.started] == [0, 1, 2]


def test_a_budget_that_is_too_small_for_one_trial(session: Begin, ok: Ok) -> None:
    running = session(budget="5s", expected_s=10)
    running.run(ok)
    assert running.loop.over
    assert running.writer.trials == []


class KnownLengths(Forecast):
    """Foresees 2.0 for every step time, and for its trial what `lengths` says, in the order of asking."""

    def __init__(self, lengths: list[float | None]) -> None:
        super().__init__()
        self.lengths = lengths
        self.learned: list[TrialResult] = []

    def step_time(self, arch: ArchSpec) -> Prediction | None:
        return Prediction(ratio=2.0, low=1.5, high=2.5)

    def trial_seconds(self, predicted: Prediction | None) -> float | None:
        return self.lengths.pop(0)

    def learn(self, trial: TrialResult) -> None:
        self.learned.append(trial)


def test_a_trial_that_is_foreseen_to_be_short_still_fits(session: Begin, ok: Ok) -> None:
    # The longest so far took 9 of 20 seconds: without a forecast nothing more would be started after the second.
    forecast = KnownLengths([9.0, 9.0, 1.5, 3.0])
    running = session(budget="20s", forecast=forecast)
    running.run(ok, lambda index: (9.0, 9.0, 1.5)[index])
    assert [trial.index for trial in running.writer.trials] == [0, 1, 2]
    assert running.loop.stop_reason == "the budget has no room for another trial: 3 s expected, 0.5s left"
    assert forecast.learned == running.writer.trials
    predicted = {
        (trial.step_time_predicted, trial.step_time_predicted_low, trial.step_time_predicted_high)
        for trial in running.writer.trials
    }
    assert predicted == {(2.0, 1.5, 2.5)}


def test_a_candidate_that_does_not_fit_yet_is_not_lost(session: Begin, finished: MakeFinished) -> None:
    forecast = KnownLengths([9.0, 9.5, 12.0, 12.0])
    running = session(budget="20cpu-s", workers=3, forecast=forecast)
    running.start_all(lambda index: 1.0 if index == 0 else 9.0)
    assert running.loop.num_running == 2
    running.end_next(lambda index, seconds: finished(TrialStatus.FAILED, seconds=0.5))
    assert running.loop.next() is None
    forecast.lengths = [5.0]
    candidate = running.loop.next()
    assert candidate is not None
    assert candidate.index == 2


def test_the_record_of_a_trial_measured_in_full(session: Begin, finished: MakeFinished, small_space: Space) -> None:
    running = session(devices=2.0, seed=7)
    running.clock.now_s = 5.0
    (candidate, seed) = running.loop.next(), running.loop.trial_seed(0)
    assert candidate is not None
    running.clock.now_s = 9.0
    result = running.loop.finish(0, finished(seconds=3.5, correct=25))
    params, macs = candidate.arch.cost(8)
    assert result == TrialResult(
        index=0,
        status=TrialStatus.OK,
        key=candidate.arch.key,
        arch=candidate.arch,
        decisions=small_space.encode(candidate.arch),
        seed=seed,
        params=params,
        macs=macs,
        accuracy=0.25,
        num_evaluated=100,
        step_time_ratio=1.5,
        step_time_ratio_low=1.25,
        step_time_ratio_high=1.75,
        step_time_s=0.03,
        step_time_n=15,
        step_time_reference_s=0.02,
        step_time_precise=False,
        train_steps=5,
        train_loss=1.25,
        peak_memory_bytes=1 << 20,
        max_batch_size=512,
        seconds=3.5,
        device_seconds=7.0,
        started_s=5.0,
        ended_s=9.0,
        worker="host:1",
        device="a chip",
    )
    assert running.writer.trials == running.finished == [result]
    assert running.told == [(0, Outcome(accuracy=0.25, step_time=1.5))]


@pytest.mark.parametrize(
    ("status", "measured"),
    [
        (TrialStatus.PRUNED, True),
        (TrialStatus.DIVERGED, True),
        (TrialStatus.FAILED, False),
        (TrialStatus.TIMED_OUT, False),
        (TrialStatus.OUT_OF_MEMORY, False),
    ],
)
def test_the_record_of_a_trial_that_was_not(
    status: TrialStatus, measured: bool, session: Begin, finished: MakeFinished
) -> None:
    running = session()
    running.loop.device = "the probe's chip"
    running.loop.next()
    running.clock.now_s = 4.0
    result = running.loop.finish(0, finished(status, seconds=None))
    assert (result.status, result.reason) == (status, f"the reason for {status}")
    assert (result.accuracy, result.num_evaluated, result.train_loss) == (None, None, None)
    assert result.step_time_ratio == (1.5 if measured else None)
    assert result.device == ("a chip" if measured else "the probe's chip")
    assert result.seconds == result.device_seconds == 4.0, "by the clock, where the worker cannot tell"
    assert running.loop.keeper.expected_s == 0, "its length says nothing of the others"
    assert running.told == [(0, Outcome(accuracy=None, step_time=1.5 if measured else None))]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_loss": 1e30},
        {"train_loss": math.inf},
        {"correct": 101},
        {"correct": None},
        {"num_evaluated": 0},
        {"peak_memory_bytes": -1},
    ],
)
def test_what_breaks_the_records_rules_fails_the_trial_and_not_the_search(
    changes: dict[str, Any], session: Begin, finished: MakeFinished, ok: Ok
) -> None:
    running = session(budget="3")
    running.run(lambda index, seconds: finished(**changes) if index == 1 else ok(index, seconds))
    statuses = [trial.status for trial in running.writer.trials]
    assert statuses == [TrialStatus.OK, TrialStatus.FAILED, TrialStatus.OK]
    reason = running.writer.trials[1].reason
    assert reason is not None
    assert reason.startswith("what was measured cannot be recorded: TrialResult.")


@pytest.mark.parametrize("told", [{"reason": "though it went well"}, {"seconds": math.nan}, {"evaluation": None}])
def test_a_worker_that_contradicts_itself_fails_the_trial(told: dict[str, Any], session: Begin) -> None:
    running = session()
    running.loop.next()
    fields: dict[str, Any] = {"status": TrialStatus.OK, "reason": None, "seconds": 1.0, "evaluation": None} | told
    assert running.loop.finish(0, Finished(**fields)).status is TrialStatus.FAILED


def test_a_failed_append_is_raised_and_nobody_is_told(
    session: Begin, finished: MakeFinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = session()
    running.loop.next()

    def full(trial: TrialResult) -> None:
        raise RunWriteError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(running.writer, "append", full)
        with pytest.raises(RunWriteError, match="no space left"):
            running.loop.finish(0, finished())
    assert (running.told, running.finished, running.writer.trials) == ([], [], [])
    assert running.loop.num_running == running.loop.keeper.running == 1
    running.loop.finish(0, finished())
    assert len(running.told) == 1, "it can be tried again"


def test_an_interrupted_search_finishes_what_runs(session: Begin, ok: Ok) -> None:
    running = session(budget="20", workers=3)
    running.start_all(lambda index: 1.0)
    running.loop.interrupt()
    running.loop.interrupt()
    assert running.loop.next() is None
    assert (running.loop.interrupted, running.loop.stop_reason, running.loop.over) == (True, "interrupted", False)
    for _ in range(3):
        assert not running.loop.over
        running.end_next(ok)
        assert running.loop.next() is None
    assert running.loop.over
    assert sorted(running.keys) == [0, 1, 2]


def test_the_first_reason_to_stop_stays(session: Begin) -> None:
    loop = session().loop
    loop.stop("first")
    loop.stop("second")
    assert (loop.stop_reason, loop.interrupted) == ("first", False)


def test_a_space_that_is_used_up_ends_the_search(session: Begin, ok: Ok, eight: Space) -> None:
    running = session(space=eight, budget="12", workers=2)
    running.run(ok)
    assert len(running.keys) == 8
    assert running.loop.stop_reason == "no network of the space eight is left to try: 8 were proposed"


def test_a_run_goes_on_from_its_record_alone(session: Begin, ok: Ok) -> None:
    whole = session("whole", budget="12")
    whole.run(ok)
    session("cut", budget="5").run(ok)
    resumed = session("cut", budget="12")
    assert resumed.clock.now_s == 10.0
    assert resumed.loop.keeper.left(0) == 7
    resumed.run(ok)
    assert [candidate.index for candidate in resumed.started] == list(range(5, 12))
    assert resumed.writer.trials == whole.writer.trials


def asked(folder: Path) -> dict[int, tuple[int, ...]]:
    """What is on the disk."""
    return {ask.index: ask.decisions for ask in Run(folder).asks_file.records}


def test_what_was_asked_for_is_on_the_disk_before_it_starts(session: Begin, ok: Ok, tmp_path: Path) -> None:
    running = session(budget="6", workers=2)
    while not running.loop.over:
        candidate = running.loop.next()
        if candidate is None:
            running.end_next(ok)
            continue
        assert asked(tmp_path / "run")[candidate.index] == candidate.decisions
        running._times[candidate.index] = (0.0, 1.0 + candidate.index)
    assert [(ask.index, ask.after) for ask in running.writer.asks] == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    assert {trial.index: trial.decisions for trial in running.writer.trials} == asked(tmp_path / "run")


def test_what_could_not_be_recorded_is_not_started(session: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    running = session()

    def full(index: int, decisions: tuple[int, ...]) -> None:
        raise RunWriteError("no space left on device")

    monkeypatch.setattr(running.writer, "ask", full)
    with pytest.raises(RunWriteError, match="no space left"):
        running.loop.next()
    assert running.loop.num_running == running.loop.keeper.running == 0


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_what_was_in_flight_comes_first_after_a_kill_as_it_was(
    session: Begin, ok: Ok, sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trials 1 and 4 are slow: when the session is lost they run, with 6.
    def length(index: int) -> float:
        return 100.0 if index in (1, 4) else 1.0

    killed = session(budget="10", workers=3, sampler=sampler)
    killed.run(ok, length, until=lambda: len(killed.keys) == 4)
    assert sorted(killed.keys) == [0, 2, 3, 5]
    in_flight = [candidate for candidate in killed.started if candidate.index not in killed.keys]
    assert [candidate.index for candidate in in_flight] == [1, 4, 6]
    resumed = session(budget="10", workers=3, sampler=sampler)
    with monkeypatch.context() as patch:
        patch.setattr(resumed.sampler, "ask", lambda index: pytest.fail("nothing else is asked for yet"))
        resumed.start_all()
    assert resumed.started == in_flight
    resumed.run(ok)
    assert [candidate.index for candidate in resumed.started] == [1, 4, 6, 7, 8, 9]
    assert sorted(resumed.keys) == list(range(10))
    assert len(set(resumed.keys.values())) == 10
    assert [ask.index for ask in resumed.writer.asks] == list(range(10)), "nothing was asked for twice"
    assert {trial.index: trial.decisions for trial in resumed.writer.trials} == asked(tmp_path / "run")


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_killed_run_is_the_run_that_was_not(session: Begin, ok: Ok, sampler: str) -> None:
    whole = session("whole", budget="13", sampler=sampler)
    whole.run(ok)
    killed = session("cut", budget="13", sampler=sampler)
    killed.run(ok, until=lambda: len(killed.keys) == 10)
    assert killed.loop.num_running == 1
    resumed = session("cut", budget="13", sampler=sampler)
    resumed.run(ok)
    assert resumed.writer.trials == whole.writer.trials
    assert resumed.writer.asks == whole.writer.asks


def test_a_run_of_an_older_version_has_no_asks_and_goes_on(session: Begin, ok: Ok, tmp_path: Path) -> None:
    older = session(budget="10", workers=3)
    older.run(ok, lambda index: 50.0 if index == 1 else 1.0, until=lambda: len(older.keys) == 4)
    assert sorted(older.keys) == [0, 2, 3, 4]
    (tmp_path / "run/asks.jsonl").unlink()
    resumed = session(budget="8")
    resumed.run(ok)
    assert [candidate.index for candidate in resumed.started] == [5, 6, 7, 8]
    assert len(set(resumed.keys.values())) == 8
    assert [(ask.index, ask.after) for ask in resumed.writer.asks] == [(5, 4), (6, 5), (7, 6), (8, 7)]


def test_a_larger_budget_goes_on_and_a_used_one_does_not(session: Begin, ok: Ok) -> None:
    session(budget="4").run(ok)
    same = session(budget="4")
    same.run(ok)
    assert same.started == []
    assert same.loop.over
    larger = session(budget="30s")
    larger.run(ok)
    assert larger.writer.trials[4].started_s == 8.0, "the clock goes on where it stopped"
    assert larger.clock.now_s == 30.0


def test_spent_device_time_counts_after_a_resume(session: Begin, ok: Ok) -> None:
    session(budget="10cpu-s").run(ok)
    resumed = session(budget="16cpu-s")
    assert resumed.loop.keeper.left(0) == 6
    resumed.run(ok)
    assert [candidate.index for candidate in resumed.started] == [5, 6, 7]


def test_what_the_machines_lost_is_run_again(session: Begin, ok: Ok) -> None:
    running = session(budget="6", workers=2)
    running.start_all(lambda index: 1.0)
    lost = running.started.copy()
    running.lose()
    assert (running.loop.num_running, running.loop.keeper.running, running.loop.over) == (0, 0, False)
    running.run(ok)
    assert running.started[2:4] == lost
    assert sorted(running.keys) == list(range(6))


def test_the_last_trials_are_run_again_too(session: Begin, ok: Ok) -> None:
    running = session(budget="4", workers=2)
    running.start_all(lambda index: 1.0)
    for _ in range(2):
        running.end_next(ok)
        running.start_all(lambda index: 1.0)
    running.loop._max_running = 3
    assert running.loop.next() is None
    assert (running.loop.stop_reason or "").startswith("the budget")
    running.lose()
    assert not running.loop.over
    running.run(ok)
    assert sorted(running.keys) == [0, 1, 2, 3]
    assert (running.loop.stop_reason or "").startswith("the budget")


def test_an_interrupted_search_starts_nothing_again(session: Begin) -> None:
    running = session(workers=2)
    running.start_all(lambda index: 1.0)
    running.loop.interrupt()
    running.lose()
    assert running.loop.over
    assert running.loop.next() is None


@pytest.mark.parametrize("order", range(4))
def test_random_proposes_the_same_at_any_number_of_workers(session: Begin, ok: Ok, order: int) -> None:
    alone = session("alone", budget="20")
    alone.run(ok)
    rng = random.Random(order)
    lengths = [rng.uniform(0.1, 10) for _ in range(20)]
    together = session("together", budget="20", workers=3)
    together.run(ok, lambda index: lengths[index])
    assert [trial.index for trial in together.writer.trials] != list(range(20)), "they end in another order"
    assert together.keys == alone.keys
    assert {trial.index: trial.seed for trial in together.writer.trials} == {
        trial.index: trial.seed for trial in alone.writer.trials
    }
    other = session("other", budget="20", seed=4)
    other.run(ok)
    assert other.keys != alone.keys


def test_every_trial_has_a_seed_of_its_own(session: Begin) -> None:
    loops = [session(f"seed-{seed}", seed=seed).loop for seed in (0, 1, 2**32 - 1)]
    seeds = [loop.trial_seed(index) for loop in loops for index in range(1000)]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**63


def test_an_exhausted_sampler_keeps_the_number(session: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    running = session()

    def exhausted(index: int) -> Candidate[ArchSpec]:
        raise SpaceExhausted("nothing is left")

    monkeypatch.setattr(running.sampler, "ask", exhausted)
    assert running.loop.next() is None
    assert (running.loop.stop_reason, running.loop.over, running.loop._next_index) == ("nothing is left", True, 0)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("budget", "share", "searched"),
    [(20, 0.2, 16), (16, 0.2, 12), (23, 0.2, 18), (10, 0.4, 6), (10, 0.7, 3), (20, 0.29, 14), (10, 0.8, 2)],
)
def test_a_budget_of_trials_with_a_confirmation_is_met_exactly(
    session: Begin, ok: Ok, budget: int, share: float, searched: int, workers: int
) -> None:
    running = session(budget=str(budget), workers=workers, confirm_share=share)
    running.run(ok)
    assert sorted(running.keys) == list(range(budget))
    assert (len(running.searched), len(running.repeated)) == (searched, budget - searched)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert len({trial.key for trial in running.searched}) == searched


@pytest.mark.parametrize(("repeat", "num_networks"), [(2, 5), (3, 3), (5, 2), (9, 2)])
def test_the_best_are_trained_anew_in_turn(session: Begin, ok: Ok, repeat: int, num_networks: int) -> None:
    running = session(budget="20", confirm_share=0.5, repeat=repeat)
    running.run(ok)
    best = sorted(running.searched, key=lambda trial: -running.loop.objective.reward(trial))[:num_networks]
    expected = [(best[place % num_networks].key, 1 + place // num_networks) for place in range(10)]
    assert [(trial.key, trial.repeat) for trial in running.repeated] == expected
    assert running.loop.confirmation is not None
    assert running.loop.confirmation.num_networks == num_networks
    assert running.told == told_of(running.searched), "it is not the sampler's business"
    assert len({trial.seed for trial in running.writer.trials}) == 20
    assert len(running.writer.asks) == 10
    assert {trial.decisions for trial in running.repeated} == {trial.decisions for trial in best}


def test_a_budget_that_is_too_small_confirms_nothing_and_is_searched_with(session: Begin, ok: Ok) -> None:
    running = session(budget="14", confirm_share=0.2)
    running.run(ok)
    assert (len(running.searched), running.repeated, running.loop.confirmation) == (14, [], None)


def test_where_nothing_was_measured_there_is_nothing_to_confirm(session: Begin, finished: MakeFinished) -> None:
    running = session(budget="20", confirm_share=0.2)
    running.run(lambda index, seconds: finished(TrialStatus.FAILED))
    assert (len(running.searched), running.repeated) == (20, [])


def test_with_a_worker_for_each_trial_the_first_results_are_waited_for(session: Begin, ok: Ok) -> None:
    running = session(budget="20", workers=20, confirm_share=0.2, repeat=2)
    running.start_all(lambda index: 1.0 + index)
    assert running.loop.num_running == 16
    assert running.loop.confirmation is None
    running.run(ok, lambda index: 1.0 + index)
    assert (len(running.searched), len(running.repeated)) == (16, 4)


def test_trainings_anew_that_fail_are_counted(session: Begin, ok: Ok, finished: MakeFinished) -> None:
    running = session(budget="20", confirm_share=0.3)

    def told(index: int, seconds: float) -> Finished:
        return ok(index, seconds) if index < 14 else finished(TrialStatus.DIVERGED, seconds=seconds)

    running.run(told)
    assert [trial.status for trial in running.repeated] == [TrialStatus.DIVERGED] * 6
    assert sorted(trial.repeat for trial in running.repeated) == [1, 1, 2, 2, 3, 3]
    assert running.loop.over
    assert running.told == told_of(running.searched)


def test_a_space_that_is_used_up_is_confirmed(session: Begin, ok: Ok, eight: Space) -> None:
    running = session(space=eight, budget="40", confirm_share=0.2)
    running.run(ok)
    assert (len(running.searched), len(running.repeated)) == (8, 8), "no more than its share"
    assert running.loop.stop_reason == "its best 2 networks were trained anew"


def test_an_interrupted_search_confirms_nothing(session: Begin, ok: Ok) -> None:
    running = session(budget="20", confirm_share=0.2, workers=2)
    running.run(ok, until=lambda: len(running.keys) == 13)
    running.loop.interrupt()
    running.run(ok)
    assert (len(running.keys), running.repeated, running.loop.stop_reason) == (15, [], "interrupted")
    resumed = session(budget="20", confirm_share=0.2)
    resumed.run(ok)
    assert (len(resumed.searched), len(resumed.repeated)) == (16, 4)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_of_the_wall_clock_is_for_confirming(session: Begin, ok: Ok, share: float) -> None:
    running = session(budget="100s", workers=2, expected_s=3, confirm_share=share)
    running.run(ok)
    search_ended_s = max(trial.ended_s for trial in running.searched)
    assert 100 * (1 - share) - 2 <= search_ended_s <= 100 * (1 - share)
    assert len(running.repeated) == 100 * share
    assert running.clock.now_s == 100


def test_a_share_of_the_device_time_is_for_confirming(session: Begin, ok: Ok) -> None:
    running = session(budget="100cpu-s", workers=3, devices=2, expected_s=2, confirm_share=0.3)
    running.run(ok)
    assert sum(trial.device_seconds for trial in running.searched) in (68, 72)
    assert sum(trial.device_seconds for trial in running.writer.trials) <= 100
    assert len(running.repeated) == 7


def test_slow_trainings_anew_end_within_the_clock(session: Begin, ok: Ok) -> None:
    running = session(budget="100s", expected_s=2, confirm_share=0.2)
    running.run(ok, lambda index: 5.0 if index >= 40 else 2.0)
    assert [trial.index for trial in running.repeated] == [41, 42, 43, 44]
    assert running.clock.now_s == 100
    assert (running.loop.stop_reason or "").startswith("the budget")


def test_what_did_not_fit_beside_the_confirmation_waits_for_a_larger_budget(session: Begin, ok: Ok) -> None:
    running = session(budget="50s", expected_s=3, confirm_share=0.5)
    running.run(ok, lambda index: 3.0)
    waiting = running.writer.asks[-1]
    assert waiting.index == 8
    assert waiting.index not in running.keys
    assert len(running.repeated) == 8
    larger = session(budget="200s", expected_s=3, confirm_share=0.5)
    larger.start_all()
    assert (larger.started[0].index, larger.started[0].decisions) == (8, waiting.decisions)


def confirmed(running: Session) -> list[tuple[int, str, int, int]]:
    """What was trained anew, and how."""
    return [(trial.index, trial.key, trial.repeat, trial.seed) for trial in running.repeated]


@pytest.mark.parametrize(("sampler", "done"), [*(("random", done) for done in range(13, 20)), ("cost-aware", 16)])
def test_a_confirmation_goes_on_where_it_was_killed(session: Begin, ok: Ok, done: int, sampler: str) -> None:
    settings: dict[str, Any] = {"budget": "20", "confirm_share": 0.3, "sampler": sampler}
    whole = session("whole", **settings)
    whole.run(ok)
    killed = session("cut", **settings)
    killed.run(ok, until=lambda: len(killed.keys) == done)
    resumed = session("cut", **settings)
    resumed.run(ok)
    assert confirmed(resumed) == confirmed(whole)
    assert resumed.keys == whole.keys
    assert {trial.repeat for trial in whole.repeated} == {1, 2, 3}


def test_a_trial_of_the_search_that_was_in_flight_when_the_confirmation_was_killed(session: Begin, ok: Ok) -> None:
    settings: dict[str, Any] = {"budget": "20", "confirm_share": 0.3, "workers": 2}
    killed = session(**settings)
    killed.run(ok, lambda index: 100.0 if index == 12 else 2.0, until=lambda: len(killed.repeated) == 2)
    (lost,) = (candidate for candidate in killed.started if candidate.index == 12)
    assert 12 not in killed.keys
    resumed = session(**settings)
    resumed.run(ok)
    assert resumed.started[0] == lost
    assert (len(resumed.searched), len(resumed.repeated)) == (14, 6)


def test_a_larger_budget_searches_on_and_confirms_anew(session: Begin, ok: Ok) -> None:
    session(budget="20", confirm_share=0.2).run(ok)
    larger = session(budget="40", confirm_share=0.2)
    larger.run(lambda index, seconds: ok(index + 20, seconds))
    kinds = [bool(trial.repeat) for trial in larger.writer.trials]
    assert kinds == [False] * 16 + [True] * 4 + [False] * 12 + [True] * 8
    best = sorted(larger.searched, key=lambda trial: -larger.loop.objective.reward(trial))[:2]
    anew = larger.repeated[4:]
    assert {trial.key for trial in anew} == {trial.key for trial in best}
    for trial in best:
        repeats = [again.repeat for again in larger.repeated if again.key == trial.key]
        assert repeats == list(range(1, len(repeats) + 1))
        assert len(repeats) >= 3
    assert len({(trial.key, trial.repeat) for trial in larger.writer.trials}) == 40


def test_what_the_machines_lost_of_a_confirmation_is_run_again(session: Begin, ok: Ok) -> None:
    running = session(budget="20", confirm_share=0.3, workers=2)
    running.run(ok, until=lambda: len(running.repeated) == 2)
    lost = running.started[-2:]
    running.lose()
    running.run(ok)
    again = [candidate for candidate in running.started if candidate in lost]
    assert again == [*lost, *lost]
    assert (len(running.searched), len(running.repeated)) == (14, 6)
    assert sorted(trial.repeat for trial in running.repeated) == [1, 1, 2, 2, 3, 3]
    assert sorted(running.keys) == list(range(20))
