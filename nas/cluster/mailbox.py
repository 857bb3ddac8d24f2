"""What workers tell the command that started them, and the one thing that it tells them: to stop.

A mailbox is a Ray actor beside the driver. A worker that dies takes nothing with it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nas.train.report import Metrics, Now

__all__ = ["BEGINS", "LAUNCHING", "LIVES", "Mailbox", "StopAsked", "Told", "beating", "mailbox_actor"]

LAUNCHING = "launching"
"""The concurrency group of `launch`; other methods are called one by one, in the order in which they came."""

BEGINS, LIVES = "begins", "lives"
BEAT_EVERY_S = 5.0
STEP_EVERY_S = 0.5
STOP_EVERY_S = 1.0


class Mailbox:
    """An actor: (what, value) pairs in the order in which they came."""

    def __init__(self) -> None:
        self._letters: list[tuple[str, Any]] = []
        self._stops = False

    def tell(self, what: str, value: Any) -> None:
        self._letters.append((what, value))

    def take(self) -> list[tuple[str, Any]]:
        """All that came since the last time."""
        letters, self._letters = self._letters, []
        return letters

    def ask_to_stop(self) -> None:
        self._stops = True

    def stops(self) -> bool:
        return self._stops

    def launch(self, call: Callable[[], str]) -> str:
        """Meanwhile the other methods answer."""
        return call()


def mailbox_actor(**options: Any) -> Any:
    """A new mailbox's handle."""
    import ray

    remote: Any = ray.remote
    return remote(concurrency_groups={LAUNCHING: 1})(Mailbox).options(**options).remote()


class Told:
    """The `Progress` of the first worker: into the mailbox. Nothing waits for its delivery."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._last_step = 0.0

    def begins(self) -> None:
        self._mailbox.tell.remote(BEGINS, None)

    def note(self, text: str) -> None:
        self._mailbox.tell.remote("note", text)

    def step(self, now: Now) -> None:
        if time.monotonic() - self._last_step >= STEP_EVERY_S:
            self._last_step = time.monotonic()
            self._mailbox.tell.remote("step", now)

    def evaluated(self, metrics: Metrics) -> None:
        self._mailbox.tell.remote("evaluated", metrics)


@contextmanager
def beating(mailbox: Any) -> Iterator[None]:
    """Within, the mailbox is told every five seconds that this worker lives."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_EVERY_S):
            mailbox.tell.remote(LIVES, None)

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()


class StopAsked:
    """Whether the driver asks to stop, looked up once a second."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._looked = time.monotonic()

    def __call__(self) -> bool:
        import ray

        if time.monotonic() - self._looked < STOP_EVERY_S:
            return False
        self._looked = time.monotonic()
        return bool(ray.get(self._mailbox.stops.remote()))
