"""A folder of images as a data set.

Two layouts are known, each with one folder a class (and any folders below it):

    DIR/train/<class>/...  with DIR/val or DIR/test. With only one of them it is the test split, which a search never
                           touches; with both, val is what is held out and test the test.
    DIR/<class>/...        a fixed 20 % of each class is the test split.

Hidden files and files that do not end like an image are passed over. A link may lead anywhere inside DIR.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas.data.config import DataConfig, DataError
from nas.data.images import FileImages
from nas.data.pixels import EXTENSIONS
from nas.data.source import Labels, Listing, Source, Split, check_counts
from nas.data.split import TEST, split_off
from nas.text import printable

__all__ = ["TEST_SHARE", "open_folder"]

TEST_SHARE = 0.2
"""Of each class of a data set that has no test split of its own."""

_JUNK = frozenset({"__MACOSX", "lost+found", "@eaDir", "$RECYCLE.BIN"})
_DIFFERENCES_NAMED = 5


class _File(NamedTuple):
    name: str
    """Relative to the data folder."""
    size: int
    mtime_ns: int


Found = dict[Split, dict[str, list[_File]]]
"""The files of each class of each split. A folder without splits has all of them in `train`."""


class _Place(NamedTuple):
    """A folder on the walk through the data folder."""

    root: str
    """The data folder, without links."""
    name: str
    """Of this folder, relative to `root`, with a separator at its end; empty for `root` itself."""
    trail: tuple[str, ...]
    """`root`, ..., this folder, each without links: a link to one of them would never end."""

    def entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root + os.sep + self.name) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _JUNK]
        except OSError as error:
            raise DataError(f"cannot read the folder {printable(self.name or self.root)!r}: {error.strerror}") from None
        return sorted(found, key=lambda entry: entry.name)

    def folders(self) -> list[str]:
        return [entry.name for entry in self.entries() if entry.is_dir()]

    def below(self, name: str) -> "_Place":
        """The folder `name` in this one."""
        path = Path(self.root, self.name, name)
        real = self.target(name) if path.is_symlink() else f"{self.trail[-1]}{os.sep}{name}"
        return _Place(self.root, f"{self.name}{name}{os.sep}", (*self.trail, real))

    def target(self, name: str) -> str:
        """Where the link `name` in this folder leads, if that is a place inside the data folder."""
        real = os.path.realpath(Path(self.root, self.name, name))
        link = printable(self.name + name)
        if real != self.root and not real.startswith(self.root.rstrip(os.sep) + os.sep):
            raise DataError(f"a link must lead to a place inside the data folder, but {link!r} leads out of it")
        if not Path(real).exists():
            raise DataError(f"a link must lead to a file or a folder, but {link!r} leads to none")
        if real in self.trail:
            raise DataError(f"a link must not lead to a folder that it lies in, but {link!r} does")
        return real

    def images(self) -> Iterator[_File]:
        """The images here and below, in the order of their names."""
        for entry in self.entries():
            if entry.is_dir():
                yield from self.below(entry.name).images()
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:  # noqa: PTH122 (a Path each costs 5 us)
                if entry.is_symlink():
                    self.target(entry.name)
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise DataError(f"{printable(self.name + entry.name)!r} must be a regular file")
                yield _File(self.name + entry.name, status.st_size, status.st_mtime_ns)

    def classes(self) -> dict[str, list[_File]]:
        return {name: list(self.below(name).images()) for name in self.folders()}


def _splits(top: _Place) -> dict[Split, str]:
    """Which folder is which split; empty where each folder is a class.

    Raises:
        DataError: where neither layout fits.
    """
    folders = top.folders()
    given = [name for name in ("val", "test") if name in folders]
    shown = printable(top.root)
    if "train" in folders and len(given) == 2:
        return {"train": "train", "holdout": "val", "test": "test"}
    if "train" in folders and given:
        return {"train": "train", "test": given[0]}
    if given:
        raise DataError(f"a folder with {' and '.join(given)} must have train beside it, but {shown!r} has not")
    if "train" in folders and (len(folders) == 1 or top.below("train").folders()):
        raise DataError(
            f"a folder with train must have val or test beside it, but {shown!r} has neither; to have 20 % of each "
            "class set aside as the test split, give the folder train itself"
        )
    return {}


def _check_same_classes(found: Found, splits: dict[Split, str]) -> None:
    train = set(found["train"])
    for split, folder in splits.items():
        other = set(found[split])
        parts = []
        for where, names in (("train", train - other), (folder, other - train)):
            if names:
                shown = ", ".join(repr(printable(name)) for name in sorted(names)[:_DIFFERENCES_NAMED])
                more = f" and {len(names) - _DIFFERENCES_NAMED} more" if len(names) > _DIFFERENCES_NAMED else ""
                parts.append(f"only {where} has {shown}{more}")
        if parts:
            raise DataError(f"train and {folder} must have the same classes, but {'; '.join(parts)}")


def _class_names(folders: list[str]) -> tuple[str, ...]:
    names = tuple(printable(folder).strip() for folder in folders)
    for index, name in enumerate(names):
        if not name or name in names[:index]:
            rule = "classes must have different names, also without control characters and spaces at their ends"
            raise DataError(f"{rule}, but {name!r} is there more than once" if name else f"{rule}, but one has no name")
    return names


def _list(root: str, splits: dict[Split, str], found: Found) -> Listing:
    _check_same_classes(found, splits)
    folders = sorted(found["train"])
    classes = _class_names(folders)
    names: dict[Split, list[str]] = {}
    labels: dict[Split, Labels] = {}
    for split, files in found.items():
        names[split] = [file.name for folder in folders for file in files[folder]]
        labels[split] = np.repeat(np.arange(len(folders)), [len(files[folder]) for folder in folders])
    if not splits:
        check_counts(classes, labels["train"], 3, "(1 to train on, 1 held out, 1 for the test)")
        rows, test_rows = split_off(labels["train"], TEST_SHARE, seed=0, purpose=TEST)
        names = {"train": [names["train"][i] for i in rows], "test": [names["train"][i] for i in test_rows]}
        labels = {"train": labels["train"][rows], "test": labels["train"][test_rows]}

    images = {split: FileImages(root, chosen) for split, chosen in names.items()}
    return Listing(classes=classes, labels=labels, images=images)


def open_folder(config: DataConfig) -> Source:
    """The folder `config.data`. Its fingerprint is of each image's path below it, size and time of change.

    Raises:
        DataError: if there is no such folder, it has no image, or it is laid out in another way.
    """
    given = Path(config.data).expanduser()
    if not given.is_dir():
        raise DataError(f"data must be a folder of images, but {printable(config.data)!r} is none")
    root = os.path.realpath(given)
    top = _Place(root, "", (root,))
    splits = _splits(top)
    found: Found = {split: top.below(folder).classes() for split, folder in splits.items()}
    found = found or {"train": top.classes()}
    if not any(files for classes in found.values() for files in classes.values()):
        raise DataError(
            f"a data folder must hold images ({' '.join(sorted(EXTENSIONS))}), each in the folder of its class, "
            f"but {printable(config.data)!r} holds none"
        )
    digest = hashlib.sha256(os.fsencode(root))
    for split, classes in found.items():
        for name, files in classes.items():
            digest.update(os.fsencode(f"\0\0{split}\0{name}"))
            digest.update(os.fsencode("".join(f"\0{file.name}\0{file.size}\0{file.mtime_ns}" for file in files)))
    return Source(fingerprint=digest.hexdigest(), list=lambda: _list(root, splits, found))
