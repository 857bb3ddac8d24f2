"""What a data set holds, before any of its images is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data.config import DataConfig, DataError
from nas.data.images import Images
from nas.data.source import Labels, Listing, Split, check_counts
from nas.data.split import HOLDOUT, split_off, subset
from nas.data.table import dataset_of, is_folder
from nas.text import printable

__all__ = ["Selection", "Survey", "as_listed", "select", "summary", "survey"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Some of a source's images: `rows` of `images`, int64 (n,), and their classes, int64 (n,)."""

    images: Images
    rows: Labels
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Labels) -> "Selection":
        """Those at `positions` (0 to n - 1)."""
        return Selection(images=self.images, rows=self.rows[positions], labels=self.labels[positions])


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """A data set that was found and split.

    Args:
        classes: names, in the order of the labels.
        splits: train, holdout and test.
        own_holdout: whether the source itself says what is held out.
        flip: whether an image seen in a mirror is still of its class.
        fingerprint: the source's, which changes when its images do, and when they lie elsewhere.
    """

    config: DataConfig
    classes: tuple[str, ...]
    splits: Mapping[Split, Selection]
    own_holdout: bool
    flip: bool
    fingerprint: str

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> dict[Split, int]:
        """Images of each split."""
        return {split: len(chosen) for split, chosen in self.splits.items()}

    def summary(self) -> str:
        """One line for people."""
        return summary(self.config, len(self.classes), self.counts, self.own_holdout)


def summary(config: DataConfig, num_classes: int, counts: Mapping[Split, int], own_holdout: bool) -> str:
    how = "val" if own_holdout else f"{config.holdout:.3g} of train, seed {config.split_seed}"
    name = printable(Path(config.data).name or config.data) if is_folder(config.data) else config.data
    return (
        f"{name}: {num_classes} classes, {config.image_size}x{config.image_size} pixels, "
        f"{counts['train']:,} images to train on, {counts['holdout']:,} held out ({how}), {counts['test']:,} test"
    )


def _rows(config: DataConfig, listing: Listing) -> dict[Split, Labels]:
    """Of each of the listing's splits, those that `config` takes."""
    classes, labels = listing.classes, listing.labels
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise DataError(f"data must have at least 2 classes, got {found}")
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


def as_listed(config: DataConfig, listing: Listing) -> dict[Split, Selection]:
    """The splits as the source has them, nothing held out of train.

    Raises:
        DataError: for too few classes or images.
    """
    return {
        split: Selection(images=listing.images[split], rows=rows, labels=listing.labels[split][rows])
        for split, rows in _rows(config, listing).items()
    }


def select(config: DataConfig, listing: Listing) -> dict[Split, Selection]:
    """The images of train, holdout and test; errors as of `as_listed`."""
    found = as_listed(config, listing)
    if "holdout" not in found:
        train = found["train"]
        kept, held_out = split_off(train.labels, config.holdout, seed=config.split_seed, purpose=HOLDOUT)
        found["train"], found["holdout"] = train.take(kept), train.take(held_out)
    return {"train": found["train"], "holdout": found["holdout"], "test": found["test"]}


def survey(config: DataConfig) -> Survey:
    """Find a data set and split it.

    Raises:
        DataError: for anything wrong with the data, naming the rule and the value.
    """
    row = dataset_of(config)
    source = row.open(config)
    listing = source.list()
    return Survey(
        config=config,
        classes=listing.classes,
        splits=select(config, listing),
        own_holdout="holdout" in listing.labels,
        flip=row.flip,
        fingerprint=source.fingerprint,
    )
