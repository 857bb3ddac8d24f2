"""Augmentation of whole batches in which each image draws its own parameters.

(The random transforms of torchvision's v2 draw one for the batch.) An augmentation maps uint8 images (B, 3, S, S) and a
generator to such images, so that more of them can be put one after another.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augment", "CropFlip", "in_turn"]

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""(uint8 images (B, 3, S, S) on any device, generator on the CPU) -> such images on that device, of any size."""


def in_turn(*augments: Augment) -> Augment:
    """One after the other, drawing from the same generator."""

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        for each in augments:
            images = each(images, generator)
        return images

    return augment


@dataclass(frozen=True, kw_only=True)
class CropFlip:
    """A random shift by up to `pad` pixels each way and, if `flip`, a mirror image every other time.

    The shift is the crop at a random place of an image padded by reflection; one gather does all of it.
    """

    pad: int
    flip: bool

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise ValueError(f"CropFlip.pad must be at least 0, got {self.pad}")

    @classmethod
    def for_size(cls, image_size: int, *, flip: bool) -> "CropFlip":
        """The usual 4 pixels at 32x32, in proportion."""
        return cls(pad=round(image_size / 8), flip=flip)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch, channels, height, width = images.shape
        if self.pad >= min(height, width):
            raise ValueError(f"CropFlip.pad must be less than the image's size {min(height, width)}, got {self.pad}")
        shifts = torch.randint(-self.pad, self.pad + 1, (2, batch, 1), generator=generator)
        mirrored = torch.randint(0, 2, (batch, 1), generator=generator) == 1
        rows = _reflect(torch.arange(height) + shifts[0], height)
        columns = _reflect(torch.arange(width) + shifts[1], width)
        if self.flip:
            columns = torch.where(mirrored, columns.flip(1), columns)
        source = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width).to(images.device)
        return images.flatten(2).gather(2, source.expand(-1, channels, -1)).view_as(images)


def _reflect(index: Tensor, length: int) -> Tensor:
    """Indices beyond 0 or `length` - 1 turned back, the border itself not repeated."""
    return (length - 1) - ((length - 1) - index.abs()).abs()
