"""Image classification sets of torchvision by name: torchvision:Flowers102.

A set with a `train` argument has a train and a test split, one with a `split` argument those that it knows of train
(or trainval), val and test; one with neither has 20 % of each class set aside as the test. With only one of val and
test it is the test; with both, val is what is held out. Nothing is downloaded.
"""

import hashlib
import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nas.data.config import DataConfig, DataError
from nas.data.folder import TEST_SHARE
from nas.data.images import Images
from nas.data.source import Labels, Listing, Source, Split
from nas.data.split import TEST, split_off
from nas.text import printable
from nas.user_folders import cache_folder
from search_space.files import nearest

__all__ = ["TORCHVISION", "can_be_mirrored", "open_torchvision"]

TORCHVISION = "torchvision:"
_SPLITS = {"train": ("train", "trainval"), "val": ("val", "valid"), "test": ("test",)}
_LABELS = ("targets", "_labels", "labels", "y")
_PAIRS = ("_samples", "samples")
_WRITTEN = frozenset(
    {"EMNIST", "GTSRB", "KMNIST", "MNIST", "Omniglot", "QMNIST", "RenderedSST2", "SEMEION", "SVHN", "USPS"}
)
"""Sets of letters, digits and signs: in a mirror they are others."""

_UNSAFE = dict.fromkeys(("LSUN", "LSUNClass"), "it unpickles a file of its folder, which may run code") | {
    "Cityscapes": "it unpacks archives of its folder, however large"
}
"""What torchvision does with files whose hash it does not check."""


def can_be_mirrored(data: str) -> bool:
    return data.removeprefix(TORCHVISION) not in _WRITTEN


def _loader(data: str) -> Any:
    from torchvision import datasets

    name = data.removeprefix(TORCHVISION)
    if name in _UNSAFE:
        raise DataError(f"torchvision's {name} cannot be had: {_UNSAFE[name]}")
    if name not in datasets.__all__ or not inspect.isclass(getattr(datasets, name)):
        near = nearest(name, datasets.__all__)
        hint = f" (did you mean {TORCHVISION}{near}?)" if near else ""
        raise DataError(f"torchvision must have the data set, but has no {printable(name)!r}{hint}")
    return getattr(datasets, name)


def _load(data: str, root: str, arguments: dict[str, Any]) -> Any:
    """The set, or None where it has no such split.

    Raises:
        DataError: where its files are not there.
    """
    try:
        return _loader(data)(root, **arguments)
    except ValueError as error:
        if arguments:
            return None
        raise DataError(f"{data} cannot be opened: {printable(error)}") from error
    except (OSError, RuntimeError, TypeError, ImportError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise DataError(
            f"{data} ({shown or 'all of it'}) must be in the root folder {printable(root)!r} (--data-root), as "
            f"torchvision downloads it: {printable(error)}"
        ) from error


def _arguments(data: str, root: str) -> dict[str, dict[str, Any]]:
    """What train, val and test are asked for with; `train` alone where the set has no splits."""
    known = inspect.signature(_loader(data).__init__).parameters
    if "train" in known:
        return {"train": {"train": True}, "test": {"train": False}}
    if "split" not in known:
        return {"train": {}}
    found = {}
    for split, names in _SPLITS.items():
        for name in names:
            if split not in found and _load(data, root, {"split": name}) is not None:
                found[split] = {"split": name}
    if "train" not in found or len(found) < 2:
        raise DataError(f"{data} must have a train split, and a val or a test split, got {', '.join(found) or 'none'}")
    return found


class TorchvisionImages(Images):
    """Images as the set gives them. It is opened anew in each process."""

    def __init__(self, data: str, root: str, arguments: dict[str, Any], loaded: Any) -> None:
        self._data, self._root, self._arguments, self._loaded = data, root, arguments, loaded
        self._length = len(loaded)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def __len__(self) -> int:
        return self._length

    def name(self, row: int) -> str:
        return f"{self._data} {self._arguments or ''} item {row}"

    def content(self, row: int) -> Image.Image:
        if self._loaded is None:
            self._loaded = _load(self._data, self._root, self._arguments)
        image = self._loaded[row][0]
        if not isinstance(image, Image.Image):
            raise ValueError(f"an item must be an image and its class, got {type(image).__name__}")
        return image


def _labels(data: str, loaded: Any) -> Labels:
    """The class of each item: from a list that the set keeps, or else item by item, which decodes all of it."""
    lists = [getattr(loaded, name, None) for name in _LABELS]
    for pairs in (getattr(loaded, name, None) for name in _PAIRS):
        if isinstance(pairs, Sequence) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            lists.append([pair[1] for pair in pairs])
    for found in lists:
        labels = _integers(found)
        if labels is not None and len(labels) == len(loaded):
            return labels
    labels = _integers([loaded[index][1] for index in range(len(loaded))])
    if labels is None:
        raise DataError(f"an item of {data} must be an image and the number of its class, got another")
    return labels


def _integers(values: Any) -> Labels | None:
    """Numbers of classes, or None for anything else."""
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    fits = array.ndim == 1 and array.dtype.kind in "iu" and array.min(initial=0) >= 0
    return array.astype(np.int64) if fits else None


def open_torchvision(config: DataConfig) -> Source:
    """The set `config.data` below `config.root`. Its fingerprint is of its labels and of the files in its folder.

    Raises:
        DataError: where torchvision has no such set, or its files are not there.
    """
    data = config.data
    root = os.path.realpath((config.root or cache_folder() / "downloads").expanduser())
    arguments = _arguments(data, root)
    sets = {split: _load(data, root, given) for split, given in arguments.items()}
    labels = {split: _labels(data, loaded) for split, loaded in sets.items()}
    digest = hashlib.sha256(f"{data}\0{root}".encode())
    for split, loaded in sets.items():
        digest.update(split.encode() + labels[split].tobytes())
        place = next((getattr(loaded, name) for name in ("_base_folder", "raw_folder") if hasattr(loaded, name)), root)
        for path in sorted(Path(place).glob("*")):
            digest.update(f"\0{path.name}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}".encode())

    def listing() -> Listing:
        images = {split: TorchvisionImages(data, root, arguments[split], loaded) for split, loaded in sets.items()}
        count = 1 + max(int(found.max(initial=-1)) for found in labels.values())
        names = tuple(printable(str(name)) for name in getattr(sets["train"], "classes", ()))
        classes = names if len(names) == len(set(names)) == count else tuple(map(str, range(count)))
        return _listing(classes, labels, images)

    return Source(fingerprint=digest.hexdigest(), list=listing)


def _listing(classes: tuple[str, ...], labels: dict[str, Labels], images: dict[str, TorchvisionImages]) -> Listing:
    """The splits as the project has them."""
    places: dict[Split, str] = {"train": "train", "test": "test" if "test" in labels else "val"}
    if "test" in labels and "val" in labels:
        places["holdout"] = "val"
    if len(labels) > 1:
        return Listing(
            classes=classes,
            labels={split: labels[name] for split, name in places.items()},
            images={split: images[name] for split, name in places.items()},
        )
    rest, test = split_off(labels["train"], TEST_SHARE, seed=0, purpose=TEST)
    whole = images["train"]
    return Listing(
        classes=classes,
        labels={"train": labels["train"][rest], "test": labels["train"][test]},
        images={"train": _Some(whole, rest), "test": _Some(whole, test)},
    )


class _Some(Images):
    """Some rows of other images."""

    def __init__(self, images: Images, rows: Labels) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, row: int) -> str:
        return self._images.name(int(self._rows[row]))

    def content(self, row: int) -> Any:
        return self._images.content(int(self._rows[row]))
