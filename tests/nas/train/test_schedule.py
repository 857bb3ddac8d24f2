"""Phases are Algorithm 1's: the published members' numbers, and what holds for every recipe."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.train import Phase, fixed, phases
from nas.train.schedule import evaluations_after
from scaling import Base, Family, Place, Preset, ProgressiveRecipe, Ramp, SizeRamp
from search_space import Unrounded, published

PUBLISHED_PHI = {"S": 0.0, "M": 1.0, "L": 2.75}


def published_recipe(name: str, preset: Preset = "paper") -> ProgressiveRecipe:
    found = published("efficientnetv2_s")
    base = Base(
        name="S",
        arch=found.arch,
        unrounded=found.unrounded or Unrounded.of(found.arch),
        train_size=found.train_size,
        eval_size=found.eval_size,
        batch_size=4096,
    )
    phi = PUBLISHED_PHI[name]
    return Family.of(base, {name: Place(phi, phi)}, preset=preset).member(name).recipe


def column(found: tuple[Phase, ...], name: str) -> list[float]:
    return [round(getattr(phase, name), 4) for phase in found]


def test_the_papers_s() -> None:
    found = phases(published_recipe("S"), 107_336)
    assert column(found, "image_size") == [128, 186, 242, 300]
    assert column(found, "randaugment") == [5, 8.3333, 11.6667, 15]
    assert column(found, "mixup") == [0, 0, 0, 0]
    assert column(found, "dropout") == [0.1, 0.1667, 0.2333, 0.3]
    assert column(found, "steps") == [26_834] * 4


def test_the_papers_m_and_l() -> None:
    medium, large = (phases(published_recipe(name), 402) for name in ("M", "L"))
    assert column(medium, "image_size") == column(large, "image_size") == [128, 212, 296, 380]
    assert column(medium, "randaugment") == [5, 10, 15, 20]
    assert column(large, "randaugment") == [5, 11.6667, 18.3333, 25]
    assert column(medium, "mixup") == [0, 0.0667, 0.1333, 0.2]
    assert column(large, "mixup") == [0, 0.1333, 0.2667, 0.4]
    assert column(large, "dropout") == [0.1, 0.2333, 0.3667, 0.5]
    assert column(medium, "steps") == [100, 100, 100, 102]


def test_the_released_codes_sizes() -> None:
    assert column(phases(published_recipe("S", "released"), 4), "image_size") == [171, 214, 257, 300]
    medium = phases(published_recipe("M", "released"), 4)
    assert column(medium, "image_size") == [192, 256, 320, 384]
    assert column(medium, "cutmix") == [0, 0.0667, 0.1333, 0.2]
    assert column(medium, "dropout") == [0.3] * 4


def test_the_released_codes_strengths() -> None:
    small, medium, large = (phases(published_recipe(name, "released"), 4) for name in ("S", "M", "L"))
    assert column(small, "randaugment") == [5, 6.6667, 8.3333, 10]
    assert column(medium, "randaugment") == [5, 8.3333, 11.6667, 15]
    assert column(large, "randaugment") == [5, 10, 15, 20]
    assert column(large, "image_size") == [192, 256, 320, 384]
    assert column(large, "mixup") == column(large, "cutmix") == [0, 0.1667, 0.3333, 0.5]
    assert column(small, "mixup") == column(small, "cutmix") == [0] * 4
    assert column(small, "dropout") == [0.2] * 4
    assert column(large, "dropout") == [0.4] * 4


def test_one_phase_has_the_last_values() -> None:
    recipe = published_recipe("L")
    (only,) = phases(replace(recipe, phases=1), 7)
    assert (only,) == fixed(recipe, 7)
    assert (only.image_size, only.randaugment, only.mixup, only.dropout, only.steps) == (380, 25, 0.4, 0.5, 7)


def test_batches_grow_while_images_are_small() -> None:
    recipe = replace(published_recipe("S"), batch_size=32)
    found = phases(recipe, 402, grow_batch=True)
    assert column(found, "image_size") == [128, 186, 242, 300]
    # (300 / 128)^2 is 5.5, (300 / 186)^2 is 2.6, (300 / 242)^2 is 1.5.
    assert column(found, "batch_size") == [128, 64, 32, 32]
    assert column(found, "steps") == [25, 50, 100, 102]
    assert column(found, "first_step") == [0, 25, 75, 175]
    assert column(found, "first_image") == [0, 3200, 6400, 9600]
    assert found[1].images_seen(26) == 3264
    assert found[-1].images_seen(found[-1].end) == 402 * 32
    assert phases(recipe, 4, grow_batch=True)[0].steps == 1


@given(
    first=st.integers(8, 400),
    more=st.integers(0, 400),
    count=st.integers(1, 9),
    steps=st.integers(9, 1000),
)
def test_settings_never_fall_and_steps_add_up(first: int, more: int, count: int, steps: int) -> None:
    recipe = replace(
        published_recipe("S"), train_size=SizeRamp(first, first + more), phases=count, mixup=Ramp(0.1, 0.3)
    )
    found = phases(recipe, steps)
    assert sum(phase.steps for phase in found) == steps
    assert [phase.index for phase in found] == list(range(count))
    for name in ("image_size", "randaugment", "mixup", "cutmix", "dropout"):
        values = column(found, name)
        assert values == sorted(values)
    assert found[-1].image_size == first + more
    for phase in phases(recipe, steps, grow_batch=True):
        assert recipe.batch_size <= phase.batch_size <= 4 * recipe.batch_size
        if phase.batch_size > recipe.batch_size:
            assert phase.batch_size * phase.image_size**2 <= recipe.batch_size * recipe.train_size.last**2
    assert max(phase.steps for phase in found) - min(phase.steps for phase in found) < count


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 for each of 4 phases, got 3"):
        phases(published_recipe("S"), 3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        fixed(published_recipe("S"), 0)


def test_no_torch_is_loaded() -> None:
    code = "import sys, nas.train; nas.train.phases, nas.train.FullOptions; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


@given(st.integers(1, 5000), st.integers(1, 500), st.data())
def test_evaluations_are_at_the_ends_of_epochs_and_of_the_training(total: int, epoch: int, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, total))
    due = [end for end in range(epoch, total, epoch) if total - end >= epoch / 2] + [total]
    assert evaluations_after(seen, total=total, epoch=epoch) == sum(at <= seen for at in due)
