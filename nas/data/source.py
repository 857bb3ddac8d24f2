"""What a row of the table finds: a source has a fingerprint, and lists images that can then be decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.data.config import DataError
from nas.data.images import Images

__all__ = ["Labels", "Listing", "Pixels", "Source", "Split", "check_counts"]

Split = Literal["train", "holdout", "test"]
Pixels = NDArray[np.uint8]
"""Images, RGB, shape (n, 3, S, S), 0 to 255."""
Labels = NDArray[np.int64]
"""Classes of images or rows of an array, shape (n,)."""

_CLASSES_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The images of a source before any is decoded.

    Args:
        classes: the names, in the order of the labels.
        labels: the class of each image of each split. `train` and `test` are always there; `holdout` only where the
            source itself says what is held out.
        images: of each of these splits, in the labels' order.
    """

    classes: tuple[str, ...]
    labels: Mapping[Split, Labels]
    images: Mapping[Split, Images]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that was found. `fingerprint` changes when its images do and is cheap; `list` may take seconds."""

    fingerprint: str
    list: Callable[[], Listing]


def check_counts(classes: tuple[str, ...], labels: Labels, at_least: int, rule: str) -> None:
    """Raise for classes of fewer images than `at_least`; `rule` says where and why, as `in train (...)`.

    Raises:
        DataError: naming the rule, the classes and their counts.
    """
    counts = np.bincount(labels, minlength=len(classes))
    few = np.flatnonzero(counts < at_least)
    if len(few):
        named = ", ".join(f"{classes[label]!r} has {counts[label]}" for label in few[:_CLASSES_NAMED].tolist())
        more = f" and {len(few) - _CLASSES_NAMED} more classes have too few" if len(few) > _CLASSES_NAMED else ""
        images = "image" if at_least == 1 else "images"
        raise DataError(f"each class must have at least {at_least} {images} {rule}, but {named}{more}")
