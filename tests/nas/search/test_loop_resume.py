"""A search that was killed, or whose machines were lost, goes on from its record."""

from pathlib import Path

import pytest

from nas.search.samplers import SAMPLERS
from results import Run, RunWriteError
from tests.nas.search.sessions import Begin, Ok


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


def test_a_budget_of_another_kind_counts_what_was_spent_before_it(session: Begin, ok: Ok) -> None:
    session(budget="10s", devices=2).run(ok)
    assert session(budget="28cpu-s", devices=2).loop.keeper.left(0) == 28 - 5 * 2 * 2
    assert session(budget="28gpu-s", devices=0.25).loop.keeper.left(0) == 28 - 5 * 2 * 0.25
    assert session(budget="8", devices=2).loop.keeper.left(0) == 3


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
    running.loop.max_running = 3
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
