"""Mixup and CutMix: the targets say what the images hold."""

import pytest
import torch
from torch import Tensor

from nas.data import mix

CLASSES = 8


def flat(batch: int) -> tuple[Tensor, Tensor]:
    """Image i has class i, and channel c of it is 1 where c == i: pixels say how much of each class is there."""
    labels = torch.arange(batch)
    images = torch.eye(CLASSES)[:batch, :, None, None].expand(batch, CLASSES, 10, 10)
    return images.contiguous(memory_format=torch.channels_last), labels


def mixed(mixup: float, cutmix: float, seed: int = 0, batch: int = CLASSES) -> tuple[Tensor, Tensor]:
    images, labels = flat(batch)
    generator = torch.Generator().manual_seed(seed)
    return mix(images, labels, mixup=mixup, cutmix=cutmix, num_classes=CLASSES, generator=generator)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 0.5), (0.4, 0.4), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("batch", [1, 2, 7, 8])
def test_targets_are_the_shares_of_the_pixels(mixup: float, cutmix: float, batch: int) -> None:
    for seed in range(5):
        images, targets = mixed(mixup, cutmix, seed, batch)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(images.mean((2, 3)), targets, atol=1e-6)
        assert torch.allclose(targets.sum(1), torch.ones(batch))


def test_mixup_keeps_most_of_an_image_and_cutmix_whole_pixels() -> None:
    images, targets = mixed(1.0, 0.0)
    assert (targets.diagonal() >= 0.5).all()
    assert ((images > 0) & (images < 1)).any()
    images, _ = mixed(0.0, 1.0)
    assert ((images == 0) | (images == 1)).all()


def test_both_halve_the_batch() -> None:
    images, targets = mixed(1.0, 1.0)
    assert (targets[:4, 4:] == 0).all()
    assert (targets[4:, :4] == 0).all()
    assert ((images[4:] == 0) | (images[4:] == 1)).all()


def test_none_is_none() -> None:
    images, labels = flat(4)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    found = mix(images, labels, mixup=0, cutmix=0, num_classes=CLASSES, generator=generator)
    assert found[0] is images
    assert found[1] is labels
    assert torch.equal(generator.get_state(), state)


def test_the_same_twice() -> None:
    for one, other in zip(mixed(0.4, 0.4, 3), mixed(0.4, 0.4, 3), strict=True):
        assert torch.equal(one, other)
