"""Stratified splits that are the same on every machine and for every version of numpy.

Each image gets a random rank within its class. Only `random_raw`, the bare bit stream of PCG64, is drawn: numpy
promises that it stays as it is, and promises nothing of the kind for `permutation`, `choice` or `shuffle`.
"""

import numpy as np
from numpy.typing import NDArray

from nas.data.source import Labels

__all__ = ["HOLDOUT", "SUBSET", "TEST", "num_taken", "split_off", "subset"]

TEST, HOLDOUT, SUBSET = 0, 1, 2
"""What a draw is for. Draws for different purposes are independent, also with one seed."""


def _ranks(labels: Labels, seed: int, purpose: int) -> NDArray[np.int64]:
    """For each image its place (0, 1, ...) in a random order of its class, shape (n,)."""
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    ranks = np.empty(len(labels), np.int64)
    start = 0
    for label, count in enumerate(counts.tolist()):
        members = by_class[start : start + count]
        start += count
        keys = np.random.PCG64(np.random.SeedSequence([seed, purpose, label])).random_raw(count)
        ranks[members[np.argsort(keys, kind="stable")]] = np.arange(count)
    return ranks


def num_taken(counts: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """How many of each class `split_off` takes: `share` of it, rounded, at least one, and never the last one."""
    taken: NDArray[np.int64] = np.floor(share * counts + 0.5).astype(np.int64)
    return np.minimum(np.maximum(taken, 1), np.maximum(counts - 1, 0), out=taken)


def split_off(labels: Labels, share: float, *, seed: int, purpose: int) -> tuple[Labels, Labels]:
    """Part images in two, class by class.

    Args:
        labels: the class of each image, shape (n,).
        share: of each class, between 0 and 1.

    Returns:
        The rows that stay and the rows split off, each ascending. A larger share splits off those of a smaller one
        and more.
    """
    taken = num_taken(np.bincount(labels), share)
    chosen = _ranks(labels, seed, purpose) < taken[labels]
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def subset(labels: Labels, total: int, *, at_least: int) -> Labels:
    """`total` rows, ascending, the classes in proportion, `at_least` of each class. A smaller total is a part of a
    larger one. `total` must be `at_least` times the number of classes or more."""
    ranks = _ranks(labels, 0, SUBSET)
    share_of_class = (ranks + 0.5) / np.bincount(labels)[labels]
    share_of_class[ranks < at_least] = 0
    return np.sort(np.argsort(share_of_class, kind="stable")[:total])
