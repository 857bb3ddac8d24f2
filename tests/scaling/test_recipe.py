"""Recipes: the printed tables, and what lies between them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import Base, Compound, ProgressiveRecipe, Ramp, SizeRamp, fine_tuning_recipe, recipe_of
from scaling.compound import last_size
from tests.scaling.conftest import bases

PHIS = {"S": 0.0, "M": 1.0, "L": 2.75}


def recipe(base: Base, phi: float, preset: str = "paper") -> ProgressiveRecipe:
    return recipe_of(Compound().member(base, phi), base, phi, preset)  # type: ignore[arg-type]


# arXiv 2104.00298 version 1, Table 6.
@pytest.mark.parametrize(
    ("size", "train", "evaluated", "randaugment", "mixup", "dropout"),
    [
        ("S", (128, 300), 384, (5, 15), (0, 0.0), (0.1, 0.3)),
        ("M", (128, 380), 480, (5, 20), (0, 0.2), (0.1, 0.4)),
        ("L", (128, 380), 480, (5, 25), (0, 0.4), (0.1, 0.5)),
    ],
)
def test_the_papers_table(
    base_s: Base,
    size: str,
    train: tuple[int, int],
    evaluated: int,
    randaugment: tuple[int, int],
    mixup: tuple[float, float],
    dropout: tuple[float, float],
) -> None:
    found = recipe(base_s, PHIS[size])
    assert found.train_size == train
    assert found.eval_size == evaluated
    assert (found.randaugment, found.mixup, found.dropout) == (randaugment, mixup, dropout)
    assert found.cutmix == (0, 0)
    assert (found.batch_size, found.epochs, found.phases, found.stochastic_depth) == (4096, 350, 4, 0.2)


@pytest.mark.parametrize(
    ("size", "sizes", "randaugment", "mixup", "dropout"),
    [
        ("S", (171, 214, 257, 300), (5, 10), 0.0, 0.2),
        ("M", (192, 256, 320, 384), (5, 15), 0.2, 0.3),
        ("L", (192, 256, 320, 384), (5, 20), 0.5, 0.4),
    ],
)
def test_the_released_code(
    base_s: Base, size: str, sizes: tuple[int, ...], randaugment: tuple[int, int], mixup: float, dropout: float
) -> None:
    found = recipe(base_s, PHIS[size], "released")
    assert sizes == tuple(int(128 + (sizes[-1] - 128) * (phase + 1) / 4) for phase in range(4))
    assert found.train_size == (sizes[0], sizes[-1])
    assert found.randaugment == randaugment
    assert found.mixup == found.cutmix == (0, mixup)
    assert found.dropout == (dropout, dropout)


def test_members_between_are_between(base_s: Base) -> None:
    found = recipe(base_s, 1.875)
    assert found.randaugment == (5, 22.5)
    assert found.mixup == (0, 0.3)
    assert found.dropout == (0.1, 0.45)
    assert found.eval_size == 480


@given(bases(), st.floats(-6, 6), st.sampled_from(["paper", "released"]))
def test_any_member_has_a_recipe(base: Base, phi: float, preset: str) -> None:
    member = Compound().member(base, phi)
    found = recipe_of(member, base, phi, preset)  # type: ignore[arg-type]
    first, last = found.train_size
    assert 8 <= first <= last == member.train_size <= found.eval_size == member.eval_size
    assert min(2, last_size(member.arch, last)) <= last_size(member.arch, first)


def test_a_cap_holds_for_the_published_too(base_s: Base) -> None:
    member = Compound(max_image_size=320).member(base_s, 1.0)
    found = recipe_of(member, base_s, 1.0)
    assert found.train_size == SizeRamp(84, 250)
    assert found.eval_size == 320
    assert found.randaugment == (5, 20)


def test_the_classes_do_not_matter(base_s: Base) -> None:
    few = replace(base_s, arch=base_s.arch.with_num_classes(10))
    assert recipe(few, 2.75) == recipe(base_s, 2.75)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"dropout": Ramp(0.3, 0.1)}, "dropout must not fall"),
        ({"dropout": Ramp(0.1, 1.0)}, "dropout must be at least 0 and below 1, got 1"),
        ({"train_size": SizeRamp(4, 32)}, "train_size must be an integer from 8"),
        ({"epochs": 0}, "epochs must be an integer from 1"),
        ({"mixup": Ramp(-0.1, 0.2)}, "not begin below 0"),
    ],
)
def test_rules_are_named(base_s: Base, change: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(recipe(base_s, 0.0), **change)  # type: ignore[arg-type]


def test_fine_tuning_is_at_the_evaluation_size_without_regularisation_that_grows(base_s: Base) -> None:
    found = recipe(base_s, PHIS["L"])
    tuned = fine_tuning_recipe(found)
    assert (tuned.train_size, tuned.eval_size) == ((480, 480), 480)
    for name in ("randaugment", "mixup", "cutmix", "dropout"):
        assert getattr(tuned, name) == (0, 0)
    assert (tuned.phases, tuned.batch_size, tuned.stochastic_depth) == (1, 512, found.stochastic_depth)
    smaller = fine_tuning_recipe(found, 224)
    assert (smaller.train_size, smaller.eval_size) == ((224, 224), 224)
