"""Augmentation of whole batches in which each image draws its own parameters.

(The random transforms of torchvision's v2 draw one for the batch.) An augmentation maps uint8 images (B, 3, S, S) and a
generator to such images, so that more of them can be put one after another.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from nas.data.part import part_of_batch

__all__ = ["Augment", "CropFlip", "Part", "in_turn"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one of several processes has of a batch of `whole` images: those at `places`, ascending.

    An augmentation draws for the whole batch and keeps what is the part's. So what an image is made into does not
    depend on how many processes there are.
    """

    places: tuple[int, ...]
    whole: int

    @classmethod
    def of(cls, whole: int, *, rank: int = 0, world: int = 1) -> Self:
        """The `rank`-th of `world` equal parts of a batch, as `part_of_batch` has them.

        Raises:
            ValueError: where the parts could not be equal.
        """
        return cls(places=tuple(part_of_batch(whole, rank=rank, world=world).tolist()), whole=whole)

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, drawn: Tensor) -> Tensor:
        """Of what was drawn for the batch, (..., whole), this part's, (..., len(part))."""
        return drawn if len(self) == self.whole else drawn[..., torch.tensor(self.places)]


class Augment(Protocol):
    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        """uint8 images (B, 3, S, S) on any device and a generator on the CPU -> such images on that device, of any
        size. `images` are a part of a batch; where not given, all of it."""


@dataclass(frozen=True)
class _InTurn:
    augments: tuple[Augment, ...]

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        for augment in self.augments:
            images = augment(images, generator, part)
        return images


def in_turn(*augments: Augment) -> Augment:
    """One after the other, drawing from the same generator. A pickle where they are."""
    return _InTurn(augments)


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

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        batch, channels, height, width = images.shape
        part = part or Part.of(batch)
        if self.pad >= min(height, width):
            raise ValueError(f"CropFlip.pad must be less than the image's size {min(height, width)}, got {self.pad}")
        shifts = part(torch.randint(-self.pad, self.pad + 1, (2, part.whole), generator=generator))[..., None]
        mirrored = part(torch.randint(0, 2, (part.whole,), generator=generator))[:, None] == 1
        rows = _reflect(torch.arange(height) + shifts[0], height)
        columns = _reflect(torch.arange(width) + shifts[1], width)
        if self.flip:
            columns = torch.where(mirrored, columns.flip(1), columns)
        source = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width).to(images.device)
        return images.flatten(2).gather(2, source.expand(-1, channels, -1)).view_as(images)


def _reflect(index: Tensor, length: int) -> Tensor:
    """Indices beyond 0 or `length` - 1 turned back, the border itself not repeated."""
    return (length - 1) - ((length - 1) - index.abs()).abs()
