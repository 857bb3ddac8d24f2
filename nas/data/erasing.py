"""Parts of images blotted out: cutout and random erasing, drawn for each image, in grey.

torchvision's and timm's draw from global generators, and torchvision's draws one box for a batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.augment import Part
from nas.data.randaugment import GREY

__all__ = ["Cutout", "RandomErasing"]

MIN_AREA, MAX_AREA, MAX_STRETCH = 0.02, 1 / 3, 10 / 3


def _blot(images: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """Grey where pixels' rows and columns, (B,) each, are from the first to below the last."""
    sides = []
    for length, (first, last) in ((images.shape[-2], rows), (images.shape[-1], columns)):
        pixels = torch.arange(length)
        sides.append((pixels >= first[:, None]) & (pixels < last[:, None]))
    box = sides[0][:, :, None] & sides[1][:, None, :]
    return images.masked_fill(box[:, None].to(images.device), GREY)


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A square about any pixel of each image, so that it may lie in part outside (arXiv 1708.04552). `side` is a share
    of the image's."""

    side: float

    def __post_init__(self) -> None:
        if not 0 < self.side <= 1:
            raise ValueError(f"Cutout.side must be above 0 and at most 1, got {self.side}")

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        part, size = part or Part.of(len(images)), images.shape[-1]
        length = round(self.side * size)
        first = part(torch.randint(size, (2, part.whole), generator=generator)) - length // 2
        return _blot(images, (first[0], first[0] + length), (first[1], first[1] + length))


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """With `probability`, a box of 2 % to a third of an image, its sides up to 10 to 3, wholly inside (arXiv
    1708.04896; torchvision's and timm's numbers)."""

    probability: float

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ValueError(f"RandomErasing.probability must be above 0 and at most 1, got {self.probability}")

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        part, size = part or Part.of(len(images)), images.shape[-1]
        drawn = part(torch.rand((5, part.whole), generator=generator))
        area = MIN_AREA + (MAX_AREA - MIN_AREA) * drawn[0]
        # Of this area no box is longer than the image.
        limit = area.log().neg().clamp(max=math.log(MAX_STRETCH))
        stretch = torch.exp((2 * drawn[1] - 1) * limit)
        rows = ((area * stretch).sqrt() * size).round().clamp(1, size)
        columns = ((area / stretch).sqrt() * size).round().clamp(1, size)
        top = (drawn[2] * (size - rows + 1)).floor()
        left = (drawn[3] * (size - columns + 1)).floor()
        rows = torch.where(drawn[4] < self.probability, rows, 0)
        return _blot(images, (top, top + rows), (left, left + columns))
