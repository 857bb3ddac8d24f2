"""Several processes share a batch: together their parts are the batch of one process, mixed or not."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.data import DeviceImages, ImageSet, Part, eval_batches, mix
from nas.data.part import part_of_batch
from tests.nas.data.parts import joined


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
        assert torch.equal(joined(found), alone)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_each_image_is_evaluated_in_one_process(world: int) -> None:
    pixels, rows = np.zeros((50, 3, 4, 4), np.uint8), np.arange(50)
    images = DeviceImages(ImageSet(pixels=pixels, rows=rows, labels=rows), mean=(0.5,) * 3, std=(0.2,) * 3)
    seen = [
        label
        for rank in range(world)
        for _, labels in eval_batches(images, batch_size=9, rank=rank, world=world)
        for label in labels.tolist()
    ]
    assert sorted(seen) == list(range(50))


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a multiple of 8 with 2 workers .*, got 12"):
        Part.of(12, rank=0, world=2)
    assert len(Part.of(13)) == 13
