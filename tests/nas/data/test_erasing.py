"""Cutout and random erasing: the boxes of each image, compared with torchvision's."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from nas.data import Cutout, RandomErasing


def images(batch: int, size: int = 32) -> Tensor:
    return torch.zeros(batch, 3, size, size, dtype=torch.uint8)


def boxes(erased: Tensor) -> Tensor:
    """First row, first column, rows, columns of what is not 0 in each image, (B, 4); zeros where all is."""
    found = []
    for image in erased[:, 0] != 0:
        rows, columns = image.any(1).nonzero()[:, 0], image.any(0).nonzero()[:, 0]
        if len(rows) == 0:
            found.append([0, 0, 0, 0])
            continue
        top, left, height, width = int(rows[0]), int(columns[0]), len(rows), len(columns)
        assert int(image.sum()) == height * width, "a whole box"
        found.append([top, left, height, width])
    return torch.tensor(found)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("augment", [Cutout(side=0.5), RandomErasing(probability=0.7)])
def test_grey_boxes_from_the_generator_alone(augment: Cutout | RandomErasing) -> None:
    before = torch.randint(0, 100, (64, 3, 24, 24), generator=generator(1)).to(torch.uint8)
    kept = before.clone()
    first = augment(before, generator())
    torch.rand(3)
    assert torch.equal(first, augment(before, generator()))
    assert not torch.equal(first, augment(before, generator(5)))
    assert torch.equal(before, kept)
    changed = (first != before).any(1, keepdim=True).expand_as(first)
    assert (first[changed] == 128).all()
    assert first.dtype == torch.uint8


def test_a_cut_out_square_is_about_any_pixel() -> None:
    found = boxes(Cutout(side=0.5)(images(2000), generator()))
    assert found[:, 2:].max() == 16
    assert found[:, 2:].min() == 8, "at a corner, a quarter of it is inside"
    whole = (found[:, 2:] == 16).all(1).float().mean()
    assert abs(float(whole) - (17 / 32) ** 2) < 0.04
    assert set(found[:, 0].tolist()) == set(range(24))


def test_random_erasing_is_torchvisions_in_its_size_and_how_often() -> None:
    count, size = 1200, 64
    ours = boxes(RandomErasing(probability=0.6)(images(count, size), generator()))
    torch.manual_seed(0)
    theirs_of = v2.RandomErasing(p=0.6, value=1.0)
    theirs = boxes(torch.cat([theirs_of(images(1, size)) for _ in range(count)]))
    for found in (ours, theirs):
        assert (found[:, :2] + found[:, 2:]).max() <= size
    shares = [(found[:, 2] > 0).float().mean() for found in (ours, theirs)]
    assert abs(float(shares[0] - shares[1])) < 0.06
    for measure in (lambda box: box[2] * box[3] / size**2, lambda box: (box[2] / box[3]).log(), lambda box: box[0]):
        values = [torch.stack([measure(box.float()) for box in found if box[2]]).sort()[0] for found in (ours, theirs)]
        for quantile in (0.1, 0.5, 0.9):
            one, other = (float(sample.quantile(quantile)) for sample in values)
            spread = float(values[1].std())
            assert abs(one - other) < 0.2 * spread, f"quantile {quantile}"


def test_bad_shares_are_refused() -> None:
    for share in (0, -0.1, 1.5):
        with pytest.raises(ValueError, match="above 0 and at most 1, got"):
            Cutout(side=share)
        with pytest.raises(ValueError, match="above 0 and at most 1, got"):
            RandomErasing(probability=share)
