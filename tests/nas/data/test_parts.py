"""Several processes share a batch: together their parts are the batch of one process, mixed or not."""

import pytest
import torch
from torch import Tensor

from nas.data import DeviceImages, ResizedCrop, eval_batches, mix, train_batches
from nas.data.part import part_of_batch
from nas.data.prepared import ImageSet


@pytest.fixture
def images() -> DeviceImages:
    """50 images of noise, image i of class i."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (50, 3, 8, 8), generator=generator, dtype=torch.uint8).numpy()
    rows = torch.arange(50).numpy()
    image_set = ImageSet(pixels=pixels, rows=rows, labels=rows)
    return DeviceImages(image_set, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))


def whole(parts: list[Tensor], batch_size: int) -> Tensor:
    """The parts at their places."""
    world = len(parts)
    places = torch.cat([torch.from_numpy(part_of_batch(batch_size, rank=rank, world=world)) for rank in range(world)])
    assert sorted(places.tolist()) == list(range(batch_size))
    return torch.cat(parts)[places.argsort()]


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("augmented", [False, True])
def test_the_parts_are_the_batch(images: DeviceImages, world: int, augmented: bool) -> None:
    augment = ResizedCrop(size=6, min_area=0.3, flip=True) if augmented else None

    def batches(rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(3)
        return list(
            train_batches(
                images, batch_size=16, steps=7, start=2, generator=generator, augment=augment, rank=rank, world=world
            )
        )

    each = [batches(rank, world) for rank in range(world)]
    for step, (pixels, labels) in enumerate(batches(0, 1)):
        assert torch.equal(whole([batches[step][0] for batches in each], 16), pixels)
        assert torch.equal(whole([batches[step][1] for batches in each], 16), labels)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.4, 0.4)])
def test_the_parts_are_mixed_as_the_batch_is(mixup: float, cutmix: float, world: int) -> None:
    pixels, labels = torch.rand((16, 3, 6, 6), generator=torch.Generator().manual_seed(1)), torch.arange(16)

    def mixed(rank: int, world: int) -> tuple[Tensor, Tensor]:
        places = torch.from_numpy(part_of_batch(16, rank=rank, world=world))
        generator = torch.Generator().manual_seed(7)
        return mix(
            pixels[places],
            labels[places],
            mixup=mixup,
            cutmix=cutmix,
            num_classes=16,
            generator=generator,
            rank=rank,
            world=world,
        )

    parts, expected = [mixed(rank, world) for rank in range(world)], mixed(0, 1)
    for found, alone in zip(zip(*parts, strict=True), expected, strict=True):
        assert torch.equal(whole(list(found), 16), alone)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_each_image_is_evaluated_in_one_process(images: DeviceImages, world: int) -> None:
    seen = [
        label
        for rank in range(world)
        for _, labels in eval_batches(images, batch_size=9, rank=rank, world=world)
        for label in labels.tolist()
    ]
    assert sorted(seen) == list(range(50))


def test_what_cannot_be_shared_is_refused(images: DeviceImages) -> None:
    with pytest.raises(ValueError, match=r"must be a multiple of 8 with 2 workers .*, got 12"):
        train_batches(images, batch_size=12, steps=1, generator=torch.Generator(), rank=0, world=2)
    train_batches(images, batch_size=13, steps=1, generator=torch.Generator())
