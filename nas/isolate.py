"""Run one call in a child process with a deadline and a memory limit, so that whatever becomes of it is a value.

The child is forked from a server that has torch imported already (multiprocessing's forkserver), which costs some
50 ms a trial instead of seconds. A hang, a crash of the interpreter, an out-of-memory kill end the child alone; the
memory that it held, on a GPU too, is given back with it.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

import psutil

from nas.device_memory import is_out_of_memory, private_bytes

__all__ = ["ChildOutcome", "check_room_for_sockets", "main_module_hidden", "run_in_child"]

_PRELOAD = ("nas.search.evaluate", "scipy.stats")
_GRACE_S = 10.0
_LOOK_EVERY_S = 0.25
_STARTING = threading.Lock()
# A socket's path has 107 at most, of which multiprocessing adds 32.
_LONGEST_TEMPORARY_FOLDER = 75


@dataclass(frozen=True, kw_only=True)
class ChildOutcome:
    """`value` is what the call returned where `ended` is `returned`; otherwise `reason` says what happened."""

    ended: Literal["returned", "raised", "out_of_memory", "timed_out", "died"]
    value: Any = None
    reason: str | None = None


def run_in_child(
    call: str,
    *arguments: Any,
    deadline_s: float,
    memory_bytes: int | None = None,
    preload: Sequence[str] = _PRELOAD,
) -> ChildOutcome:
    """A call in a fresh process.

    Args:
        call: `module:function`; so that this process need not import it.
        arguments: and the result: picklable.
        deadline_s: seconds after which the child is killed.
        memory_bytes: how much memory of its own the child may hold before it is killed; None for no limit. It is
            looked at four times a second, so that a burst can pass it; then the kernel's own killer takes the child.
        preload: modules that the server of this process's children imports when it starts, with the first of them.

    Raises:
        ValueError: where the temporary folder's path is too long.
        OSError, EOFError: where no process can be started.
    """
    check_room_for_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child_main, args=(sender, call, arguments), daemon=True)
    with main_module_hidden():
        child.start()
    sender.close()
    try:
        end = time.monotonic() + deadline_s
        while not receiver.poll(_LOOK_EVERY_S):
            if time.monotonic() > end:
                return ChildOutcome(ended="timed_out", reason=f"took longer than its deadline of {deadline_s:.0f} s")
            held = 0
            with contextlib.suppress(psutil.Error):
                held = private_bytes(child.pid)
            if memory_bytes is not None and held > memory_bytes:
                reason = f"held {held / 2**20:.0f} MiB of memory, its limit is {memory_bytes / 2**20:.0f} MiB"
                return ChildOutcome(ended="out_of_memory", reason=reason)
        outcome = _received(receiver)
        child.join(_GRACE_S)
        return outcome or _died(child.exitcode)
    finally:
        receiver.close()
        child.kill()
        child.join()


def check_room_for_sockets() -> None:
    """Raise ValueError where the temporary folder's path is too long for the sockets by which processes are started."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > _LONGEST_TEMPORARY_FOLDER:
        raise ValueError(
            f"the temporary folder's path (TMPDIR) must have at most {_LONGEST_TEMPORARY_FOLDER} bytes, as sockets lie "
            f"there, got {folder}"
        )


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keep multiprocessing from importing the parent's main script (Ray's worker, a user's notebook) in the child."""
    with _STARTING:
        main = sys.modules.pop("__main__", None)
        sys.modules["__main__"] = type(sys)("__main__")
        try:
            yield
        finally:
            if main is not None:
                sys.modules["__main__"] = main


def _received(receiver: Connection) -> ChildOutcome | None:
    """What the child sent; None where it ended before, or while, it did."""
    try:
        outcome: ChildOutcome = receiver.recv()
    except (EOFError, OSError):
        return None
    except Exception as error:
        return ChildOutcome(ended="raised", reason=f"its result cannot be read: {type(error).__name__}: {error}")
    return outcome


def _died(exit_code: int | None) -> ChildOutcome:
    if exit_code == -signal.SIGKILL:
        reason = "killed (SIGKILL): most often the kernel's out-of-memory killer"
        return ChildOutcome(ended="out_of_memory", reason=reason)
    if exit_code is not None and exit_code < 0:
        return ChildOutcome(ended="died", reason=f"its process died of {signal.Signals(-exit_code).name}")
    return ChildOutcome(ended="died", reason=f"its process ended without a result, exit code {exit_code}")


def _child_main(sender: Connection, call: str, arguments: tuple[Any, ...]) -> None:
    _die_with_parent()
    # A Ctrl-C in a terminal reaches every process of the group; the driver decides what becomes of a trial.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _be_first_out_of_memory()
    try:
        module, _, function = call.partition(":")
        value = getattr(import_module(module), function)(*arguments)
        # In here, as what a call returns may not be picklable; nothing of it has been sent then.
        sender.send(ChildOutcome(ended="returned", value=value))
    except Exception as error:
        sender.send(_raised(error))
    sender.close()


def _raised(error: Exception) -> ChildOutcome:
    if is_out_of_memory(error):
        return ChildOutcome(ended="out_of_memory", reason=f"{type(error).__name__}: {error}")
    from results import RunError

    # A file that is not what it should be is nobody's programming error: the message names it.
    text = str(error) if isinstance(error, RunError) else "".join(traceback.format_exception(error))
    return ChildOutcome(ended="raised", reason=text)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a child only"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _be_first_out_of_memory() -> None:
    """Let the kernel take this process, whose loss is one row, before any other."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
