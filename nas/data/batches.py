"""Batches from prepared images: gathered as uint8, augmented as uint8, then normalised.

for images, labels in train_batches(train, batch_size=128, steps=1000, generator=generator, augment=crop_flip):
    loss = criterion(model(images), labels)
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nas.data.augment import Augment, Part
from nas.data.moments import Stats
from nas.data.prepared import ImageSet
from nas.data.source import Pixels

__all__ = ["DeviceImages", "Normalise", "Order", "augmentation", "eval_batches", "stream_seed", "train_batches"]

Batch = tuple[Tensor, Tensor]
"""Normalised images, float32 (B, 3, S, S), and labels, int64 (B,), on the device."""

_ORDER, _AUGMENT = 0, 1


class DeviceImages:
    """An image set from which a device takes batches.

    On the CPU nothing is copied: the cache's file itself is the tensor, and all processes share its pages. Another
    device gets a uint8 copy, unless that would be larger than `max_resident_bytes`: then each batch is sent to it.
    """

    def __init__(
        self,
        image_set: ImageSet,
        *,
        mean: Stats,
        std: Stats,
        device: torch.device | str = "cpu",
        max_resident_bytes: int = 4 << 30,
    ) -> None:
        if len(image_set) == 0:
            raise ValueError("DeviceImages needs at least 1 image, got none")
        self.device = torch.device(device)
        self.image_size = image_set.image_size
        self.labels = torch.tensor(image_set.labels, device=self.device)
        self._pixels = torch.from_numpy(_writeable(image_set.pixels))
        self._rows = torch.tensor(image_set.rows)
        if self.device.type != "cpu" and len(image_set) * self._pixels[0].numel() <= max_resident_bytes:
            self._pixels = self._pixels.index_select(0, self._rows).to(self.device)
            self._rows = torch.arange(len(image_set), device=self.device)
        self._normalise = Normalise(mean=mean, std=std, device=self.device)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Tensor) -> Batch:
        """The images at `positions` (int64 (B,), on the CPU), uint8 (B, 3, S, S), and their labels, on the device."""
        rows = self._rows[positions.to(self._rows.device)]
        return self._pixels.index_select(0, rows).to(self.device), self.labels[positions.to(self.device)]

    def normalise(self, images: Tensor, *, channels_last: bool = True) -> Tensor:
        """As `Normalise`."""
        return self._normalise(images, channels_last=channels_last)


class Normalise:
    """From uint8 images (B, 3, S, S) to float32 with the mean taken off and divided by the standard deviation."""

    def __init__(self, *, mean: Stats, std: Stats, device: torch.device | str = "cpu") -> None:
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std must be 3 numbers each and std above 0, got {mean} and {std}")
        # x / 255 normalised is x * scale + shift.
        shift = [-m / s for m, s in zip(mean, std, strict=True)]
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(1, 3, 1, 1)
        self._shift = torch.tensor(shift, device=device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor, *, channels_last: bool = True) -> Tensor:
        normalised = images.to(torch.float32).mul_(self._scale).add_(self._shift)
        # Only now, of floats: the same of uint8 takes five times as long on the CPU.
        return normalised.contiguous(memory_format=torch.channels_last) if channels_last else normalised


def _writeable(pixels: Pixels) -> Pixels:
    """The same memory without the mark that it is read-only, of which torch warns; a copy if that cannot be had.

    Nothing here writes to it, and the cache's maps are copy-on-write anyhow.
    """
    view = pixels.view()
    try:
        view.flags.writeable = True
    except ValueError:
        return pixels.copy()
    return view


def _generator(seed: int, purpose: int, count: int) -> torch.Generator:
    """Randomness of one epoch or step. (torch's own manual_seed keeps 32 bits, so the mixing is done here.)"""
    state = np.random.SeedSequence([seed, purpose, count]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(state[0]))


def _check_at_least(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")


def train_batches(
    images: DeviceImages,
    *,
    batch_size: int,
    steps: int,
    generator: torch.Generator,
    augment: Augment | None = None,
    start: int = 0,
    offset: int = 0,
    channels_last: bool = True,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """The batches of a training of so many steps, all of `batch_size`.

    The images pass by in one endless stream, shuffled anew for each epoch; batches are cut from it as they come, across
    the ends of epochs too. So each image is seen equally often, no batch is short, and a set smaller than a batch comes
    more than once in it.

    Args:
        generator: on the CPU. One number is drawn from it at once; all of the stream follows from that number.
        augment: applied to the uint8 images.
        start: steps to leave out, as to go on after an interruption: the others are what they would have been.
        offset: place in the stream of step 0's first image. Where batches of another size came before, the one that
            puts step `start` behind them; it may be below 0.
        channels_last: the memory format of the images.
        rank, world: give out the `rank`-th of `world` parts of each batch; see `Part.of`. An image is augmented as it
            would be in the whole batch.
    """
    _check_at_least("batch_size", batch_size, 1)
    _check_at_least("start", start, 0)
    _check_at_least("steps", steps, start)
    if generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, got one on {generator.device}")
    _check_at_least("offset + start * batch_size", offset + start * batch_size, 0)
    seed = stream_seed(generator)
    part = Part.of(batch_size, rank=rank, world=world)
    return _stream(images, range(start, steps), offset, seed, augment, channels_last, part)


def stream_seed(generator: torch.Generator) -> int:
    """The number from which all of a stream follows."""
    return int(torch.randint(0, 1 << 62, (), generator=generator))


class Order:
    """An endless stream of the positions 0 to `length` - 1, shuffled anew for each epoch."""

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed = length, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def between(self, place: int, stop: int) -> Tensor:
        """The stream's entries `place` to `stop` - 1, int64 (stop - place,)."""
        parts: list[Tensor] = []
        while place < stop:
            epoch, first = divmod(place, self._length)
            if epoch != self._epoch:
                self._epoch = epoch
                self._order = torch.randperm(self._length, generator=_generator(self._seed, _ORDER, epoch))
            parts.append(self._order[first : first + stop - place])
            place += len(parts[-1])
        return torch.cat(parts)


def augmentation(seed: int, step: int) -> torch.Generator:
    """The generator that a step's augmentation draws from."""
    return _generator(seed, _AUGMENT, step)


def _stream(
    images: DeviceImages,
    steps: range,
    offset: int,
    seed: int,
    augment: Augment | None,
    channels_last: bool,
    part: Part,
) -> Iterator[Batch]:
    order = Order(len(images), seed)
    for step in steps:
        first = offset + step * part.whole
        batch, labels = images.take(part(order.between(first, first + part.whole)))
        if augment is not None:
            batch = augment(batch, augmentation(seed, step), part)
        yield images.normalise(batch, channels_last=channels_last), labels


def eval_batches(
    images: DeviceImages, *, batch_size: int, channels_last: bool = True, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """Each image once, in order, without augmentation; the last batch may be smaller. Of several processes each gets
    every `world`-th batch, where there are so many."""
    _check_at_least("batch_size", batch_size, 1)
    for start in range(rank * batch_size, len(images), world * batch_size):
        batch, labels = images.take(torch.arange(start, min(start + batch_size, len(images))))
        yield images.normalise(batch, channels_last=channels_last), labels
