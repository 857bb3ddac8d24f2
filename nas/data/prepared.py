"""Data made ready once: decoded at one size, kept in the cache, mapped from there ever after."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from nas.data.cache import cached, map_array, write_array
from nas.data.config import DataConfig, DataError
from nas.data.source import Labels, Listing, Pixels, Split, check_counts
from nas.data.split import HOLDOUT, num_taken, split_off, subset
from nas.data.table import DATASETS, dataset
from nas.text import printable
from nas.user_folders import cache_folder

__all__ = ["ImageSet", "PreparedData", "Progress", "prepare"]

Progress = Callable[[int, int], None]
"""Told how many images are decoded, of how many."""

Stats = tuple[float, float, float]
"""One number for each of red, green and blue."""

_FORMAT = 1
"""Part of each key: to be raised when what an entry holds, or how images are decoded, changes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """The images of one split.

    Args:
        pixels: stored images, uint8 (M, 3, S, S), mapped from the cache and read-only. May hold others' too.
        rows: those of them that are this split's, int64 (n,), ascending.
        labels: their classes, int64 (n,).
    """

    pixels: Pixels
    rows: Labels
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_size(self) -> int:
        return int(self.pixels.shape[-1])

    def take(self, positions: Labels | slice) -> Pixels:
        """A copy of the images at `positions` (0 to n - 1), uint8 (k, 3, S, S)."""
        return self.pixels[self.rows[positions]]


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A data set at one size. Small: it may be sent to another process, which maps the same files.

    Args:
        folder: the cache entry.
        classes: names, in the order of the labels.
        class_counts: images of each class as stored, `train` before anything is held out of it.
        mean, std: of the stored train images, whose values go from 0 to 1.
        flip: whether an image seen in a mirror is still of its class.
    """

    config: DataConfig
    folder: Path
    classes: tuple[str, ...]
    class_counts: Mapping[Split, tuple[int, ...]] = field(hash=False)
    mean: Stats
    std: Stats
    flip: bool

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> dict[Split, int]:
        """Images of each split."""
        stored = {split: sum(counts) for split, counts in self.class_counts.items()}
        if "holdout" in stored:
            return stored
        held_out = int(num_taken(np.array(self.class_counts["train"]), self.config.holdout).sum())
        return {"train": stored["train"] - held_out, "holdout": held_out, "test": stored["test"]}

    @property
    def fingerprint(self) -> str:
        """Of what the images are (classes, how many of each, mean and spread of the pixels), not of where they lie."""
        facts = [self.classes, sorted(self.class_counts.items()), [f"{value:.6f}" for value in self.mean + self.std]]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def split(self, name: Split) -> ImageSet:
        """The images to train on, those a search is scored on, or those it must never see.

        Raises:
            DataError: if the cache entry was removed.
        """
        if name not in ("train", "holdout", "test"):
            raise DataError(f"split must be train, holdout or test, got {name!r}")
        stored: Split = name if name in self.class_counts else "train"
        try:
            pixels = map_array(self.folder / f"{stored}.npy")
            labels = np.array(map_array(self.folder / f"{stored}_labels.npy"))
        except OSError as error:
            raise DataError("the prepared data were removed from the cache: prepare them again") from error
        rows = np.arange(len(labels))
        if stored == "train" and "holdout" not in self.class_counts:
            kept, held_out = split_off(labels, self.config.holdout, seed=self.config.split_seed, purpose=HOLDOUT)
            rows = held_out if name == "holdout" else kept
        return ImageSet(pixels=pixels, rows=rows, labels=labels[rows])

    def summary(self) -> str:
        """One line for people."""
        config, counts = self.config, self.counts
        how = "val" if "holdout" in self.class_counts else f"{config.holdout:.3g} of train, seed {config.split_seed}"
        name = config.data if config.data in DATASETS else printable(Path(config.data).name or config.data)
        return (
            f"{name}: {self.num_classes} classes, {config.image_size}x{config.image_size} pixels, "
            f"{counts['train']:,} images to train on, {counts['holdout']:,} held out ({how}), {counts['test']:,} test"
        )


def _check(config: DataConfig, listing: Listing) -> dict[Split, Labels]:
    """Raise for too few classes or images; return the rows of each split that are to be decoded."""
    classes, labels = listing.classes, listing.labels
    if len(classes) < 2:
        raise DataError(f"data must have at least 2 classes, got only {classes[0]!r}")
    own_holdout = "holdout" in labels
    at_least = 1 if own_holdout else 2
    check_counts(
        classes, labels["train"], at_least, "in train" + ("" if own_holdout else " (1 to train on, 1 held out)")
    )
    for split in labels:
        check_counts(classes, labels[split], 1, f"in the {split} split")
    rows = {split: np.arange(len(labels[split])) for split in labels}
    if config.max_images is not None and config.max_images < len(rows["train"]):
        if config.max_images < at_least * len(classes):
            raise DataError(
                f"max_images must be at least {at_least * len(classes)} here ({at_least} for each of {len(classes)} "
                f"classes), got {config.max_images}"
            )
        rows["train"] = subset(labels["train"], config.max_images, at_least=at_least)
    return rows


def _check_space(folder: Path, config: DataConfig, rows: Mapping[Split, Labels]) -> None:
    image_bytes = 3 * config.image_size**2
    needed = image_bytes * sum(len(chosen) for chosen in rows.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        fits = max(0, free // image_bytes - sum(len(rows[split]) for split in rows if split != "train"))
        raise DataError(
            f"the cache folder {printable(folder.parent)!r} must have {needed:,} bytes free for these images at "
            f"{config.image_size}x{config.image_size} pixels, but has {free:,}; use fewer train images (--max-images; "
            f"{fits:,} would fit), a smaller image size, or another folder (NAS_CACHE_DIR)"
        )


class _Moments:
    """Mean and standard deviation of the values that pass by, exact: sums are of integers."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = np.zeros(3, np.int64)
        self.squares = np.zeros(3, np.int64)

    def add(self, chunk: Pixels) -> None:
        for channel in range(3):
            values = chunk[:, channel].astype(np.uint32)
            self.sums[channel] += values.sum(dtype=np.int64)
            self.squares[channel] += np.square(values).sum(dtype=np.int64)
        self.count += chunk[:, 0].size

    def result(self) -> tuple[list[float], list[float]]:
        mean = self.sums / self.count
        variance = np.maximum(self.squares / self.count - mean**2, 0)
        # One step of 255 at least, so that a channel without any variation can be divided by it.
        return (mean / 255).tolist(), np.maximum(np.sqrt(variance) / 255, 1 / 255).tolist()


def _build(folder: Path, config: DataConfig, listing: Listing, progress: Progress | None) -> dict[str, Any]:
    """Decode everything into `folder`."""
    rows = _check(config, listing)
    _check_space(folder, config, rows)
    moments = _Moments()
    total, done = sum(map(len, rows.values())), 0

    def chunks(split: Split) -> Iterator[Pixels]:
        nonlocal done
        for chunk in listing.read(split, rows[split], config.image_size):
            if split == "train":
                moments.add(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
            yield chunk

    class_counts = {}
    for split, chosen in rows.items():
        labels = listing.labels[split][chosen]
        shape = (len(chosen), 3, config.image_size, config.image_size)
        write_array(folder / f"{split}.npy", shape, np.uint8, chunks(split))
        write_array(folder / f"{split}_labels.npy", labels.shape, np.int64, [labels])
        class_counts[split] = np.bincount(labels, minlength=len(listing.classes)).tolist()
    mean, std = moments.result()
    return {"classes": listing.classes, "class_counts": class_counts, "mean": mean, "std": std}


def prepare(config: DataConfig, *, cache: Path | None = None, progress: Progress | None = None) -> PreparedData:
    """Make a data set ready, or find that it is.

    The first call decodes the images at `config.image_size`; later ones, of any process, map the result. Neither
    `holdout` nor `split_seed` needs another decoding.

    Args:
        cache: folder to keep the result in; else NAS_CACHE_DIR, else the user's cache folder.
        progress: called now and then while images are decoded.

    Raises:
        DataError: for anything wrong with the data, naming the rule and the value.
    """
    row = dataset(config.data)
    if not row.uses_root and (config.root is not None or config.download):
        warnings.warn(f"root and download have no effect for data {config.data!r}", stacklevel=2)
    source = row.open(config)
    identity = [_FORMAT, config.data if config.data in DATASETS else None, config.image_size, config.max_images]
    key = hashlib.sha256(json.dumps([*identity, source.fingerprint]).encode()).hexdigest()
    folder = cache_folder(cache) / "data"
    entry, facts = cached(folder, key, lambda place: _build(place, config, source.list(), progress))
    return PreparedData(
        config=config,
        folder=entry,
        classes=tuple(facts["classes"]),
        class_counts={cast(Split, split): tuple(counts) for split, counts in facts["class_counts"].items()},
        mean=cast(Stats, tuple(facts["mean"])),
        std=cast(Stats, tuple(facts["std"])),
        flip=row.flip,
    )
