"""The step time of a network: its training step and the reference's, built and timed in turn."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import torch

from nas.device import Compute, DType, describe_device, held_bytes
from nas.measure.step_time import Conditions, Interval, Precision, Samples, StepTime, interval, time_in_turn
from nas.train import Recipe, TrainingStep, make_optimizer
from search_space import ArchSpec, build_network

__all__ = ["conditions_here", "measure_dtype_gain", "measure_step_time", "random_state_kept", "training_step_call"]


def conditions_here(*, recipe: Recipe, compute: Compute, batch_size: int, image_size: int) -> Conditions:
    """The conditions of a measurement in this process."""
    return Conditions.of(
        describe_device(compute), recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size
    )


def random_state_kept(compute: Compute) -> AbstractContextManager[None]:
    """A block after which torch's own generators are as before: dropout and drop path draw from them."""
    return torch.random.fork_rng([torch.device(compute.device)] if compute.is_cuda else [])


def training_step_call(
    arch: ArchSpec, *, recipe: Recipe, compute: Compute, batch_size: int, image_size: int, generator: torch.Generator
) -> Callable[[], None]:
    """One training step of a fresh network on one fixed random batch, as a call.

    Raises:
        ValueError: for a batch of one image, of which batch norm can take no statistics.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, got {batch_size}")
    network = build_network(arch, dropout=recipe.dropout, drop_path=recipe.drop_path, generator=generator).train()
    compute.place(network)
    step = TrainingStep(network, make_optimizer(network, recipe), recipe, compute)
    images = compute.place_images(torch.randn(batch_size, 3, image_size, image_size, generator=generator))
    labels = torch.randint(arch.head.num_classes, (batch_size,), generator=generator).to(compute.device)

    def call() -> None:
        step(images, labels)

    return call


def measure_step_time(
    arch: ArchSpec,
    reference: ArchSpec,
    *,
    recipe: Recipe,
    compute: Compute,
    batch_size: int,
    image_size: int,
    seed: int = 0,
    precision: Precision | None = None,
) -> StepTime:
    """Time a training step of `arch` against one of `reference`, of `batch_size` images at `image_size` px, until the
    ratio is known as `precision` asks (None: its defaults) or it says to end; `StepTime.precise` tells which.
    """
    precision = precision or Precision()
    generator = torch.Generator().manual_seed(seed)
    candidate_call, reference_call = (
        training_step_call(
            spec, recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size, generator=generator
        )
        for spec in (arch, reference)
    )
    samples = _timed_in_turn(candidate_call, reference_call, compute, precision)
    conditions = conditions_here(recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size)
    return StepTime.of(samples, conditions, width=precision.width)


def measure_dtype_gain(
    arch: ArchSpec, *, recipe: Recipe, compute: Compute, batch_size: int, image_size: int, precision: Precision
) -> Interval:
    """How many times as fast a training step of `arch` is in bfloat16 as in float32, the two timed in turn."""
    generator = torch.Generator().manual_seed(0)
    dtypes: tuple[DType, ...] = ("float32", "bfloat16")
    slow, fast = (
        training_step_call(
            arch,
            recipe=recipe,
            compute=replace(compute, dtype=dtype),
            batch_size=batch_size,
            image_size=image_size,
            generator=generator,
        )
        for dtype in dtypes
    )
    return interval(_timed_in_turn(slow, fast, compute, precision).ratios)


def _timed_in_turn(
    candidate: Callable[[], None], reference: Callable[[], None], compute: Compute, precision: Precision
) -> Samples:
    with random_state_kept(compute):
        return time_in_turn(
            candidate,
            reference,
            new_clock=compute.clock,
            precision=precision,
            held_bytes=lambda: held_bytes(compute),
        )
