"""Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899): images and labels of two, by a share drawn for each image."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.data.part import part_of_batch

__all__ = ["mix"]

Draws = NDArray[np.float64]


def mix(
    images: Tensor,
    labels: Tensor,
    *,
    mixup: float,
    cutmix: float,
    num_classes: int,
    generator: torch.Generator,
    rank: int = 0,
    world: int = 1,
) -> tuple[Tensor, Tensor]:
    """Each image mixed with the one at its place from the batch's end.

    Where both alphas are above 0, the first half of a batch gets mixup and the second CutMix, as in EfficientNetV2's
    released code. An image keeps at least half of itself in mixup. Where neither is, nothing is drawn.

    Args:
        images: float (B, 3, S, S). labels: int64 (B,).
        mixup, cutmix: alpha of the beta distribution; 0 is none.
        generator: on the CPU; one number is drawn from it.
        rank, world: the images are what process `rank` of `world` takes of a batch; they come out as they do of the
            whole batch, where the generators are equal.

    Returns:
        The images, and targets: probabilities of the classes, float32 (B, num_classes), or the labels where nothing
        was mixed.
    """
    if mixup == 0 and cutmix == 0:
        return images, labels
    seed = int(torch.randint(0, 1 << 62, (), generator=generator))
    random = np.random.Generator(np.random.PCG64(seed))
    batch = len(images) * world
    middle = batch if cutmix == 0 else 0 if mixup == 0 else batch // 2
    targets = functional.one_hot(labels, num_classes).to(torch.float32)
    places = part_of_batch(batch, rank=rank, world=world)
    below = int((places < middle).sum())
    parts = []
    for part, draws, of_draws, how in (
        (slice(None, below), _mixup_draws(random, mixup, middle), places[:below], _mixup),
        (slice(below, None), _cutmix_draws(random, cutmix, batch - middle), places[below:] - middle, _cutmix),
    ):
        if len(of_draws):
            parts.append(how(images[part], targets[part], draws[:, of_draws]))
    mixed, kinds = zip(*parts, strict=True)
    return torch.cat(mixed).contiguous(memory_format=_format(images)), torch.cat(kinds)


def _format(images: Tensor) -> torch.memory_format:
    return torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).to(like.device).view(-1, 1)


def _mixup_draws(random: np.random.Generator, alpha: float, count: int) -> Draws:
    """(1, count): the share of the other image."""
    drawn = random.beta(alpha, alpha, count) if count else np.empty(0)
    return np.minimum(drawn, 1 - drawn)[None]


def _cutmix_draws(random: np.random.Generator, alpha: float, count: int) -> Draws:
    """(3, count): the box's side and the place of its centre, as shares of the image's."""
    if not count:
        return np.empty((3, 0))
    side = np.sqrt(random.beta(alpha, alpha, count))
    return np.concatenate([side[None], random.random((2, count))])


def _mixup(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    other = _column(draws[0], images)
    mixed = torch.lerp(images, images.flip(0), other[:, :, None, None].to(images.dtype))
    return mixed, torch.lerp(targets, targets.flip(0), other)


def _cutmix(images: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """A box of the other image, of the same shape as the image, about any place."""
    height, width = images.shape[2:]
    side = draws[0]
    inside = []
    for length, centre in ((height, draws[1]), (width, draws[2])):
        first, last = (np.clip(np.round(length * (centre + step * side / 2)), 0, length) for step in (-1, 1))
        pixels = np.arange(length)
        inside.append((pixels >= first[:, None]) & (pixels < last[:, None]))
    box = torch.as_tensor(inside[0][:, :, None] & inside[1][:, None, :]).to(images.device)
    mixed = torch.where(box[:, None], images.flip(0), images)
    return mixed, torch.lerp(targets, targets.flip(0), box.float().mean((1, 2)).view(-1, 1))
