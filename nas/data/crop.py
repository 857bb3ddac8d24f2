"""Crops at random places, resized to the size that is trained at: one batched product with each image's own weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.augment import Part
from nas.data.pixels import MAX_STRETCH

__all__ = ["ResizedCrop", "draw_crops", "resize_boxes"]


def draw_crops(generator: torch.Generator, part: Part) -> tuple[Tensor, Tensor]:
    """What is random about crops: area, stretch, top and left, from 0 to 1, (4, B); which are mirrored, bool (B,)."""
    draw = part(torch.rand((4, part.whole), generator=generator))
    return draw, part(torch.randint(0, 2, (part.whole,), generator=generator)) == 1


def _weights(start: Tensor, length: Tensor, size: int, out: int) -> Tensor:
    """What each of `out` pixels takes of each of `size`, float32 (B, out, size): bilinear with antialiasing, of the
    pixels from `start` on, `length` of them (whole numbers, (B,))."""
    start, length = start.view(-1, 1, 1).float(), length.view(-1, 1, 1).float()
    scale = length / out
    reach = scale.clamp(min=1.0)
    centre = start + (torch.arange(out, device=start.device).view(1, -1, 1) + 0.5) * scale
    pixel = torch.arange(size, device=start.device).view(1, 1, -1) + 0.5
    weight = (1 - (pixel - centre).abs() / reach).clamp_(min=0)
    weight = weight * ((pixel > start) & (pixel < start + length))
    return weight / weight.sum(2, keepdim=True)


def resize_boxes(images: Tensor, boxes: Tensor, out: int, mirrored: Tensor) -> Tensor:
    """A box of each image at `out` x `out` pixels, as torch's interpolation gives it (bilinear, antialiased).

    Args:
        images: uint8 (B, 3, S, S).
        boxes: first row, first column, rows, columns of each, whole numbers (4, B), on the images' device.
        mirrored: bool (B,); those are turned left to right.

    Returns:
        uint8 (B, 3, out, out).
    """
    batch, channels, height, width = images.shape
    across = _weights(boxes[1], boxes[3], width, out)
    across = torch.where(mirrored.view(-1, 1, 1), across.flip(1), across)
    down = _weights(boxes[0], boxes[2], height, out)
    pixels = images.to(torch.float32).view(batch, channels * height, width)
    narrow = pixels.bmm(across.mT).view(batch, channels, height, out).mT.reshape(batch, channels * out, height)
    resized = narrow.bmm(down.mT).view(batch, channels, out, out).mT
    return resized.round().clamp_(0, 255).to(torch.uint8, memory_format=torch.contiguous_format)


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """A random part of each image, of at least `min_area` of it, at `size` x `size` pixels; every other one in a
    mirror if `flip`. An `Augment` whose images may leave at another size than they came."""

    size: int
    min_area: float
    flip: bool

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"ResizedCrop.size must be at least 1, got {self.size}")
        if not 0 < self.min_area <= 1:
            raise ValueError(f"ResizedCrop.min_area must be above 0 and at most 1, got {self.min_area}")

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        batch, _, height, width = images.shape
        draw, mirrored = draw_crops(generator, part or Part.of(batch))
        area = self.min_area + (1 - self.min_area) * draw[0]
        stretch = torch.exp((2 * draw[1] - 1) * math.log(MAX_STRETCH) / 2)
        # Where the stretched side would be longer than the image it is the image's, and the area less.
        rows = (area.sqrt() * stretch * height).round().clamp(1, height)
        columns = (area.sqrt() / stretch * width).round().clamp(1, width)
        top = (draw[2] * (height - rows + 1)).floor().clamp(max=height - 1)
        left = (draw[3] * (width - columns + 1)).floor().clamp(max=width - 1)
        boxes = torch.stack([top, left, rows, columns]).to(images.device)
        return resize_boxes(images, boxes, self.size, (mirrored & self.flip).to(images.device))
