"""What a final training sees: augmented batches of a phase, and the images that it is evaluated on."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data import (
    Augment,
    Cutout,
    DeviceImages,
    PreparedData,
    RandAugment,
    RandomErasing,
    ResizedCrop,
    Split,
    eval_batches,
    in_turn,
    prepare,
    train_batches,
)
from nas.train.job import TrainJob
from nas.train.model_data import ModelData
from nas.train.origin import Normalisation
from nas.train.schedule import Phase

__all__ = ["Feed"]

EVAL_PIXELS = 512 * 32 * 32


class Feed:
    """Attributes:
    counts: images of each split.
    fingerprints: of the images that are trained on, and of those that are evaluated on.
    normalisation: of pixels.
    classes: names, in the order of the labels.
    """

    def __init__(self, job: TrainJob) -> None:
        """Make the job's data ready.

        Raises:
            ValueError: for a job that does not fit its data.
        """
        self._job = job
        self._train_data, self._eval_data = prepare(job.data), prepare(job.eval_data)
        self.counts = {**self._eval_data.counts, "train": self._train_data.counts["train"]}
        self.fingerprints = self._train_data.fingerprint, self._eval_data.fingerprint
        self.normalisation = job.normalisation or Normalisation(mean=self._train_data.mean, std=self._train_data.std)
        self.classes = self._train_data.classes
        classes, num_images = self._train_data.num_classes, self.counts["train"]
        if job.arch.head.num_classes != classes:
            raise ValueError(f"arch must have the data's {classes} classes, got {job.arch.head.num_classes}")
        if job.recipe.batch_size > num_images:
            raise ValueError(f"batch_size must be at most {num_images}, the train images, got {job.recipe.batch_size}")
        self._images: dict[Split, DeviceImages] = {}

    def train_batches(self, phase: Phase, *, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Of steps `start` to `stop` - 1, as `phase` has them: normalised images (B, 3, S, S) and labels (B)."""
        job = self._job
        return train_batches(
            self._split("train"),
            batch_size=job.recipe.batch_size,
            steps=stop,
            start=start,
            generator=torch.Generator().manual_seed(job.seed),
            augment=self._augment(phase),
            channels_last=job.compute.channels_last,
        )

    def eval_batches(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Each image of a split once at the evaluation size, normalised as the train images are."""
        batch_size = max(1, EVAL_PIXELS // self._job.recipe.eval_size**2)
        return eval_batches(self._split(split), batch_size=batch_size, channels_last=self._job.compute.channels_last)

    @property
    def model_data(self) -> ModelData:
        """What a model that is trained on these needs to know of them."""
        return ModelData(
            classes=self.classes,
            normalisation=self.normalisation,
            eval_size=self._job.recipe.eval_size,
            num_images={str(split): count for split, count in self.counts.items()},
        )

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

    def _augment(self, phase: Phase) -> Augment:
        options = self._job.options
        crop = ResizedCrop(size=phase.image_size, min_area=options.min_crop_area, flip=self._train_data.flip)
        augments: list[Augment] = [crop]
        if phase.randaugment:
            augments.append(RandAugment(magnitude=phase.randaugment, num_layers=options.randaugment_layers))
        if options.cutout:
            augments.append(Cutout(side=options.cutout))
        if options.random_erasing:
            augments.append(RandomErasing(probability=options.random_erasing))
        return in_turn(*augments)
