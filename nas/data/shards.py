"""A folder of WebDataset shards as a data set: train-000.tar, ... with val-000.tar or test-000.tar, as webdataset's
ShardWriter writes them.

A sample is what lies under one key (a member's name up to the first dot of its last part): an image, and its class as
KEY.cls (a number) or KEY.json ({"label": number} or {"cls": number}). Classes have the names in classes.txt, a line
each, or else their numbers. With only one of val and test it is the test split; with both, val is what is held out.

The tars are gone through once, for where each image begins and ends; that index is kept in the cache, and images are
read from their places at random. The webdataset package reads shards as streams: quicker on a network file system, but
its shuffling is of a buffer, and a training that goes on in the middle of an epoch would have to read all before it.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.data.cache import cached, map_array, write_array
from nas.data.config import DataConfig, DataError
from nas.data.images import MAX_FILE_BYTES, Images
from nas.data.pixels import EXTENSIONS
from nas.data.source import Labels, Listing, Source, Split
from nas.text import printable
from nas.user_folders import cache_folder
from search_space.files import load_json, read_text

__all__ = ["has_shards", "open_shards"]

CLASSES = "classes.txt"
MAX_LABEL_BYTES = 1 << 20
MAX_READ_BYTES = 1 << 21
MAX_CLASSES = 1 << 20
MAX_CLASSES_BYTES = 64 << 20
MAX_SHOWN = 40
_SHARD = re.compile(r"(?:.+[-_])?(train|val|validation|test)(?:[-_]?\d+)?\.tar(\.\w+)?")
_SHORT = {"validation": "val"}
_FORMAT = 1


def has_shards(folder: Path) -> bool:
    """Whether `folder` holds shards."""
    return any(_SHARD.fullmatch(path.name) for path in folder.iterdir())


class ShardImages(Images):
    """Images in tars, found by an index in the cache."""

    def __init__(self, root: str, shards: tuple[str, ...], index: Path, split: Split) -> None:
        self._root, self._shards, self._index, self._split = root, shards, index, split
        self._spans: NDArray[np.int64] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spans": None}

    def __len__(self) -> int:
        return len(self._places())

    def _places(self) -> NDArray[np.int64]:
        """Shard, first byte and number of bytes of each image, (n, 3)."""
        if self._spans is None:
            self._spans = map_array(self._index / f"{self._split}.npy")
        return self._spans

    def name(self, row: int) -> str:
        shard, start, _ = self._places()[row].tolist()
        return f"{self._shards[shard]} at byte {start}"

    def content(self, row: int) -> bytes:
        shard, start, size = self._places()[row].tolist()
        if size > MAX_FILE_BYTES:
            raise ValueError(f"it must have at most {MAX_FILE_BYTES:,} bytes")
        # Opened each time: a large set has more shards than a process may have files open.
        descriptor = os.open(self._root + os.sep + self._shards[shard], os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, start)
        finally:
            os.close(descriptor)


class _SmallReads(io.BufferedReader):
    """A file of which nothing long is read at once: a tar's header may say that a name has gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_READ_BYTES:
            raise tarfile.ReadError(f"a header must have at most {MAX_READ_BYTES:,} bytes")
        return super().read(size)


class _Sample(NamedTuple):
    start: int
    size: int
    label: int


def _label(name: str, content: bytes) -> int:
    try:
        value = load_json(content)
        if isinstance(value, dict):
            value = value["label"] if "label" in value else value["cls"]
    except (ValueError, KeyError):
        value = None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_CLASSES:
        held = printable(content[:MAX_SHOWN].decode(errors="replace"))
        raise DataError(
            f"a label must be a number of a class from 0 to {MAX_CLASSES - 1}, but {printable(name)!r} holds {held!r}"
        )
    return value


def _samples(path: Path) -> Iterator[_Sample]:
    """The images of a shard.

    Raises:
        DataError: for a tar that is compressed or damaged, or a sample without an image and a label.
    """
    key, image, label = "", None, None

    def sample() -> Iterator[_Sample]:
        if key and (image is None or label is None):
            missing = "image" if image is None else "label (.cls or .json)"
            shown = printable(key.removeprefix("/"))
            raise DataError(f"a sample must have an image and a label, but {shown!r} of {path.name} has no {missing}")
        if image is not None and label is not None:
            yield _Sample(*image, label)

    try:
        with path.open("rb", buffering=0) as content, tarfile.open(fileobj=_SmallReads(content), mode="r:") as tar:
            for member in tar:
                folder, _, last = member.name.rpartition("/")
                stem, _, kind = last.partition(".")
                kind = kind.lower()
                if not member.isreg() or not stem or stem.startswith("__"):
                    continue
                if f"{folder}/{stem}" != key:
                    yield from sample()
                    key, image, label = f"{folder}/{stem}", None, None
                if f".{kind}" in EXTENSIONS:
                    if image is not None:
                        shown = printable(key.removeprefix("/"))
                        raise DataError(f"a sample must have one image, but {shown!r} of {path.name} has more")
                    image = member.offset_data, member.size
                elif kind == "cls" or (kind == "json" and label is None):
                    file = tar.extractfile(member)
                    assert file is not None, "a regular member"
                    label = _label(f"{path.name}: {member.name}", file.read(MAX_LABEL_BYTES))
            yield from sample()
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"a shard must be a whole tar without compression, but {printable(path.name)!r} is none: {error}"
        ) from None


def _shards(root: str) -> dict[Split, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name in sorted(path.name for path in Path(root).iterdir()):
        match = _SHARD.fullmatch(name)
        if match is None:
            continue
        if match[2] is not None:
            raise DataError(f"a shard must be a tar without compression, got {printable(name)!r}")
        if not Path(root, name).is_file():
            raise DataError(f"a shard must be a regular file, but {printable(name)!r} is none")
        found.setdefault(_SHORT.get(match[1], match[1]), []).append(name)
    others = [name for name in ("val", "test") if name in found]
    if "train" not in found or not others:
        raise DataError(
            f"a folder of shards must have train-*.tar, and val-*.tar or test-*.tar, but {printable(root)!r} has only "
            f"{' and '.join(f'{name}-*.tar' for name in found)}"
        )
    if len(others) == 2:
        return {"train": tuple(found["train"]), "holdout": tuple(found["val"]), "test": tuple(found["test"])}
    return {"train": tuple(found["train"]), "test": tuple(found[others[0]])}


def _classes(root: str, labels: dict[Split, Labels]) -> tuple[str, ...]:
    count = 1 + max((int(found.max()) for found in labels.values() if len(found)), default=-1)
    path = Path(root, CLASSES)
    if not path.exists():
        return tuple(map(str, range(count)))
    try:
        names = tuple(
            printable(line).strip() for line in read_text(path, MAX_CLASSES_BYTES).splitlines() if line.strip()
        )
    except ValueError as error:
        raise DataError(f"{CLASSES} must be a text with the name of a class in each line: {error}") from None
    if len(names) < count or len(set(names)) < len(names):
        raise DataError(
            f"{CLASSES} must name each class once, but it has {len(set(names))} names and labels go up to {count - 1}"
        )
    return names


def open_shards(config: DataConfig) -> Source:
    """The shards in the folder `config.data`. Their fingerprint is of each one's name, size and time of change.

    Raises:
        DataError: for a split that is missing, or a shard that is compressed or damaged.
    """
    root = os.path.realpath(Path(config.data).expanduser())
    shards = _shards(root)
    digest = hashlib.sha256(os.fsencode(f"{_FORMAT}\0{root}"))
    for name in (*(name for names in shards.values() for name in names), CLASSES):
        path = Path(root, name)
        if path.exists():
            status = path.stat()
            digest.update(os.fsencode(f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}"))
    fingerprint = digest.hexdigest()

    def build(folder: Path) -> dict[str, Any]:
        for split, names in shards.items():
            found = [
                (number, sample.start, sample.size, sample.label)
                for number, name in enumerate(names)
                for sample in _samples(Path(root, name))
            ]
            table = np.array(found, np.int64).reshape(-1, 4)
            write_array(folder / f"{split}.npy", (len(table), 3), np.int64, [table[:, :3]])
            write_array(folder / f"{split}_labels.npy", (len(table),), np.int64, [table[:, 3]])
        return {}

    def listing() -> Listing:
        index, _ = cached(cache_folder() / "shards", fingerprint, build)
        labels = {split: np.array(map_array(index / f"{split}_labels.npy")) for split in shards}
        return Listing(
            classes=_classes(root, labels),
            labels=labels,
            images={split: ShardImages(root, names, index, split) for split, names in shards.items()},
        )

    return Source(fingerprint=fingerprint, list=listing)
