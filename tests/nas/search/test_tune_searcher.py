"""The loop as Tune sees it, driven here in Tune's place."""

from types import SimpleNamespace
from typing import Any

import pytest

from nas.cluster import LOST_WITHIN_S, EngineError, NoMachine
from nas.device import Compute
from nas.search import tune_searcher
from nas.search.task import Probe
from nas.search.tune_searcher import LoopSearcher, ProbeFailed
from nas.search.worker import WarmUp
from results import TrialStatus
from tests.nas.search.sessions import Begin, Session

FAILED: dict[str, Any] = {"status": "failed", "reason": "why", "seconds": 1.0, "worker": "host:1", "value": None}
PROBE = SimpleNamespace(evaluator="an_evaluator")
WARM_UP = WarmUp(evaluator="an_evaluator")
PROBED = Probe(device="cpu", compute=Compute(), trial_s=1.0)


def lost() -> None:
    raise EngineError("the supernet was lost")


class Alive:
    """In place of a cluster's machines."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def alive(self) -> frozenset[str]:
        return frozenset(self.names)

    def check(self) -> None:
        if not self.names:
            raise NoMachine("none is left")

    def fit(self) -> int:
        return sum(name != "head" for name in self.names)


def searcher_of(
    session: Session, on_failure: Any = lambda: None, machines: Alive | None = None, *, probe: bool = False
) -> LoopSearcher:
    return LoopSearcher(
        session.loop,
        lambda candidate: candidate,  # type: ignore[arg-type, return-value]
        probe_call=PROBE if probe else None,  # type: ignore[arg-type]
        on_probe=lambda probe: None,
        on_failure=on_failure,
        on_tick=lambda: None,
        machines=machines or Alive("only"),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("on_failure", "on_record"), [(lost, 0), (lambda: None, 1)])
def test_a_failure_that_ends_the_search_is_not_on_record(session: Begin, on_failure: Any, on_record: int) -> None:
    begun = session()
    searcher = searcher_of(begun, on_failure)
    candidate = searcher.suggest("one")["call"]
    searcher.on_trial_complete("one", FAILED)
    assert isinstance(searcher.error, EngineError) is (on_record == 0)
    assert [trial.status for trial in begun.writer.trials] == [TrialStatus.FAILED] * on_record
    if not on_record:
        assert searcher.suggest("two") == LoopSearcher.FINISHED
        again = session()
        found = searcher_of(again, on_failure).suggest("one")["call"]
        assert (found.index, found.arch) == (candidate.index, candidate.arch)


def test_what_ran_where_a_machine_left_runs_again(session: Begin) -> None:
    begun, machines = session(workers=2), Alive("first", "second")
    searcher = searcher_of(begun, machines=machines)
    lost, other = (searcher.suggest(name)["call"] for name in ("one", "two"))
    searcher.on_trial_complete("one", error=True)
    assert not searcher.tick()
    assert searcher.suggest("three") is None, "whether a machine left is not known yet"
    assert (begun.writer.trials, begun.loop.num_running) == ([], 2)
    machines.names = ("first", "third")
    assert not searcher.tick()
    assert searcher.suggest("three")["call"] == lost
    searcher.on_trial_complete("three", FAILED)
    searcher.on_trial_complete("two", FAILED)
    assert searcher.error is None
    assert [trial.index for trial in begun.writer.trials] == [lost.index, other.index]


def test_a_worker_that_dies_where_no_machine_left_has_failed(session: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(tune_searcher, "time", SimpleNamespace(monotonic=lambda: now))
    begun = session(workers=2)
    alone = searcher_of(begun)
    alone.suggest("one")
    alone.on_trial_complete("one", error=True)
    assert [trial.reason for trial in begun.writer.trials] == ["its worker died"], "at once, of one machine"
    searcher = searcher_of(begun, machines=Alive("first", "second"))
    searcher.suggest("two")
    searcher.on_trial_complete("two", error=True)
    now = LOST_WITHIN_S
    searcher.tick()
    assert len(begun.writer.trials) == 1
    now = LOST_WITHIN_S + 1
    searcher.tick()
    assert [trial.status for trial in begun.writer.trials] == [TrialStatus.FAILED] * 2


def test_what_became_of_a_lost_trial_is_asked_for_where_tune_only_asks_for_another(session: Begin) -> None:
    begun, machines = session(), Alive("head", "first")
    searcher = searcher_of(begun, machines=machines)
    lost = searcher.suggest("one")["call"]
    searcher.on_trial_complete("one", error=True)
    assert searcher.suggest("two") is None
    machines.names = ("head",)
    assert searcher.suggest("three")["call"] == lost
    searcher.on_trial_complete("three", error=True)
    machines.names = ()
    assert searcher.suggest("four") == LoopSearcher.FINISHED
    assert isinstance(searcher.error, NoMachine)


def test_a_search_that_no_machine_is_left_for_does_not_wait(session: Begin) -> None:
    begun, machines = session(workers=2), Alive("first")
    searcher = searcher_of(begun, machines=machines)
    searcher.suggest("one")
    assert not searcher.tick()
    machines.names = ()
    assert searcher.tick(), "the trial that waits is not waited for"
    assert isinstance(searcher.error, NoMachine)
    assert searcher.suggest("two") == LoopSearcher.FINISHED
    assert begun.writer.trials == []


def test_a_probe_whose_machine_left_is_run_again(session: Begin) -> None:
    begun, machines = session(workers=2), Alive("first", "second")
    searcher = searcher_of(begun, machines=machines, probe=True)
    assert searcher.suggest("one")["call"] == PROBE
    assert searcher.suggest("two")["call"] == WARM_UP
    assert searcher.suggest("three") is None
    searcher.on_trial_complete("one", error=True)
    assert not searcher.tick()
    assert searcher.suggest("three") is None, "whether a machine left is not known yet"
    machines.names = ("second",)
    assert not searcher.tick()
    assert searcher.suggest("three")["call"] == PROBE
    searcher.on_trial_complete("two", error=True)
    searcher.on_trial_complete("three", {"value": PROBED})
    assert searcher.suggest("four")["call"].index == 0


@pytest.mark.parametrize("fails", [False, True])
def test_the_other_workers_warm_up_beside_the_probe_and_are_on_no_record(session: Begin, *, fails: bool) -> None:
    begun = session(workers=3)
    searcher = searcher_of(begun, machines=Alive("first", "second", "third", "head"), probe=True)
    calls = [searcher.suggest(name) for name in ("one", "two", "three", "four")]
    assert calls == [{"call": PROBE}, {"call": WARM_UP}, {"call": WARM_UP}, None]
    searcher.on_trial_complete("two", None if fails else {"seconds": 0.0}, error=fails)
    assert (searcher.suggest("four"), searcher.error) == (None, None)
    searcher.on_trial_complete("one", {"value": PROBED})
    assert [searcher.suggest(name)["call"].index for name in ("four", "five")] == [0, 1]
    searcher.on_trial_complete("three", None if fails else {"seconds": 0.0}, error=fails)
    assert (searcher.tick(), searcher.error, begun.writer.trials) == (False, None, [])


def test_a_warm_up_that_hangs_is_not_waited_for(session: Begin) -> None:
    begun = session(workers=2, budget="1")
    searcher = searcher_of(begun, machines=Alive("first", "second"), probe=True)
    for name in ("one", "two"):
        searcher.suggest(name)
    searcher.on_trial_complete("one", {"value": PROBED})
    searcher.suggest("three")
    assert searcher.suggest("four") is None
    assert not searcher.tick()
    searcher.on_trial_complete("three", FAILED)
    assert searcher.suggest("four") == LoopSearcher.FINISHED
    assert searcher.tick()


@pytest.mark.parametrize("result", [{}, None])
def test_a_probe_is_not_waited_for_where_the_user_stops(session: Begin, result: dict[str, Any] | None) -> None:
    begun = session()
    searcher = searcher_of(begun, probe=True)
    searcher.suggest("one")
    assert not searcher.tick()
    begun.loop.interrupt()
    assert searcher.tick()
    searcher.on_trial_complete("one", result)
    assert (searcher.error, searcher.suggest("two")) == (None, LoopSearcher.FINISHED)


@pytest.mark.parametrize("result", [None, FAILED])
def test_a_probe_that_fails_ends_the_search(session: Begin, result: dict[str, Any] | None) -> None:
    searcher = searcher_of(session(), probe=True)
    searcher.suggest("one")
    if result is None:
        searcher.on_trial_complete("one", error=True)
        assert (searcher.error, searcher.suggest("one")) == (None, {"call": PROBE}), "once more"
    searcher.on_trial_complete("one", result, error=result is None)
    assert isinstance(searcher.error, ProbeFailed)
    assert str(searcher.error) == ("why" if result else "its worker died")
    assert searcher.suggest("two") == LoopSearcher.FINISHED


def test_as_many_run_as_the_machines_hold_and_one_waits_where_there_is_none(session: Begin) -> None:
    begun, machines = session(workers=3), Alive("first")
    searcher = searcher_of(begun, machines=machines)

    def sent(*names: str) -> list[bool]:
        assert not searcher.tick()
        return [searcher.suggest(name) is not None for name in names]

    assert sent("one", "two") == [True, False]
    machines.names = ("first", "second", "third")
    assert sent("two", "three", "four") == [True, True, False]
    machines.names = ("first",)
    searcher.on_trial_complete("one", FAILED)
    assert sent("four") == [False]
