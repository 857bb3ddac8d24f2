"""Decoded data on disk, each entry written once and then mapped into memory by any number of processes.

An entry is a folder named by its key: arrays as .npy files, and meta.json, which says what size and shape they must
have. It is written to a temporary folder beside its place and renamed into it, under a lock: a reader sees all of it or
nothing, a killed writer leaves only rubbish that the next one clears away.
"""

import json
import logging
import os
import shutil
import tempfile
import tokenize
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.config import DataError
from nas.text import printable
from results.durable import read_bounded
from search_space.files import load_json

__all__ = ["cached", "map_array", "write_array"]

META = "meta.json"
MAX_META_BYTES = 256 << 20
_NO_HEADER = (SyntaxError, tokenize.TokenError, TypeError, OverflowError, MemoryError)
"""What numpy says of an array's header, which it reads as a literal of Python, beside a ValueError."""
Build = Callable[[Path], dict[str, Any]]
"""Writes arrays into a folder and returns the facts that go with them, as JSON."""

_log = logging.getLogger(__name__)


def write_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic], chunks: Iterable[NDArray[Any]]) -> None:
    """Write an .npy file of `shape` from parts of its first axis.

    Written as a file, not through a map: a full disk is then an error, where a map would kill the process.
    """
    written = 0
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk, dtype).data)
            written += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    assert written == shape[0], f"{path.name} holds {written} of {shape[0]} rows"


def map_array(path: Path) -> NDArray[Any]:
    """An .npy file, mapped and read-only. All processes share its pages.

    The map under it is copy-on-write, so that torch may take it for a tensor without a copy and without a warning.
    """
    # Not np.load, which takes an archive too, and waits for a pipe.
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: must be a regular file")
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="c").view(np.ndarray)
    except _NO_HEADER as error:
        raise ValueError(f"{path}: holds no array: {error}") from None
    array.flags.writeable = False
    return array


def _describe(path: Path) -> dict[str, Any]:
    array = map_array(path)
    return {"bytes": path.stat().st_size, "shape": list(array.shape), "dtype": str(array.dtype)}


def _facts(entry: Path, key: str) -> dict[str, Any] | None:
    """What an entry's meta.json says, or None where the entry is missing or damaged."""
    try:
        meta = load_json(read_bounded(entry / META, MAX_META_BYTES))
        whole = meta["key"] == key and all(_describe(entry / name) == said for name, said in meta["files"].items())
        facts = meta["facts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return facts if whole and isinstance(facts, dict) else None


def _write(place: Path, key: str, build: Build) -> dict[str, Any]:
    for left in place.parent.glob(f".{place.name}.*"):  # only the holder of the lock writes these
        shutil.rmtree(left, ignore_errors=True)
    if place.exists():
        _log.warning("the cache entry %s is damaged and is built anew", key)
        shutil.rmtree(place)
    temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        facts = build(temporary)
        files = {path.name: _describe(path) for path in sorted(temporary.glob("*.npy"))}
        with (temporary / META).open("w", encoding="utf-8") as file:
            json.dump({"key": key, "files": files, "facts": facts}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return facts


def cached(folder: Path, key: str, build: Build) -> tuple[Path, dict[str, Any]]:
    """The entry `key` below `folder` and its facts; built first where it is missing or damaged.

    Raises:
        DataError: where the cache cannot be written.
    """
    from filelock import FileLock

    entry = folder / key
    facts = _facts(entry, key)
    if facts is None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(folder / f"{key}.lock"):
                facts = _facts(entry, key)
                if facts is None:
                    facts = _write(entry, key, build)
        except OSError as error:
            raise DataError(
                f"cannot write to the cache folder {printable(folder)!r}: {error.strerror or error}; "
                "NAS_CACHE_DIR can name another"
            ) from error
    return entry, facts
