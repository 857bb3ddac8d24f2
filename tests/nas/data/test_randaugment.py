"""RandAugment: each op grows with its magnitude, is nothing at 0, and draws for each image."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.data import RandAugment
from nas.data.randaugment import MAX_SHIFT, OPS, Draw

MAGNITUDES = [0, 1, 2.5, 5, 7.5, 10, 15, 20, 25]
GEOMETRIC = ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]
NOISY = sorted(OPS.keys() - set(GEOMETRIC))


def noise(batch: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(20, 200, (batch, 3, size, size), generator=generator).to(torch.uint8)


def slopes(batch: int = 4, size: int = 32) -> Tensor:
    """Levels that rise from left to right, in another channel from top to bottom, about the grey that is filled in."""
    ramp = (128 + 6 * (torch.arange(size) - (size - 1) / 2)).round().to(torch.uint8).expand(size, size)
    return torch.stack([ramp, ramp.T, ramp]).expand(batch, 3, size, size).clone()


def draws(batch: int) -> Draw:
    sign = torch.tensor([1.0, -1.0]).repeat(batch)[:batch]
    return Draw(sign=sign, place=torch.linspace(0.2, 0.8, 2 * batch).view(2, batch))


def distances(name: str, images: Tensor) -> list[Tensor]:
    """Mean distance from the original, of each image, at each magnitude."""
    found = []
    for magnitude in MAGNITUDES:
        changed = OPS[name](images, magnitude / 10, draws(len(images)))
        assert (changed.dtype, changed.shape) == (images.dtype, images.shape)
        found.append((changed.float() - images.float()).abs().mean((1, 2, 3)))
    return found


@pytest.mark.parametrize("name", OPS)
def test_nothing_at_magnitude_0(name: str) -> None:
    for images in (noise(), slopes()):
        assert torch.equal(OPS[name](images, 0.0, draws(len(images))), images)


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("seed", range(3))
def test_a_larger_magnitude_changes_more(name: str, seed: int) -> None:
    found = distances(name, noise(seed=seed))
    for less, more in pairwise(found):
        assert (more >= less - 0.5).all(), "half a level is rounding"
    assert (found[-1] > found[1]).all()


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_larger_magnitude_moves_further(name: str) -> None:
    found = distances(name, slopes())[: MAGNITUDES.index(15) + 1]
    for less, more in pairwise(found):
        assert (more >= less - 0.5).all()
    assert (found[-1] > found[1]).all()


@pytest.mark.parametrize("size", [10, 30, 60])
def test_a_shift_is_a_share_of_the_image(size: int) -> None:
    images = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    moved = OPS["translate_x"](images, 1.0, Draw(sign=torch.ones(1), place=torch.zeros(2, 1)))
    assert (moved[0, 0, 0] == 128).sum() == round(MAX_SHIFT * size)


def test_a_quarter_turn_is_torchs() -> None:
    images = noise(size=17)
    turned = OPS["rotate"](images, 3.0, Draw(sign=torch.ones(4), place=torch.zeros(2, 4)))
    assert torch.equal(turned, images.rot90(1, (2, 3)))


def test_each_image_has_its_own_draw() -> None:
    images = noise(1).expand(32, 3, 32, 32)
    changed = RandAugment(magnitude=8)(images, torch.Generator().manual_seed(1))
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 16


@given(magnitude=st.floats(0, 30), layers=st.integers(0, 3), seed=st.integers(0, 99))
def test_any_draw_gives_images_and_the_same_twice(magnitude: float, layers: int, seed: int) -> None:
    augment = RandAugment(magnitude=magnitude, num_layers=layers)
    images = noise(3, 8)
    before = images.clone()
    first = augment(images, torch.Generator().manual_seed(seed))
    assert (first.dtype, first.shape) == (torch.uint8, images.shape)
    assert torch.equal(first, augment(images, torch.Generator().manual_seed(seed)))
    assert torch.equal(images, before)
    if magnitude == 0 or layers == 0:
        assert torch.equal(first, images)


def test_a_negative_magnitude_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        RandAugment(magnitude=-1)
