"""Files that survive a kill and a full disk: bounded reads, atomic replacement, an append that is all or nothing.

A file is never followed through a symbolic link, so that a run folder from somebody else cannot make a writer touch a
file outside it. Modes are 0644 less the umask: another user may read a run where the umask allows it, never write.
"""

import contextlib
import fcntl
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

__all__ = [
    "AppendFile",
    "RunError",
    "RunWriteError",
    "first_line",
    "make_folder",
    "read_bounded",
    "replace_atomically",
    "sync_folder",
    "write_atomically",
]

FILE_MODE = 0o644


class RunError(ValueError):
    """A run's folder cannot be read or used as asked; the message names the file and what to do."""


class RunWriteError(RunError):
    """A run's folder could not be written: disk full, no permission, lost device. What was acknowledged is kept."""


def first_line(error: BaseException) -> str:
    """Of an error's text, or its type's name where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it, where it is missing.

    Raises:
        RunWriteError: where it cannot be made.
    """
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise RunWriteError(f"{path}: could not be made: {error.strerror}") from error


def _failed(path: Path, error: OSError) -> RunWriteError:
    return RunWriteError(f"{path}: could not be written: {error.strerror or error}")


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises:
        RunError: for no such file, a link, a device or pipe, or too many bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "is a symbolic link" if path.is_symlink() else f"could not be read: {error.strerror}"
        raise RunError(f"{path}: {reason}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise RunError(f"{path}: is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        # One byte past the limit: the file may have grown since its size was asked.
        try:
            data = file.read(limit + 1) if status.st_size <= limit else b""
        except OSError as error:
            raise RunError(f"{path}: could not be read: {error.strerror}") from None
    if max(status.st_size, len(data)) > limit:
        raise RunError(f"{path}: must be at most {limit} bytes, got {max(status.st_size, len(data))}")
    return data


def sync_folder(folder: Path) -> None:
    """Make what was created or replaced in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _WholeWrites(io.RawIOBase):
    """A descriptor as a file: each write writes all or raises."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        _write_all(self._descriptor, data)
        return memoryview(data).nbytes


def replace_atomically(path: Path, write: Callable[[IO[bytes]], object], *, durable: bool = True) -> None:
    """Replace `path` by what `write` puts into a file, so that a reader, or a machine after a crash, sees the old or
    the new and nothing else.

    Args:
        durable: wait until it is on the disk; else only a reader, and whoever comes after a kill, is sure of it.

    Raises:
        RunWriteError: naming the path; the old content is then still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = _open_alone(temporary)
        try:
            write(cast(IO[bytes], _WholeWrites(descriptor)))
            if durable:
                os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise _failed(path, error) from error


def _open_alone(path: Path) -> int:
    """An empty file to write at `path`, which is one writer's until it is closed: a second waits for the first."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):  # the first has moved it to its place
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    os.ftruncate(descriptor, 0)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace `path` by `text`, as `replace_atomically` does."""
    replace_atomically(path, lambda file: file.write(text.encode()), durable=durable)


class AppendFile:
    """A file of lines that grows by whole lines: a line is durable when `append` returns, or it is not there."""

    def __init__(self, path: Path, *, keep: int) -> None:
        """Open `path` for appending, created where it is not there, cut to its first `keep` bytes."""
        self.path = path
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, FILE_MODE)
        except OSError as error:
            raise _failed(path, error) from error
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise RunWriteError(f"{path}: is no regular file")
            self._size = min(keep, status.st_size)
            if self._size < status.st_size:
                os.ftruncate(self._descriptor, self._size)
                os.fsync(self._descriptor)
        except OSError as error:
            self.close()
            raise _failed(path, error) from error
        except RunWriteError:
            self.close()
            raise

    def append(self, text: str) -> None:
        """Write `text` and wait until it is on the disk.

        Raises:
            RunWriteError: naming the path; what was written of `text` has been taken back where the system let us.
        """
        data = text.encode()
        try:
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            _write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except BaseException as error:
            # An interrupt too: what it left of the line would stand behind a shorter one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                os.fsync(self._descriptor)
            if isinstance(error, OSError):
                raise _failed(self.path, error) from error
            raise
        self._size += len(data)

    @property
    def size(self) -> int:
        """Bytes of the lines that are durable."""
        return self._size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
