"""Whether a run is going on, has ended, or was interrupted: asked of its folder, of which nothing is changed."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from results.durable import RunError, read_bounded
from search_space.files import load_json

__all__ = ["LOCK", "OWNER", "SUMMARY", "RunState", "is_locked", "run_state"]

LOCK, OWNER, SUMMARY = ".lock", ".owner", "summary.json"
CUT_SHORT = ("interrupted", "stopped")
"""Reasons of a summary that was written on the way out: by Ctrl-C, by a fault."""
MAX_SUMMARY_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class RunState:
    """`running` while a process holds the folder's lock; `ended` by itself; else `interrupted`. `reason` says why it
    ended, None where it is not known."""

    name: Literal["running", "ended", "interrupted"]
    reason: str | None = None

    def __str__(self) -> str:
        return self.name if self.reason in (None, self.name) else f"{self.name}: {self.reason}"


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a run's or a training's folder.

    It is tried for with a shared lock, which is let go of at once: a lock that is held is not disturbed.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def run_state(folder: Path, num_trials: int) -> RunState:
    """Of a run with so many trials. The lock is only tried where a writer says that it is there, so that one that
    begins at this moment is not kept from it."""
    has_owner = (folder / OWNER).exists()
    if has_owner and is_locked(folder):
        return RunState(name="running")
    reason, counted = _summary(folder / SUMMARY)
    if has_owner or reason is None or counted < num_trials:
        return RunState(name="interrupted", reason="its process was killed" if has_owner else None)
    return RunState(name="interrupted" if reason in CUT_SHORT else "ended", reason=reason)


def _summary(path: Path) -> tuple[str | None, int]:
    """Why no more trials were started, None where no summary says it; and how many trials it counts."""
    try:
        found = load_json(read_bounded(path, MAX_SUMMARY_BYTES))
        return str(found["stop_reason"]), int(found["num_trials"])
    except (RunError, ValueError, KeyError, TypeError):
        return None, 0
