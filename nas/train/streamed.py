"""Images for a final training that are decoded in worker processes as they are needed."""

import hashlib
import json
import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nas.data import Part, Skipped, Split, survey
from nas.data.batches import Normalise, augmentation, stream_seed
from nas.data.crop import draw_crops
from nas.data.moments import sample_moments
from nas.data.stream import PREFETCH, EvalRequest, EvalStream, TrainRequest, TrainStream, Workers
from nas.data.survey import Selection
from nas.device import num_processors
from nas.train.augmenting import after_crop
from nas.train.job import TrainJob
from nas.train.origin import Normalisation
from nas.train.schedule import Phase

__all__ = ["Streamed", "default_workers"]

MAX_WORKERS = 8


def default_workers(threads: int, *, processes: int = 1) -> int:
    """One for each core that the step's threads leave, at least 1 and at most 8; of `processes` that train on this
    machine each has as many."""
    return max(1, min(MAX_WORKERS, num_processors() // processes - threads))


class Streamed:
    """The interface of `Feed`, of images that need not fit into memory or on the disk once decoded.

    On a CPU the workers augment too, beside the step; for a CUDA device they crop, and it augments the batch.
    """

    def __init__(self, job: TrainJob, workers: int | None) -> None:
        self._job = job
        self._workers = default_workers(job.compute.threads) if workers is None else workers
        found = survey(job.data)
        self.classes, self._counts = found.classes, found.counts
        mean, std = sample_moments(found)
        facts: list[object] = [found.classes, [f"{value:.6f}" for value in mean + std]]
        self.fingerprints = (
            _fingerprint(facts, {"train": found.splits["train"]}),
            _fingerprint(facts, {split: found.splits[split] for split in ("holdout", "test")}),
        )
        self.skipped = Skipped(self._counts, job.max_corrupt)
        self.ahead = PREFETCH * self._workers
        self.advice = f"more --loader-workers than {self._workers}, or smaller image files"
        self.normalisation = job.normalisation or Normalisation(mean=mean, std=std)
        self._normalise = Normalise(mean=self.normalisation.mean, std=self.normalisation.std, device=job.compute.device)
        self._seed = stream_seed(torch.Generator().manual_seed(job.seed))
        train = TrainStream(
            found.splits["train"],
            seed=self._seed,
            min_area=job.options.min_crop_area,
            flip=found.flip,
            max_faults=int(job.max_corrupt * self._counts["train"]),
        )
        pin = job.compute.is_cuda
        self._train = Workers(train, self._workers, pin_memory=pin)
        self._eval = Workers(
            EvalStream({split: found.splits[split] for split in ("holdout", "test")}), self._workers, pin_memory=pin
        )

    @property
    def counts(self) -> dict[Split, int]:
        """Images of each split; of those evaluated on, without the ones found unreadable."""
        return {
            split: count if split == "train" else count - self.skipped.count(split)
            for split, count in self._counts.items()
        }

    def train_batches(
        self, phase: Phase, *, start: int, stop: int, rank: int, world: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        job = self._job
        part = Part.of(phase.batch_size, rank=rank, world=world)
        augment = after_crop(phase, job.options)
        on_device = job.compute.is_cuda
        requests = (
            TrainRequest(
                step=step,
                place=phase.images_seen(step),
                part=part,
                image_size=phase.image_size,
                augment=None if on_device else augment,
            )
            for step in range(start, stop)
        )
        for step, loaded in zip(range(start, stop), self._train.load(requests), strict=True):
            self.skipped.add("train", loaded.faults)
            images, labels = self._sent(loaded.images), self._sent(loaded.labels)
            if on_device:
                generator = augmentation(self._seed, step)
                draw_crops(generator, part)  # what the worker drew before
                images = augment(images, generator, part)
            yield self._normalise(images, channels_last=job.compute.channels_last), labels

    def eval_batches(self, split: Split, batch_size: int, *, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        count, size = self._counts[split], self._job.recipe.eval_size
        requests = (
            EvalRequest(split=split, first=first, stop=min(first + batch_size, count), image_size=size)
            for first in range(rank * batch_size, count, world * batch_size)
        )
        for loaded in self._eval.load(requests):
            self.skipped.add(split, loaded.faults)
            if len(loaded.labels):
                images = self._normalise(self._sent(loaded.images), channels_last=self._job.compute.channels_last)
                yield images, self._sent(loaded.labels)

    def close(self) -> None:
        self._train.close()
        self._eval.close()

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._job.compute.device, non_blocking=True)


def _fingerprint(facts: list[object], splits: dict[Split, Selection]) -> str:
    """Of the images' names below their folder, their classes and `facts`, not of where they lie."""
    digest = hashlib.sha256(json.dumps(facts).encode())
    for split, chosen in splits.items():
        digest.update(split.encode() + np.asarray(chosen.labels).tobytes())
        for row in chosen.rows.tolist():
            digest.update(os.fsencode("\0" + chosen.images.name(row)))
    return digest.hexdigest()
