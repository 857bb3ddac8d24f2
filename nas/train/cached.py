"""Images for a final training that were decoded once into the cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data import (
    DeviceImages,
    PreparedData,
    ResizedCrop,
    Skipped,
    Split,
    eval_batches,
    in_turn,
    train_batches,
)
from nas.train.augmenting import after_crop
from nas.train.feed_data import FeedData
from nas.train.job import TrainJob
from nas.train.origin import Normalisation
from nas.train.schedule import Phase

__all__ = ["Cached"]


class Cached:
    """The interface of `Feed`. Crops are of the images' centre squares, as the cache holds them."""

    advice = "augmentation takes that time; --data-mode stream does it in processes beside the step"
    ahead = 0

    def __init__(self, job: TrainJob, data: FeedData | None = None) -> None:
        self._job = job
        self._train_data, self._eval_data = data or FeedData.of(job)
        self.classes = self._train_data.classes
        self.counts = {**self._train_data.counts, **self._eval_data.counts}
        self.fingerprints = self._train_data.fingerprint, self._eval_data.fingerprint
        faults = {**self._train_data.faults, **self._eval_data.faults}
        totals = {split: count + len(faults[split]) for split, count in self.counts.items()}
        self.normalisation = job.normalisation or Normalisation(mean=self._train_data.mean, std=self._train_data.std)
        self.skipped = Skipped(totals, job.max_corrupt)
        for split, found in faults.items():
            self.skipped.add(split, found)
        self._images: dict[Split, DeviceImages] = {}

    def train_batches(
        self, phase: Phase, *, start: int, stop: int, rank: int, world: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        job = self._job
        crop = ResizedCrop(size=phase.image_size, min_area=job.options.min_crop_area, flip=self._train_data.flip)
        return train_batches(
            self._split("train"),
            batch_size=phase.batch_size,
            steps=stop,
            start=start,
            offset=phase.images_seen(0),
            generator=torch.Generator().manual_seed(job.seed),
            augment=in_turn(crop, after_crop(phase, job.options)),
            channels_last=job.compute.channels_last,
            rank=rank,
            world=world,
        )

    def eval_batches(self, split: Split, batch_size: int, *, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        return eval_batches(
            self._split(split),
            batch_size=batch_size,
            channels_last=self._job.compute.channels_last,
            rank=rank,
            world=world,
        )

    def close(self) -> None:
        self._images.clear()

    def _split(self, split: Split) -> DeviceImages:
        if split not in self._images:
            data: PreparedData = self._train_data if split == "train" else self._eval_data
            self._images[split] = DeviceImages(
                data.split(split),
                device=self._job.compute.device,
                mean=self.normalisation.mean,
                std=self.normalisation.std,
            )
        return self._images[split]
