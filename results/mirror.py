"""A run's folder pushed to an object store while it is written (docs/decisions/0020).

Each put is a new object; the manifest, which names those that are the run, is replaced last.
"""

import hashlib
import io
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from results.durable import RunError, first_line, read_bounded, write_atomically
from results.folder import CONFIG, TRIALS
from results.lock import holds_lock
from results.objects import CHUNK_BYTES, FILE_NAMES, OBJECTS, Manifest, ObjectStore, Part
from results.state import SUMMARY, is_locked

__all__ = ["RUN_ID", "Mirror"]

RUN_ID = ".mirror"
LOOK_EVERY_S, RETRY_S, FLUSH_S = 2.0, 10.0, 60.0
ENDING = ("result.json", SUMMARY)
"""Written last, and so looked at first: what they sum up is then there."""
AHEAD = (TRIALS, "metrics.jsonl")
Sizes = Mapping[str, int]


class Mirror:
    """A context manager: a thread pushes what is new in the folder, and once more at the end."""

    def __init__(self, folder: Path, url: str, *, note: Callable[[str], None]) -> None:
        """The folder need not be there yet. The URL becomes this process's when it holds the folder's lock: a command
        that is refused takes it from none.

        Args:
            note: is told what fails, from a thread.

        Raises:
            RunError: where the store does not take it, it holds another run or more of this one than the folder has, or
                another process is writing the folder.
        """
        if is_locked(folder):
            raise RunError(f"{folder}: is being written by another process; wait for it, or choose another name")
        self.folder, self.url = folder, url
        self._note = note
        self._sizes: Callable[[], Sizes] = dict
        self._store = ObjectStore(url)
        self._session = secrets.token_hex(16)
        self._run = _run_id(folder)
        self._number = 0
        self._garbage: set[str] = set()
        self._is_claimed = self._is_unsure = False
        try:
            there = self._store.manifest()
            if there is not None:
                self._check_same(there)
            self._remove({self._put(io.BytesIO(b"\n")).object})
        except RunError:
            raise
        except Exception as error:  # of whatever library the store has
            raise RunError(f"{url}: could not be used: {_told(error)}") from error
        self._pushed_at = ""
        self._failure = ""
        self._lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="nas-mirror", daemon=True)

    def _begin(self) -> None:
        """Make the URL this session's, which has put nothing of the run there so far."""
        self._store.claim(self._session)
        self._is_claimed = True
        self._pushed = Manifest(run=self._run, session=self._session)
        self._files: dict[str, tuple[Part, ...]] = {}
        self._signatures: dict[str, tuple[int, ...]] = {}

    def _check_same(self, there: Manifest) -> None:
        if there.run != self._run:
            raise RunError(
                f"{self.url}: holds another run: go on with it by --resume {self.url}, or choose another URL"
            )
        for name in AHEAD:
            path = self.folder / name
            if there.num_bytes(name) > (path.stat().st_size if path.exists() else 0):
                raise RunError(f"{self.url}: is ahead of {self.folder}: go on with it by --resume {self.url}")
        if not _begins_with(self.folder / TRIALS, there.files.get(TRIALS, ())):
            raise RunError(
                f"{self.url}: holds trials that {self.folder} does not, which went another way: go on with it by "
                f"--resume {self.url}, or choose another URL"
            )

    def of_lines(self, sizes: Callable[[], Sizes]) -> Self:
        """The same, told how many bytes of the files of lines are the run, of one moment; other files are whole."""
        self._sizes = sizes
        return self

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Push what is left, for at most a minute, and say what is missing."""
        self._end.set()
        self._thread.join(FLUSH_S)
        if self._thread.is_alive() and not self._failure:
            self._failure = f"it took longer than {FLUSH_S:.0f} s"
        if self._failure and not self._lost:
            held = (
                f"it holds the run as of {self._pushed_at}" if self._pushed_at else "it holds nothing of this session"
            )
            missing = ", ".join(self._missing()) or "its manifest"
            self._note(f"note: {self.url} is behind: {held}; missing since: {missing} ({self._failure})")

    def _missing(self) -> list[str]:
        return sorted(name for name in self._names() if not self._is_pushed(name))

    def _work(self) -> None:
        wait_s = 0.0
        while not self._lost:
            ending = self._end.wait(wait_s)
            wait_s = LOOK_EVERY_S
            try:
                self._push(last=ending)
                if self._failure:
                    self._note(f"note: {self.url} is reached again, and complete")
                self._failure = ""
            except Exception as error:  # whatever a store's library raises: a trial must not fail of it
                had_failed, self._failure = bool(self._failure), _told(error)
                if not had_failed and not self._lost:
                    self._note(f"note: {self.url} could not be written, and is tried again: {self._failure}")
                wait_s = RETRY_S
            if ending:
                return

    def _names(self) -> list[str]:
        """Files of the folder that are to be pushed, those that say that it has ended first."""
        if not (self.folder / CONFIG).exists():
            return []
        found = [path.relative_to(self.folder).as_posix() for path in self.folder.glob("*")]
        found += [path.relative_to(self.folder).as_posix() for path in self.folder.glob("checkpoints/*")]
        return sorted(filter(FILE_NAMES.fullmatch, found), key=lambda name: (name not in ENDING, name))

    def _is_pushed(self, name: str) -> bool:
        if not self._is_claimed or self._files.get(name) != self._pushed.files.get(name):
            return False
        size = self._sizes().get(name)
        if size is not None:
            return size == self._pushed.num_bytes(name)
        with suppress(OSError):
            return self._signatures.get(name) == _signature((self.folder / name).stat())
        return True

    def _push(self, *, last: bool) -> None:
        """Put what is new, then the manifest; then remove what no manifest names any more."""
        if not self._is_claimed:
            # A training's lock has been let go of when this is at its end.
            if not holds_lock(self.folder) and (not last or is_locked(self.folder)):
                return
            self._begin()
        self._tidy()
        self._put_new()
        if self._files and (last or self._files != self._pushed.files):
            owner = self._store.owner()
            if owner is None:
                self._note(f"note: {self.url} has been emptied: all is put there anew")
                self._begin()
                self._push(last=last)
                return
            if owner != self._session:
                self._lost = True
                self._note(f"note: another process goes on with {self.url}: this one no longer writes there")
                return
            if not self._pushed.files:
                write_atomically(self.folder / RUN_ID, self._run + "\n")
            manifest = Manifest(run=self._run, session=self._session, files=dict(self._files))
            self._is_unsure = True  # one that could not be put may be there all the same
            self._store.put_manifest(manifest)
            self._is_unsure = False
            self._pushed, self._pushed_at = manifest, time.strftime("%H:%M:%S")
            self._tidy()
        if last and self._pushed.files:
            self._remove(self._store.objects() - self._pushed.objects)

    def _tidy(self) -> None:
        """Remove what was put and neither the manifest nor the next one names: it would fill the store."""
        if self._is_unsure:
            there = self._store.manifest()
            if there is not None and there.session == self._session:
                self._pushed = there
            self._is_unsure = False
        next_one = {part.object for parts in self._files.values() for part in parts}
        self._remove(self._garbage - self._pushed.objects - next_one)

    def _put_new(self) -> None:
        """Files that are new or have changed since they were put; those that are gone are forgotten."""
        sizes = self._sizes()
        with ExitStack() as opened:
            new: dict[str, tuple[IO[bytes], tuple[int, ...]]] = {}
            names = self._names()
            for name in names:
                # All are opened before the first is put: a checkpoint may be removed meanwhile.
                with suppress(FileNotFoundError):
                    file: IO[bytes] = opened.enter_context((self.folder / name).open("rb"))
                    signature = _signature(os.fstat(file.fileno()))
                    if name in sizes or self._signatures.get(name) != signature:
                        new[name] = file, signature
            for name, (file, signature) in new.items():
                self._files[name] = (
                    self._grown(file, self._files.get(name, ()), sizes[name]) if name in sizes else (self._put(file),)
                )
                self._signatures[name] = signature
        for gone in self._files.keys() - set(names):
            del self._files[gone], self._signatures[gone]

    def _remove(self, objects: set[str]) -> None:
        for name in objects:
            # What stays costs room and nothing else.
            with suppress(Exception):
                self._store.remove(f"{OBJECTS}/{name}")
            self._garbage.discard(name)

    def _grown(self, file: IO[bytes], parts: tuple[Part, ...], size: int) -> tuple[Part, ...]:
        """Parts of the file's first `size` bytes: a new one for what was added, one with each before that is at most
        twice as large."""
        start = sum(part.num_bytes for part in parts)
        if start == size:
            return parts
        while parts and parts[-1].num_bytes <= 2 * (size - start):
            start -= parts[-1].num_bytes
            parts = parts[:-1]
        file.seek(start)
        return (*parts, self._put(file, size - start))

    def _put(self, file: IO[bytes], limit: int | None = None) -> Part:
        """What stands in the file from here on, as an object; nothing stays of one that could not be put whole."""
        name = f"{self._session}/{self._number}"
        self._number += 1
        self._garbage.add(name)
        hasher, num_bytes = hashlib.sha256(), 0
        try:
            with self._store.open_new(f"{OBJECTS}/{name}") as written:
                while chunk := file.read(CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit - num_bytes)):
                    written.write(chunk)
                    hasher.update(chunk)
                    num_bytes += len(chunk)
        except BaseException:
            self._remove({name})
            raise
        return Part(object=name, num_bytes=num_bytes, sha256=hasher.hexdigest())


def _begins_with(path: Path, parts: Iterable[Part]) -> bool:
    """Whether the file's first bytes are these parts."""
    if not path.exists():
        return not tuple(parts)
    with path.open("rb") as file:
        for part in parts:
            hasher, left = hashlib.sha256(), part.num_bytes
            while left and (chunk := file.read(min(CHUNK_BYTES, left))):
                hasher.update(chunk)
                left -= len(chunk)
            if hasher.hexdigest() != part.sha256:
                return False
    return True


def _run_id(folder: Path) -> str:
    """What the run is known by in a mirror: of an earlier session, or a new one."""
    path = folder / RUN_ID
    known = read_bounded(path, 64).decode(errors="replace").strip() if path.exists() else secrets.token_hex(16)
    return Manifest(run=known, session=known).run


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _told(error: Exception) -> str:
    return first_line(error)[:300]
