"""What the command makes of what its workers tell; without Ray, whose calls answer at once."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from nas.cluster import EngineError, training
from nas.cluster.mailbox import LIVES
from nas.cluster.training import BEGUN, ENDED, FAILED, LOST
from nas.signals import StopRequest
from nas.train.report import Silent
from results import RunWriteError

Follow = Callable[..., tuple[Any, list[str]]]


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Follow workers that tell these letters, one list at each look; a signal comes before look number `stop_at`. Each
    look takes half a minute. What it returned or raised, and the notes."""
    import ray

    monkeypatch.setattr(ray, "get", lambda answer: answer)
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 1.0})
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0})
    monkeypatch.setattr(training.time, "sleep", lambda seconds: None)
    clock = itertools.count(0, 15)
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))

    def run(*told: list[tuple[str, Any]], stop_at: int | None = None) -> tuple[Any, list[str]]:
        stop, noting, looks = StopRequest(), Noting(), iter(told)

        def take() -> list[tuple[str, Any]]:
            stop.asked = stop.asked or number == stop_at
            return letters

        numbered = enumerate(looks)
        number, letters = -1, []

        def wait(fitting: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
            nonlocal number, letters
            number, letters = next(numbered, (number + 1, []))
            return (fitting, []) if number >= len(told) else ([], fitting)

        monkeypatch.setattr(ray, "wait", wait)
        launch = SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda call: "why it ended"))
        asked = SimpleNamespace(remote=lambda: None)
        mailbox = SimpleNamespace(take=SimpleNamespace(remote=take), launch=launch, ask_to_stop=asked)
        try:
            return training._follow(lambda: "", mailbox, stop, noting), noting.notes
        except (EngineError, KeyboardInterrupt, RunWriteError) as error:
            return error, noting.notes

    return run


def test_the_end_is_what_the_workers_say(follow: Follow) -> None:
    assert follow([(BEGUN, "2 workers")], [(ENDED, "result")]) == ("result", ["2 workers"])
    found, _ = follow([(BEGUN, "2 workers")], [(FAILED, RunWriteError("disk full")), (LOST, "the other one")])
    assert isinstance(found, RunWriteError)
    found, _ = follow([])
    assert str(found) == "the workers ended before the training did: why it ended"


@pytest.mark.parametrize("told", [[], [[(BEGUN, "2 workers")], [(LOST, "lost")]]])
def test_a_stop_while_none_trains_waits_for_none(follow: Follow, told: list[list[tuple[str, Any]]]) -> None:
    found, _ = follow(*told, [], [(BEGUN, "too late")], stop_at=len(told))
    assert isinstance(found, KeyboardInterrupt)


def test_a_stop_while_they_train_is_theirs(follow: Follow) -> None:
    assert follow([(BEGUN, "2 workers")], [], [], [(ENDED, "result")], stop_at=1)[0] == "result"


def test_a_long_wait_is_said_once(follow: Follow) -> None:
    long, alive = [[]] * 12, [[(LIVES, None)]] * 12
    _, notes = follow(*long, [(BEGUN, "2 workers")], *alive, [(LOST, "lost")], *long, [(ENDED, "result")])
    wait = (
        "no worker has begun for 90 s: they are starting, or wait for others to make room (1 of 4 processors are free)"
    )
    assert notes == [wait, "2 workers", "lost", wait]


def test_workers_that_are_not_heard_of_are_missed_and_a_stop_waits_for_none(follow: Follow) -> None:
    missed = "the workers have not been heard of for 60 s; they are started again where there is room"
    begun, silent, alive = [[(BEGUN, "2 workers")]], [[]] * 12, [[(LIVES, None)]]
    _, notes = follow(*begun, *silent, *alive, *silent, [(ENDED, "result")])
    assert notes == ["2 workers", missed, missed]
    found, notes = follow(*begun, *silent, stop_at=10)
    assert (type(found), notes) == (KeyboardInterrupt, ["2 workers", missed])
    found, _ = follow(*begun, *silent, *alive, [], [(ENDED, "result")], stop_at=13)
    assert found == "result"
