"""A mirrored run fetched into a folder: what its manifest names, checked, and nothing else."""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from results.durable import RunError, RunWriteError, sync_folder, write_atomically
from results.mirror import RUN_ID
from results.objects import OBJECTS, Manifest, ObjectStore, Part
from results.state import LOCK, is_locked

__all__ = ["cache_home", "fetch", "fetch_to_cache", "name_of"]

TRIES = 3
UNFINISHED = ".fetched-"
LEFT_S = 60.0


class _Gone(Exception):
    """An object that a manifest names is not there."""


def cache_home() -> Path:
    """The environment's NAS_CACHE_DIR, or else this user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("NAS_CACHE_DIR") or user_cache_dir("trainaware-nas"))


def name_of(url: str) -> str:
    """The last part of a URL's path: what the run is called."""
    return url.partition("?")[0].rstrip("/").rpartition("/")[2]


def fetch_to_cache(url: str) -> Path:
    """The folder of this user's cache that now holds the run at `url`, to be read; as `fetch`."""
    folder = cache_home() / "mirrors" / hashlib.sha256(url.encode()).hexdigest()[:16] / (name_of(url) or "run")
    fetch(url, folder, replace=True)
    return folder


def fetch(url: str, folder: Path, *, replace: bool = False) -> None:
    """Put the run at `url` into a new `folder`; with `replace` one that is there goes.

    Raises:
        RunError: where there is no run, it breaks a rule or its bytes are not those of its manifest; or the folder is
            there.
        RunWriteError: where the disk does not take it.
    """
    if folder.exists() and not replace:
        raise RunError(_there(folder))
    store = ObjectStore(url)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
    except OSError as error:
        raise RunWriteError(f"{folder}: could not be made: {error.strerror}") from error
    lock = FileLock(new / LOCK)
    try:
        lock.acquire()
        _remove_left(folder.parent)
        _fetch_whole(store, new)
        new.chmod(0o755)
        if replace:
            with FileLock(folder.parent / ".lock"):  # a second may fetch the same at this moment
                shutil.rmtree(folder, ignore_errors=True)
                new.rename(folder)
        else:
            new.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if not replace and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise RunError(_there(folder)) from None  # another was faster
        raise RunWriteError(f"{folder}: could not be written: {error.strerror or error}") from error
    finally:
        lock.release()
        shutil.rmtree(new, ignore_errors=True)


def _there(folder: Path) -> str:
    return f"{folder}: is there already: go on with --resume {folder}, or choose another name with --out"


def _remove_left(parent: Path) -> None:
    """What fetches that were killed have left."""
    for left in parent.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_S and not is_locked(left):
                shutil.rmtree(left, ignore_errors=True)


def _fetch_whole(store: ObjectStore, folder: Path) -> None:
    """A writer may remove what an older manifest names, so that it is looked at anew where an object is gone."""
    for left in reversed(range(TRIES)):
        manifest = _manifest(store)
        total, free = sum(manifest.num_bytes(name) for name in manifest.files), shutil.disk_usage(folder).free
        if total >= free:
            raise RunWriteError(f"{folder}: has room for {free} bytes, and {store.url} holds {total}")
        try:
            for name in manifest.files:
                _fetch_file(store, manifest, name, folder / name)
        except _Gone as gone:
            if not left:
                raise RunError(str(gone)) from None
        else:
            write_atomically(folder / RUN_ID, manifest.run + "\n")
            return


def _manifest(store: ObjectStore) -> Manifest:
    try:
        found = store.manifest()
    except RunError:
        raise
    except Exception as error:  # of whatever library the store has
        raise RunError(f"{store.url}: could not be read: {error}") from error
    if found is None:
        raise RunError(f"{store.url}: holds no run (no manifest.json)")
    return found


def _fetch_file(store: ObjectStore, manifest: Manifest, name: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for part in manifest.files[name]:
            place, hasher, num_bytes = f"{store.url}/{OBJECTS}/{part.object} ({name})", hashlib.sha256(), 0
            for chunk in _chunks(store, part, place):
                num_bytes += len(chunk)
                if num_bytes > part.num_bytes:
                    break
                hasher.update(chunk)
                file.write(chunk)
            if num_bytes != part.num_bytes or hasher.hexdigest() != part.sha256:
                raise RunError(f"{place}: is not what its manifest says: it was damaged or changed")


def _chunks(store: ObjectStore, part: Part, place: str) -> Iterator[bytes]:
    try:
        yield from store.chunks(f"{OBJECTS}/{part.object}")
    except FileNotFoundError:
        raise _Gone(f"{place}: is not there") from None
    except Exception as error:  # of whatever library the store has
        raise RunError(f"{place}: could not be read: {error}") from error
