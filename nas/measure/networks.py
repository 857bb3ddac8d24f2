"""The step time of a network: its training step and the reference's, built and timed in turn."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from nas.device import Compute, describe_device, held_bytes
from nas.measure.step_time import Conditions, Precision, StepTime, time_in_turn
from nas.train import Recipe, TrainingStep, make_optimizer
from search_space import ArchSpec, build_network

__all__ = ["conditions_here", "measure_step_time", "random_state_kept", "training_step_call"]


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
    with random_state_kept(compute):
        samples = time_in_turn(
            candidate_call,
            reference_call,
            new_clock=compute.clock,
            precision=precision,
            held_bytes=lambda: held_bytes(compute),
        )
    conditions = conditions_here(recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size)
    return StepTime.of(samples, conditions, width=precision.width)
