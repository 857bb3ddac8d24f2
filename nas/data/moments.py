"""What train images are normalised with."""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from nas.data.cache import cached
from nas.data.config import DataError
from nas.data.pixels import read_images
from nas.data.source import Pixels
from nas.data.survey import Survey
from nas.user_folders import cache_folder

__all__ = ["Moments", "Stats", "sample_moments"]

Stats = tuple[float, float, float]
"""One number for each of red, green and blue."""

SAMPLE = 2048
_FORMAT = 1


class Moments:
    """Mean and standard deviation of the values that pass by, exact: sums are of integers."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = np.zeros(3, np.int64)
        self.squares = np.zeros(3, np.int64)

    def add(self, chunk: Pixels) -> None:
        for channel in range(3):
            values = chunk[:, channel].astype(np.uint32)
            self.sums[channel] += values.sum(dtype=np.int64)
            self.squares[channel] += np.square(values).sum(dtype=np.int64)
        self.count += chunk[:, 0].size

    def result(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of red, green and blue, whose values go from 0 to 1."""
        mean = self.sums / self.count
        variance = np.maximum(self.squares / self.count - mean**2, 0)
        # One step of 255 at least, so that a channel without any variation can be divided by it.
        return (mean / 255).tolist(), np.maximum(np.sqrt(variance) / 255, 1 / 255).tolist()


def sample_moments(found: Survey) -> tuple[Stats, Stats]:
    """Mean and standard deviation of 2,048 train images (all, where there are fewer), taken at even distances from
    their list, which goes class by class. Decoded once; the cache keeps the numbers.

    Raises:
        DataError: where none of them can be read.
    """
    train, config = found.splits["train"], found.config
    facts = [_FORMAT, found.fingerprint, config.image_size, config.max_images, config.holdout, config.split_seed]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def build(folder: Path) -> dict[str, Any]:
        positions = np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).round().astype(np.int64)
        moments = Moments()
        for chunk, failed in read_images(train.images, train.rows[positions], config.image_size):
            moments.add(np.delete(chunk, [place for place, _ in failed], axis=0))
        if moments.count == 0:
            raise DataError(f"train images must be readable, but none of {len(positions):,} tried is")
        mean, std = moments.result()
        return {"mean": mean, "std": std}

    _, result = cached(cache_folder() / "moments", key, build)
    return cast(Stats, tuple(result["mean"])), cast(Stats, tuple(result["std"]))
