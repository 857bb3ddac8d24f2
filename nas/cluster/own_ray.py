"""The processes of a Ray of our own: which there are, that they are still there, and their end; and whether the head of
the user's cluster answers."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from nas.signals import handling

__all__ = ["EngineError", "end", "ends_with_ray", "processes", "shut_down"]

_GRACE_S = 5.0
_LOOK_EVERY_S = 0.5
_LOOKS_BEFORE_END = 10
_IGNORE_EVERY_S = 0.0002
_NEEDED = ("gcs_server", "raylet")
_ASK_HEAD_EVERY_S = 5.0
# A head may be restarted. After 60 s without it Ray itself ends the process.
_HEAD_MAY_BE_SILENT_S = 40.0


class EngineError(RuntimeError):
    """The machines failed, not what ran on them."""


class _Lost(BaseException):
    """No Exception, which Ray would catch."""


@contextlib.contextmanager
def ends_with_ray(scratch: Path, last_words: Callable[[str], None]) -> Iterator[None]:
    """Within, the loss of a Ray of our own, or of the head of the user's cluster, interrupts the main thread. Where it
    stays in one of Ray's calls, which would wait for a minute and then end this process without a word, that is ended
    here.

    Args:
        scratch: the session's folder, which is removed before.
        last_words: told the reason before.

    Raises:
        EngineError: where its server, or its part that has the workers, has ended; where the head has not answered for
            40 s.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield
        return
    over, reasons = threading.Event(), list[str]()
    node = _node()
    look, every_s = (_Head(), _ASK_HEAD_EVERY_S) if node is not None and not node.is_head() else (_ended, _LOOK_EVERY_S)

    def watch() -> None:
        looks = 0
        while not over.wait(_LOOK_EVERY_S if reasons else every_s):
            if not reasons:
                reasons.extend(look())
            if not reasons or main.ident is None:
                continue
            signal.pthread_kill(main.ident, signal.SIGUSR2)
            looks += 1
            if looks > _LOOKS_BEFORE_END:
                last_words(_lost(reasons))
                end(processes())
                shutil.rmtree(scratch, ignore_errors=True)
                os._exit(1)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not over.is_set():
            raise _Lost

    watcher = threading.Thread(target=watch, daemon=True)
    with handling({signal.SIGUSR2: interrupt}):
        watcher.start()
        try:
            yield
        except _Lost:
            raise EngineError(_lost(reasons)) from None
        finally:
            over.set()
            watcher.join()


def _lost(reasons: Sequence[str]) -> str:
    return f"Ray was lost: {reasons[0]}"


def _ended() -> list[str]:
    node = _node()
    dead = node.dead_processes() if node is not None else ()
    return [f"its {name} has ended" for name, _ in dead if name in _NEEDED]


class _Head:
    """The head of the cluster that this process is connected to; a call asks it for an answer."""

    def __init__(self) -> None:
        import ray

        self._address: str = ray.get_runtime_context().gcs_address
        self._answered = time.monotonic()

    def __call__(self) -> list[str]:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ASK_HEAD_EVERY_S).close()
        except OSError:
            if time.monotonic() - self._answered > _HEAD_MAY_BE_SILENT_S:
                return [f"the cluster's head ({self._address}) has not answered for {_HEAD_MAY_BE_SILENT_S:g} s"]
        else:
            self._answered = time.monotonic()
        return []


def _node() -> Any:
    worker: Any = import_module("ray._private.worker")
    return worker._global_node


def processes() -> list[psutil.Process]:
    """All that run of a Ray of our own; none of a cluster's."""
    node, found = _node(), []
    infos = node.all_processes.values() if node is not None else ()
    for info in (info for several in infos for info in several):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(info.process.pid)
            found += [process, *process.children(recursive=True)]
    return found


def shut_down() -> None:
    """Disconnect, and end a Ray of our own, while the main thread ignores signals. In the middle of it Ray's C++ lets
    SIGTERM kill again, and then waits for a second or more: it is ignored again at once."""
    import ray

    if threading.current_thread() is not threading.main_thread():
        ray.shutdown()
        return
    over, ignored = threading.Event(), ctypes.c_void_p(signal.SIG_IGN.value)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p

    def ignore() -> None:
        # Python's own may be called in the main thread alone, which is in Ray's C++.
        while not over.wait(_IGNORE_EVERY_S):
            libc.signal(signal.SIGTERM, ignored)

    ignoring = threading.Thread(target=ignore, daemon=True)
    ignoring.start()
    try:
        ray.shutdown()
    finally:
        over.set()
        ignoring.join()
        libc.signal(signal.SIGTERM, ignored)


def end(started: list[psutil.Process]) -> None:
    """Wait until they have ended, and kill those that have not: a worker that just starts would make the session's
    folder anew."""
    until = time.monotonic() + _GRACE_S
    while (left := [each for each in started if _lives(each)]) and time.monotonic() < until:
        time.sleep(0.05)
    for each in left:
        with contextlib.suppress(psutil.Error):
            each.kill()


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
