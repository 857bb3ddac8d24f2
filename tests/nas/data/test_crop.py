"""Random crops at another size are torch's own resizing of a box."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from nas.data import ResizedCrop
from nas.data.crop import resize_boxes


def noise(batch: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, size, size), generator=generator).to(torch.uint8)


@given(data=st.data(), size=st.integers(1, 24), out=st.integers(1, 24))
def test_a_box_is_resized_as_torch_does(data: st.DataObject, size: int, out: int) -> None:
    images = noise(2, size)
    boxes = []
    for _ in images:
        rows, columns = (data.draw(st.integers(1, size)) for _ in range(2))
        boxes.append((data.draw(st.integers(0, size - rows)), data.draw(st.integers(0, size - columns)), rows, columns))
    mirrored = torch.tensor([False, True])
    found = resize_boxes(images, torch.tensor(boxes).T.float(), out, mirrored)
    for image, (top, left, rows, columns), flip, mine in zip(images, boxes, mirrored, found, strict=True):
        part = image[None, :, top : top + rows, left : left + columns].float()
        expected = functional.interpolate(part, (out, out), mode="bilinear", antialias=True, align_corners=False)
        expected = expected.flip(3) if flip else expected
        assert (mine - expected[0]).abs().max() <= 0.51


def test_the_whole_image_at_its_own_size_is_itself() -> None:
    images = noise(3, 9)
    boxes = torch.tensor([[0.0, 0, 9, 9]]).T.expand(4, 3)
    assert torch.equal(resize_boxes(images, boxes, 9, torch.zeros(3, dtype=torch.bool)), images)


@pytest.mark.parametrize("size", [4, 12, 20])
def test_crops_differ_and_are_the_same_twice(size: int) -> None:
    images = noise(1, 12).expand(16, 3, 12, 12)
    crop = ResizedCrop(size=size, min_area=0.25, flip=True)
    first = crop(images, torch.Generator().manual_seed(0))
    assert (first.shape, first.dtype) == ((16, 3, size, size), torch.uint8)
    assert torch.equal(first, crop(images, torch.Generator().manual_seed(0)))
    assert len({tuple(image.flatten().tolist()) for image in first}) == 16


def test_no_mirror_where_none_is_allowed() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(64, 3, 16, 16)
    found = ResizedCrop(size=16, min_area=0.5, flip=False)(ramp, torch.Generator().manual_seed(0))
    assert (found[..., -1] >= found[..., 0]).all()
    found = ResizedCrop(size=16, min_area=0.5, flip=True)(ramp, torch.Generator().manual_seed(0))
    turned = (found[:, 0, 0, -1] < found[:, 0, 0, 0]).sum()
    assert 16 < turned < 48


@pytest.mark.parametrize(("size", "area", "rule"), [(0, 0.5, "size"), (8, 0.0, "min_area"), (8, 1.5, "min_area")])
def test_bad_crops_are_refused(size: int, area: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"ResizedCrop.{rule}"):
        ResizedCrop(size=size, min_area=area, flip=True)
