"""Splits: stratified, nested, and the same everywhere."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.split import HOLDOUT, TEST, num_taken, split_off, subset

PINNED = {"test": [5, 6, 9, 17, 19, 22], "holdout": [3, 8, 9, 17, 25, 28], "subset": [0, 2, 5, 8, 10, 12, 28]}

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(lambda labels: np.array(labels, np.int64))
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**40)


@settings(deadline=None)
@given(label_lists, shares, seeds)
def test_parts_are_disjoint_complete_and_stratified(labels: np.ndarray, share: float, seed: int) -> None:
    kept, taken = split_off(labels, share, seed=seed, purpose=HOLDOUT)
    assert sorted([*kept, *taken]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(taken) > 0).all()
    counts = np.bincount(labels, minlength=7)
    got = np.bincount(labels[taken], minlength=7)
    np.testing.assert_array_equal(got, num_taken(counts, share))
    many = counts >= 2
    assert (got[many] >= 1).all(), "at least one of each class is held out"
    assert (got[many] < counts[many]).all(), "at least one of each class is left"
    assert (np.abs(got - share * counts)[many] <= 1).all()


@settings(deadline=None)
@given(label_lists, shares, shares, seeds)
def test_a_larger_share_holds_a_smaller_one(labels: np.ndarray, one: float, other: float, seed: int) -> None:
    small, large = (
        set(split_off(labels, share, seed=seed, purpose=HOLDOUT)[1].tolist()) for share in sorted((one, other))
    )
    assert small <= large


@settings(deadline=None)
@given(label_lists, st.data())
def test_subsets_are_nested_proportional_and_have_each_class(labels: np.ndarray, data: st.DataObject) -> None:
    counts = np.bincount(labels)
    at_least = data.draw(st.integers(0, int(counts[counts > 0].min())))
    low = at_least * int((counts > 0).sum())
    small, large = sorted(data.draw(st.tuples(st.integers(low, len(labels)), st.integers(low, len(labels)))))
    chosen, more = subset(labels, small, at_least=at_least), subset(labels, large, at_least=at_least)
    assert len(chosen) == small
    assert (np.diff(chosen) > 0).all()
    assert set(chosen.tolist()) <= set(more.tolist())
    got = np.bincount(labels[chosen], minlength=len(counts))
    assert (got[counts > 0] >= at_least).all()
    if at_least == 0:
        assert (np.abs(got - counts * small / len(labels)) <= 1 + len(counts) / 2).all()


def test_the_split_is_this_one_on_every_machine() -> None:
    labels = np.tile(np.arange(3), 10)
    assert split_off(labels, 0.2, seed=0, purpose=TEST)[1].tolist() == PINNED["test"]
    assert split_off(labels, 0.2, seed=7, purpose=HOLDOUT)[1].tolist() == PINNED["holdout"]
    assert subset(labels, 7, at_least=2).tolist() == PINNED["subset"]


def test_purposes_draw_apart() -> None:
    labels = np.zeros(100, np.int64)
    first, second = (set(split_off(labels, 0.5, seed=0, purpose=purpose)[1].tolist()) for purpose in (TEST, HOLDOUT))
    assert 10 < len(first & second) < 40
