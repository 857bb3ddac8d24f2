"""Data made ready once: decoded at one size, kept in the cache, mapped from there ever after.

An image that cannot be read has the label -1 in the cache: it is of no split.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from nas.data.cache import cached, map_array, write_array
from nas.data.config import DataConfig, DataError
from nas.data.moments import Moments, Stats
from nas.data.pixels import read_images
from nas.data.skipped import Fault, check_share
from nas.data.source import Labels, Pixels, Split, check_counts
from nas.data.split import HOLDOUT, num_taken, split_off
from nas.data.survey import Selection, as_listed, select, summary
from nas.data.table import dataset_of, is_folder
from nas.text import printable
from nas.user_folders import cache_folder

__all__ = ["ImageSet", "PreparedData", "Progress", "prepare"]

MAX_IMAGES = 1 << 40
Progress = Callable[[int, int], None]
"""Told how many images are decoded, of how many."""

_FORMAT = 2
"""Part of each key: to be raised when what an entry holds, or how images are decoded, changes."""


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < MAX_IMAGES:
        raise ValueError(f"a count must be an integer from 0, got {value!r}")
    return value


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
        class_counts: images of each class of the stored splits.
        holds_out: whether stored `train` images are still to be held out of it; otherwise splits are as stored.
        mean, std: of the stored train images, or where those are not stored of all, whose values go from 0 to 1.
        flip: whether an image seen in a mirror is still of its class.
        faults: images of the stored splits that cannot be read and are left out everywhere else.
    """

    config: DataConfig
    folder: Path
    classes: tuple[str, ...]
    class_counts: Mapping[Split, tuple[int, ...]] = field(hash=False)
    holds_out: bool
    mean: Stats
    std: Stats
    flip: bool
    faults: Mapping[Split, tuple[Fault, ...]] = field(hash=False)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> dict[Split, int]:
        """Images of each split that is there."""
        stored = {split: sum(counts) for split, counts in self.class_counts.items()}
        if not self.holds_out:
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
            DataError: if it was not made ready, or the cache entry was removed.
        """
        if name not in self.counts:
            raise DataError(f"split must be one of {', '.join(self.counts)}, got {name!r}")
        stored: Split = "train" if self.holds_out and name == "holdout" else name
        try:
            pixels = map_array(self.folder / f"{stored}.npy")
            labels = np.array(map_array(self.folder / f"{stored}_labels.npy"))
        except OSError as error:
            raise DataError("the prepared data were removed from the cache: prepare them again") from error
        if labels.min(initial=0) < -1 or labels.max(initial=0) >= len(self.classes):
            raise DataError(f"{printable(self.folder)}: is damaged: remove it, and the data are prepared again")
        rows = np.flatnonzero(labels >= 0)
        if self.holds_out and stored == "train":
            parts = split_off(labels[rows], self.config.holdout, seed=self.config.split_seed, purpose=HOLDOUT)
            rows = rows[parts[name == "holdout"]]
        return ImageSet(pixels=pixels, rows=rows, labels=labels[rows])

    @property
    def at_hand(self) -> bool:
        """Whether this machine's cache holds them."""
        return self.folder.is_dir()

    def summary(self) -> str:
        """One line for people, of data that have all splits."""
        return summary(self.config, self.num_classes, self.counts, not self.holds_out)


def _check_space(folder: Path, config: DataConfig, splits: Mapping[Split, Selection]) -> None:
    image_bytes = 3 * config.image_size**2
    needed = image_bytes * sum(map(len, splits.values()))
    free = shutil.disk_usage(folder).free
    if needed > free:
        fits = max(0, free // image_bytes - sum(len(splits[split]) for split in splits if split != "train"))
        raise DataError(
            f"the cache folder {printable(folder.parent)!r} must have {needed:,} bytes free for these images at "
            f"{config.image_size}x{config.image_size} pixels, but has {free:,}; use fewer train images (--max-images; "
            f"{fits:,} would fit), a smaller image size, or another folder (NAS_CACHE_DIR)"
        )


def _build(
    folder: Path,
    config: DataConfig,
    classes: tuple[str, ...],
    splits: Mapping[Split, Selection],
    progress: Progress | None,
    max_corrupt: float,
) -> dict[str, Any]:
    """Decode everything into `folder`."""
    _check_space(folder, config, splits)
    total, done = sum(map(len, splits.values())), 0
    moments = Moments()
    faults: dict[Split, list[Fault]] = {split: [] for split in splits}
    class_counts = {}

    def chunks(split: Split, labels: Labels) -> Iterator[Pixels]:
        nonlocal done
        start = 0
        for chunk, failed in read_images(splits[split].images, splits[split].rows, config.image_size):
            whole = np.ones(len(chunk), bool)
            whole[[place for place, _ in failed]] = False
            labels[start : start + len(chunk)][~whole] = -1
            faults[split] += [fault for _, fault in failed]
            if split == "train" or "train" not in splits:
                moments.add(chunk if not failed else chunk[whole])
            start += len(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
            yield chunk

    for split, chosen in splits.items():
        labels = chosen.labels.copy()
        shape = (len(chosen), 3, config.image_size, config.image_size)
        write_array(folder / f"{split}.npy", shape, np.uint8, chunks(split, labels))
        check_share(faults[split], len(chosen), max_corrupt)
        write_array(folder / f"{split}_labels.npy", labels.shape, np.int64, [labels])
        if faults[split]:
            rule = f"in the {split} split, beside those that cannot be read"
            check_counts(classes, labels[labels >= 0], 2 if split == "train" else 1, rule)
        class_counts[split] = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    mean, std = moments.result()
    return {"classes": classes, "class_counts": class_counts, "mean": mean, "std": std, "faults": faults}


def prepare(
    config: DataConfig,
    *,
    splits: Iterable[Split] | None = None,
    max_corrupt: float = 0.0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PreparedData:
    """Make a data set ready, or find that it is.

    The first call decodes the images at `config.image_size`; later ones, of any process, map the result. Neither
    `holdout` nor `split_seed` needs another decoding, unless `splits` are given.

    Args:
        splits: those that are wanted, all where not given. No images of others are stored.
        max_corrupt: share of a stored split's images that may be unreadable; they are left out.
        cache: folder to keep the result in; else NAS_CACHE_DIR, else the user's cache folder.
        progress: called now and then while images are decoded.

    Raises:
        DataError: for anything wrong with the data, naming the rule and the value.
    """
    row = dataset_of(config)
    source = row.open(config)
    name = None if is_folder(config.data) else config.data
    wanted = None if splits is None else tuple(sorted(set(splits)))
    identity: list[object] = [_FORMAT, name, config.image_size, config.max_images]
    if wanted is not None:
        identity += [wanted, config.holdout, config.split_seed]
    key = hashlib.sha256(json.dumps([*identity, source.fingerprint]).encode()).hexdigest()

    def build(place: Path) -> dict[str, Any]:
        listing = source.list()
        chosen = as_listed(config, listing) if wanted is None else select(config, listing)
        stored = {split: images for split, images in chosen.items() if wanted is None or split in wanted}
        return _build(place, config, listing.classes, stored, progress, max_corrupt)

    entry, facts = cached(cache_folder(cache) / "data", key, build)
    try:
        class_counts = {
            cast(Split, split): tuple(map(_count, counts)) for split, counts in facts["class_counts"].items()
        }
        faults = {
            cast(Split, split): tuple(Fault(*map(str, fault)) for fault in found)
            for split, found in facts["faults"].items()
        }
        classes = tuple(map(str, facts["classes"]))
        if any(len(counts) != len(classes) for counts in class_counts.values()):
            raise ValueError("each class must have a count")
        mean, std = (cast(Stats, tuple(map(float, facts[name]))) for name in ("mean", "std"))
        totals = {split: sum(class_counts[split]) + len(found) for split, found in faults.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise DataError(f"{printable(entry)}: is damaged: remove it, and the data are prepared again") from None
    for split, found in faults.items():
        check_share(found, totals[split], max_corrupt)
    return PreparedData(
        config=config,
        folder=entry,
        classes=classes,
        class_counts=class_counts,
        holds_out=wanted is None and "holdout" not in class_counts,
        mean=mean,
        std=std,
        flip=row.flip,
        faults=faults,
    )
