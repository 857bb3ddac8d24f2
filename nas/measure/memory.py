"""Peak memory of a training step, and the largest batch that fits: measured, with the network and step of a training.

On CUDA the batch is doubled until a step runs out of memory, then bisected. On a CPU running out of memory harms the
machine: there a step is measured at two batch sizes, and the largest batch is told by the straight line through them
(from 32 and 64 images it said 325.6 MB for 256, measured were 325.4).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nas.device import Compute
from nas.device_memory import give_back_memory, gpu_memory_bytes, peak_bytes_added, private_bytes
from nas.measure.networks import training_step_call
from nas.train import Recipe
from search_space import ArchSpec

__all__ = ["TrainingMemory", "batch_on_a_line", "largest_batch", "measure_training_memory"]

LARGEST_BATCH = 65536
HEAP_MARGIN = 2.0
"""A training's heap held up to 1.9 times what is in use (nas/device_memory.py), so that much room it must have."""


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Memory that a training step of one network takes on one device.

    Attributes:
        batch_size: images of the step.
        peak_bytes: the most that the step holds (weights, gradients, optimizer state, activations, images): of torch's
            allocator on CUDA, resident memory that it adds to the process on a CPU. None where the system does not say.
        limit_bytes: memory that the largest batch has to fit in: the device's on CUDA, the process's on a CPU. None
            where there is no limit.
        largest_batch: images of the largest step that fits, 0 for none; at most 65,536, and on CUDA up to 6 % more may
            fit. None where the peak or the limit is.
    """

    batch_size: int
    peak_bytes: int | None
    limit_bytes: int | None
    largest_batch: int | None


def measure_training_memory(
    arch: ArchSpec,
    *,
    recipe: Recipe,
    compute: Compute,
    batch_size: int,
    image_size: int,
    limit_bytes: int | None = None,
) -> TrainingMemory:
    """Take training steps of `arch` and read how much memory they hold.

    On CUDA it fills the device: within the lane (nas/lane.py), or others run out of memory. What others hold there
    meanwhile makes the largest batch smaller.

    Args:
        batch_size: images, of `image_size` pixels a side.
        limit_bytes: private memory that this process may hold on a CPU; a CUDA device has its own limit.

    Raises:
        torch.OutOfMemoryError: on CUDA, where not even `batch_size` fits.
        ValueError: for a batch of one image, of which batch norm can take no statistics.
    """

    def peak_of(size: int) -> int | None:
        def build() -> Callable[[], None]:
            return training_step_call(
                arch,
                recipe=recipe,
                compute=compute,
                batch_size=size,
                image_size=image_size,
                generator=torch.Generator().manual_seed(0),
            )

        return peak_bytes_added(build, compute)

    def fits(size: int) -> bool:
        try:
            peak_of(size)
        except torch.OutOfMemoryError:
            return False
        return True

    if compute.is_cuda:
        peak = peak_of(batch_size)
        limit_bytes = gpu_memory_bytes(compute)
        largest: int | None = largest_batch(fits, batch_size, max(batch_size, LARGEST_BATCH))
        give_back_memory(compute)
    else:
        other_size = batch_size // 2 if batch_size >= 4 else 2 * batch_size
        # The smaller first: where the high-water mark cannot be reset, it only goes up.
        peaks = {size: peak_of(size) for size in sorted((batch_size, other_size))}
        peak, other = peaks[batch_size], peaks[other_size]
        largest = None
        if peak is not None and other is not None and limit_bytes is not None:
            room = (limit_bytes - private_bytes()) / HEAP_MARGIN
            largest = batch_on_a_line((other_size, other), (batch_size, peak), room, LARGEST_BATCH)
    return TrainingMemory(batch_size=batch_size, peak_bytes=peak, limit_bytes=limit_bytes, largest_batch=largest)


def largest_batch(fits: Callable[[int], bool], start: int, cap: int) -> int:
    """The largest batch that fits, to a sixteenth: it fits, and one of a sixteenth (at least 1) more does not, or it is
    `cap`. `start` fits and is not tried.

    Raises:
        ValueError: where `start` is not from 1 to `cap`.
    """
    if not 1 <= start <= cap:
        raise ValueError(f"start must be from 1 to {cap}, got {start}")
    fitting = start
    while fitting < cap:
        trying = min(2 * fitting, cap)
        if not fits(trying):
            return _bisected(fits, fitting, trying)
        fitting = trying
    return cap


def _bisected(fits: Callable[[int], bool], fitting: int, too_large: int) -> int:
    while too_large - fitting > max(1, fitting // 16):
        middle = (fitting + too_large) // 2
        if fits(middle):
            fitting = middle
        else:
            too_large = middle
    return fitting


def batch_on_a_line(one: tuple[int, int], other: tuple[int, int], room: float, cap: int) -> int:
    """The largest batch, from 0 to `cap`, whose bytes on the line through two (batch, bytes) are at most `room`."""
    (batch, held), (other_batch, other_held) = sorted((one, other))
    per_image = (other_held - held) / (other_batch - batch)
    if per_image <= 0:
        return cap if held <= room else 0
    return int(min(max(0.0, batch + (room - held) / per_image), cap))
