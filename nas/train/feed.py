"""What a final training sees: augmented batches of a phase, and the images that it is evaluated on."""

from collections.abc import Iterator

from torch import Tensor

from nas.data import Skipped, Split
from nas.train.cached import Cached
from nas.train.feed_data import FeedData
from nas.train.job import TrainJob
from nas.train.loop import eval_batch_size
from nas.train.model_data import ModelData
from nas.train.schedule import Phase
from nas.train.streamed import Streamed

__all__ = ["Feed"]


class Feed:
    """A job's data, from the cache or streamed as `job.data_mode` says.

    Attributes:
        fingerprints: of the images that are trained on, and of those that are evaluated on.
        normalisation: of pixels.
        classes: names, in the order of the labels.
        skipped: images that could not be read.
        advice: what helps where the step waits for images.
        ahead: batches that are decoded before they are asked for, at most.
    """

    def __init__(self, job: TrainJob, *, loader_workers: int | None = None, data: FeedData | None = None) -> None:
        """Make the job's data ready.

        Args:
            loader_workers: processes that decode streamed images; see `default_workers`.
            data: what is ready already, of a job whose images are in the cache.

        Raises:
            ValueError: for a job that does not fit its data.
        """
        self._job = job
        self._source = Cached(job, data) if job.data_mode == "cache" else Streamed(job, loader_workers)
        self.fingerprints = self._source.fingerprints
        self.normalisation = self._source.normalisation
        self.skipped: Skipped = self._source.skipped
        self.advice = self._source.advice
        self.ahead: int = self._source.ahead
        self.classes = self._source.classes
        # The same in all processes of a group; of what is skipped later each knows only its own.
        self._listed = self.counts
        classes, num_images = len(self.classes), self.counts["train"]
        if job.arch.head.num_classes != classes:
            raise ValueError(f"arch must have the data's {classes} classes, got {job.arch.head.num_classes}")
        if job.recipe.batch_size > num_images:
            raise ValueError(f"batch_size must be at most {num_images}, the train images, got {job.recipe.batch_size}")

    @property
    def counts(self) -> dict[Split, int]:
        """Images of each split. Those that cannot be read are left out, but for streamed train images."""
        return self._source.counts

    @property
    def model_data(self) -> ModelData:
        """What a model that is trained on these needs to know of them."""
        return ModelData(
            classes=self.classes,
            normalisation=self.normalisation,
            eval_size=self._job.recipe.eval_size,
            num_images={str(split): count for split, count in self.counts.items()},
        )

    def train_batches(
        self, phase: Phase, *, start: int, stop: int, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Of steps `start` to `stop` - 1, as `phase` has them: normalised images (B, 3, S, S) and labels (B).

        Args:
            rank, world: of each batch, the `rank`-th of `world` parts alone, B / world images; see `part_of_batch`.

        Raises:
            DataError: where too many images cannot be read.
        """
        return self._source.train_batches(phase, start=start, stop=stop, rank=rank, world=world)

    def eval_batches(self, split: Split, *, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Each readable image of a split once, in one of `world` processes, at the evaluation size, normalised as the
        train images are.

        Raises:
            DataError: where too many images cannot be read.
        """
        batch_size = min(eval_batch_size(self._job.recipe.eval_size), -(-self._listed[split] // world))
        return self._source.eval_batches(split, batch_size, rank=rank, world=world)

    def close(self) -> None:
        """End the processes that decode."""
        self._source.close()
