"""The lock of a run's or a training's folder: one process writes it at a time, and the others are told which."""

import contextlib
import json
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from results.durable import RunError, RunWriteError, read_bounded, write_atomically
from results.state import LOCK, OWNER
from search_space.files import load_json

__all__ = ["holds_lock", "lock_folder", "unlock_folder"]

_held: set[Path] = set()


def lock_folder(folder: Path) -> FileLock:
    """The lock, held until `unlock_folder` or the end of this process, however it ends.

    Raises:
        RunError: naming the process that holds it.
        RunWriteError: where the folder cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"{folder}: is being written by {_owner(folder)}; wait for it, or choose another name") from None
    except OSError as error:
        raise RunWriteError(f"{folder / LOCK}: could not be locked: {error.strerror}") from error
    try:
        owner = {"pid": os.getpid(), "host": platform.node()}
        write_atomically(folder / OWNER, json.dumps(owner) + "\n")
    except BaseException:
        lock.release()
        raise
    _held.add(folder.resolve())
    return lock


def unlock_folder(folder: Path, lock: FileLock) -> None:
    """Let it go, where it is held."""
    if lock.is_locked:
        _held.discard(folder.resolve())
        with contextlib.suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def holds_lock(folder: Path) -> bool:
    """Whether it is this process that holds the lock."""
    return folder.resolve() in _held


def _owner(folder: Path) -> str:
    try:
        owner = load_json(read_bounded(folder / OWNER, 4096))
        return f"process {int(owner['pid'])} on {owner['host']}"
    except (ValueError, TypeError, KeyError):
        return "another process"
