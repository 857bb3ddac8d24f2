"""Signal handlers that hold for a while."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = ["STOPPING", "StopRequest", "handling", "held_back", "ignoring", "silence", "stop_request"]

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a command to end: Ctrl-C, a batch system, a terminal that is closed."""


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Signal handlers for a while; as they were where this is not the main thread, which alone may set them. A SIGHUP
    that is ignored, as nohup has it, stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number, handler in handlers.items():
        if number == signal.SIGHUP:
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
            handler = _without_terminal(handler) if callable(handler) else handler
        before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignoring() -> contextlib.AbstractContextManager[None]:
    """What asks a command to end is ignored for a while: it is ending."""
    return handling(dict.fromkeys(STOPPING, signal.SIG_IGN))


def _without_terminal(handler: Callable[[int, FrameType | None], Any]) -> Handler:
    """For SIGHUP: what is said to a terminal that is gone goes nowhere, as it would be an error otherwise."""

    def on_hangup(number: int, frame: FrameType | None) -> None:
        for descriptor in (1, 2):
            try:
                os.write(descriptor, b"")
            except OSError:
                silence(descriptor)
        handler(number, frame)

    return on_hangup


def silence(descriptor: int) -> None:
    """What is written there goes nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextlib.contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Signals to this thread wait for a while. A process that is started meanwhile never gets them, however early."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopRequest:
    """Whether a signal of `STOPPING` came. A second one is an interrupt at once, but for SIGHUP: a closed terminal and
    its shell both send it."""

    def __init__(self, on_asked: Callable[[], None] | None = None) -> None:
        self.asked = False
        self._on_asked = on_asked

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number != signal.SIGHUP:
            raise KeyboardInterrupt
        self.asked = True
        if self._on_asked is not None:
            self._on_asked()


@contextlib.contextmanager
def stop_request(on_asked: Callable[[], None] | None = None) -> Iterator[StopRequest]:
    """For work that ends where it can go on later: it looks at what this gives, or is told by `on_asked`, instead of
    being interrupted."""
    request = StopRequest(on_asked)
    with handling(dict.fromkeys(STOPPING, request)):
        yield request
