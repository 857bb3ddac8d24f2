"""An exclusive lane per GPU: while one process measures on it, no other measures or trains there.

The processes are trials of one user on one machine, of one search or of several. Each GPU has two lock files; the locks
are flocks, which the kernel gives back when their process ends, however it ends:

    trainer     gate shared; use shared; gate given back; train
                between two steps: is the gate free? if not: device idle; use given back; again from the start
    measurer    gate exclusive; use exclusive; measure; both given back

Nobody waits in a circle: who waits for `use` has the gate, and who waits for the gate has nothing. A measurer at the
gate waits for one step of each trainer, as none comes back before it is done. A trainer waits for the measurers that
are before it at the gate.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, Self

from nas.device import Compute, gpu_uuid, synchronize
from nas.text import printable
from nas.user_folders import runtime_folder

__all__ = ["GpuLane", "Lane", "OpenLane", "lane_of"]


class Lane(Protocol):
    """Where training lets the measurements of other processes pass. A process does one of the two at a time."""

    def training(self) -> AbstractContextManager[Callable[[], None]]:
        """For all that uses the device and is not measured. Gives a call to make between two steps, which lets
        measurements pass that wait."""
        ...

    def measuring(self) -> AbstractContextManager[None]:
        """For a measurement: entered once no other process measures or trains on the device."""
        ...


class OpenLane:
    """The lane of a CPU: nothing waits."""

    def training(self) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(lambda: None)

    def measuring(self) -> AbstractContextManager[None]:
        return nullcontext()


class GpuLane:
    """The lane of one GPU. It waits as long as it takes: a deadline is the caller's.

    Args:
        folder: of the lock files, this user's own; made where it is missing, its parent is not.
        gpu: names the physical GPU, and its files.
        synchronize: waits until the device has done all that this process gave it; called before others pass.

    Raises:
        OSError: from `training` and `measuring`, where a lock cannot be had; names the file.
        RuntimeError: from both, where this process is in this lane already and would wait for itself.
    """

    def __init__(self, folder: Path, gpu: str, *, synchronize: Callable[[], None]) -> None:
        self._gpu = gpu
        self._paths = (folder / f"{gpu}.gate", folder / f"{gpu}.use")
        self._synchronize = synchronize

    @contextmanager
    def training(self) -> Iterator[Callable[[], None]]:
        with self._locks() as (gate, use):
            _enter(gate, use)
            try:
                yield lambda: self._let_pass(gate, use)
            finally:
                self._synchronize()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        with self._locks() as (gate, use):
            gate.take(fcntl.LOCK_EX)
            use.take(fcntl.LOCK_EX)
            try:
                yield
            finally:
                self._synchronize()

    def _let_pass(self, gate: "_Lock", use: "_Lock") -> None:
        if gate.is_free():
            return
        self._synchronize()
        use.give_back()
        _enter(gate, use)

    @contextmanager
    def _locks(self) -> Iterator[tuple["_Lock", "_Lock"]]:
        """Gate and use, opened but not taken; on leaving `use` goes first."""
        if not _descriptors.keys().isdisjoint(self._paths):
            raise RuntimeError(f"the lane of {self._gpu} is not entered twice by one process: it would wait for itself")
        with ExitStack() as stack:
            gate, use = (stack.enter_context(_Lock(path)) for path in self._paths)
            yield gate, use


def _enter(gate: "_Lock", use: "_Lock") -> None:
    """Take `use` shared; with the gate in hand, so that no measurer can be before us at it."""
    gate.take(fcntl.LOCK_SH)
    use.take(fcntl.LOCK_SH)
    gate.give_back()


_descriptors: dict[Path, int] = {}
"""The lock files that this process has open."""


def _close_inherited() -> None:
    # A lock lasts until every copy of its descriptor is closed: a child that outlives this process would keep it.
    for descriptor in _descriptors.values():
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited)


class _Lock:
    """An flock on a file of this user's, open within `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        with self._errors_named():
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                facts = os.fstat(folder)
                if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                    raise PermissionError("others may write to its folder")
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                _descriptors[self._path] = os.open(self._path.name, flags, 0o600, dir_fd=folder)
            finally:
                os.close(folder)
        return self

    def __exit__(self, *_: object) -> None:
        descriptor = _descriptors.pop(self._path, None)
        if descriptor is not None:  # a forked child that gets here has closed it
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def take(self, kind: int) -> None:
        """Wait for it: LOCK_SH or LOCK_EX."""
        with self._errors_named():
            fcntl.flock(_descriptors[self._path], kind)

    def is_free(self) -> bool:
        """Whether no other has it exclusively."""
        try:
            fcntl.flock(_descriptors[self._path], fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.give_back()
        return True

    def give_back(self) -> None:
        fcntl.flock(_descriptors[self._path], fcntl.LOCK_UN)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"the lane of a GPU cannot lock {printable(self._path)!r}: {error.strerror or error}; "
                "XDG_RUNTIME_DIR can name another folder"
            ) from error


def lane_of(compute: Compute) -> Lane:
    """The lane of the device: of the physical GPU, whatever its number is in this process, or the CPU's open one.

    Raises:
        OSError: where this user has no folder for what runs.
    """
    if not compute.is_cuda:
        return OpenLane()
    return GpuLane(runtime_folder() / "lanes", gpu_uuid(compute), synchronize=lambda: synchronize(compute))
