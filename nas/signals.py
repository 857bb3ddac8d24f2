"""Signal handlers that hold for a while."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = ["STOPPING", "handling"]

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
STOPPING = (signal.SIGINT, signal.SIGTERM)
"""What asks a command to end."""


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Signal handlers for a while; as they were where this is not the main thread, which alone may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
