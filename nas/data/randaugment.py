"""RandAugment (arXiv 1909.13719) in which every op is stronger at a larger magnitude, and nothing at 0.

In the authors' code several are not: at a magnitude of 5 its colour, contrast, brightness and sharpness leave an image
as it is, posterize and solarize grow weaker, and shifts are in pixels, whatever the image's size. Here magnitude 10 is
the strength of theirs, shifts and patches are shares of the image's side (theirs over the 300 pixels of
EfficientNetV2-S), and what has no strength of its own (equalize, autocontrast) is blended in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F  # noqa: N812

from nas.data.augment import Part

__all__ = ["OPS", "Draw", "RandAugment"]

GREY = 128
MAX_SHEAR, MAX_SHIFT, MAX_DEGREES = 0.3, 100 / 300, 30.0
MAX_ENHANCEMENT, LEAST_FACTOR = 0.9, 0.1
MAX_PATCH = 80 / 300
MAX_ADDED, ADDED_BELOW = 110, 128
POSTERIZED_BITS, LEAST_BITS = 4, 2


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What is random about an op for each image: `sign` -1 or 1, (B,), and `place`, shares of the side, (2, B)."""

    sign: Tensor
    place: Tensor


Op = Callable[[Tensor, float, Draw], Tensor]
"""(uint8 images (B, 3, S, S), strength: magnitude / 10, draw) -> such images."""


def _warp(images: Tensor, matrix: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]], shift: Tensor) -> Tensor:
    """Images through a linear map about their centre: output pixel (x, y) shows `matrix` (x, y) + `shift`, the nearest
    pixel to it, grey outside. The matrix's entries and `shift`'s rows (2, B) are of each image, in pixels."""
    batch, channels, height, width = images.shape
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=images.device) - (width - 1) / 2).view(1, 1, -1)
    (a, b), (c, d) = ((entry.view(-1, 1, 1) for entry in row) for row in matrix)
    columns = (a * x + b * y + shift[0].view(-1, 1, 1) + (width - 1) / 2).round().long()
    rows = (c * x + d * y + shift[1].view(-1, 1, 1) + (height - 1) / 2).round().long()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    source = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).view(batch, 1, -1)
    moved = images.flatten(2).gather(2, source.expand(-1, channels, -1)).view_as(images)
    return moved.masked_fill(~inside[:, None], GREY)


def _shear(axis: int) -> Op:
    def shear(images: Tensor, strength: float, draw: Draw) -> Tensor:
        one, zero, slope = torch.ones_like(draw.sign), torch.zeros_like(draw.sign), draw.sign * (strength * MAX_SHEAR)
        matrix = ((one, slope), (zero, one)) if axis == 0 else ((one, zero), (slope, one))
        return _warp(images, matrix, torch.stack([zero, zero]))

    return shear


def _translate(axis: int) -> Op:
    def translate(images: Tensor, strength: float, draw: Draw) -> Tensor:
        one, zero = torch.ones_like(draw.sign), torch.zeros_like(draw.sign)
        by = draw.sign * (strength * MAX_SHIFT * images.shape[-1])
        return _warp(images, ((one, zero), (zero, one)), torch.stack([by, zero] if axis == 0 else [zero, by]))

    return translate


def _rotate(images: Tensor, strength: float, draw: Draw) -> Tensor:
    angle = torch.deg2rad(draw.sign * (strength * MAX_DEGREES))
    sine, cosine = angle.sin(), angle.cos()
    return _warp(images, ((cosine, -sine), (sine, cosine)), torch.zeros_like(draw.place))


def _blend(images: Tensor, other: Tensor, share: Tensor | float) -> Tensor:
    """From `images` at share 0 to `other` at 1; a negative share goes the other way."""
    start = images.to(torch.float32)
    return torch.lerp(start, other.to(torch.float32), share).round_().clamp_(0, 255).to(torch.uint8)


def _enhance(weaken: Callable[[Tensor, float], Tensor]) -> Op:
    """`weaken(images, 0.0)` takes all of something out of images; it is made less or more, by the sign."""

    def enhance(images: Tensor, strength: float, draw: Draw) -> Tensor:
        less = (draw.sign * (strength * MAX_ENHANCEMENT)).clamp(max=1 - LEAST_FACTOR)
        return _blend(images, weaken(images, 0.0), less.view(-1, 1, 1, 1))

    return enhance


def _mix_in(change: Callable[[Tensor], Tensor]) -> Op:
    def mix_in(images: Tensor, strength: float, draw: Draw) -> Tensor:
        return _blend(images, change(images), min(1.0, strength))

    return mix_in


def _posterize(images: Tensor, strength: float, draw: Draw) -> Tensor:
    posterized: Tensor = F.posterize(images, max(LEAST_BITS, 8 - int(POSTERIZED_BITS * strength)))
    return posterized


def _solarize(images: Tensor, strength: float, draw: Draw) -> Tensor:
    threshold = 256 * (1 - min(1.0, strength))
    return torch.where(images >= threshold, 255 - images, images)


def _solarize_add(images: Tensor, strength: float, draw: Draw) -> Tensor:
    added = (images.to(torch.int16) + int(MAX_ADDED * strength)).clamp_(max=255).to(torch.uint8)
    return torch.where(images < ADDED_BELOW, added, images)


def _cutout(images: Tensor, strength: float, draw: Draw) -> Tensor:
    """A grey square about any place of the image, so that it may lie in part outside."""
    size = images.shape[-1]
    half = strength * MAX_PATCH * size / 2
    pixels = torch.arange(size, device=images.device) + 0.5
    near = (pixels - draw.place[:, :, None] * size).abs() < half
    return images.masked_fill((near[0, :, :, None] & near[1, :, None, :])[:, None], GREY)


OPS: dict[str, Op] = {
    "autocontrast": _mix_in(F.autocontrast),
    "equalize": _mix_in(F.equalize),
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _enhance(F.adjust_saturation),
    "contrast": _enhance(F.adjust_contrast),
    "brightness": _enhance(F.adjust_brightness),
    "sharpness": _enhance(F.adjust_sharpness),
    "shear_x": _shear(0),
    "shear_y": _shear(1),
    "translate_x": _translate(0),
    "translate_y": _translate(1),
    "cutout": _cutout,
}
"""The authors' ops but invert, which is solarize at magnitude 10."""


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """`num_layers` ops on each image, drawn for each image; images that drew one op go through it together."""

    magnitude: float
    num_layers: int = 2

    def __post_init__(self) -> None:
        if not self.magnitude >= 0:
            raise ValueError(f"RandAugment.magnitude must be at least 0, got {self.magnitude}")

    def __call__(self, images: Tensor, generator: torch.Generator, part: Part | None = None) -> Tensor:
        """`images`, uint8 (B, 3, S, S), changed; `generator` is on the CPU."""
        part = part or Part.of(len(images))
        for _ in range(self.num_layers):
            drawn = part(torch.randint(len(OPS), (part.whole,), generator=generator))
            sign = part(torch.randint(0, 2, (part.whole,), generator=generator)) * 2.0 - 1.0
            place = part(torch.rand((2, part.whole), generator=generator))
            changed = torch.empty_like(images)
            for number, op in enumerate(OPS.values()):
                chosen = (drawn == number).nonzero()[:, 0]
                if len(chosen):
                    draw = Draw(sign=sign[chosen].to(images.device), place=place[:, chosen].to(images.device))
                    where = chosen.to(images.device)
                    changed[where] = op(images[where], self.magnitude / 10, draw)
            images = changed
        return images
