"""The loop as Tune sees it, driven here in Tune's place."""

from typing import Any

import pytest

from nas.cluster import EngineError
from nas.search.tune_searcher import LoopSearcher
from results import TrialStatus
from tests.nas.search.sessions import Begin, Session

FAILED: dict[str, Any] = {"status": "failed", "reason": "why", "seconds": 1.0, "worker": "host:1", "value": None}


def lost() -> None:
    raise EngineError("the supernet was lost")


def searcher_of(session: Session, on_failure: Any) -> LoopSearcher:
    return LoopSearcher(
        session.loop,
        lambda candidate: candidate,  # type: ignore[arg-type, return-value]
        probe_call=None,
        on_probe=lambda probe: None,
        on_failure=on_failure,
        on_tick=lambda: None,
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
