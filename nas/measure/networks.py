"""The step time of a network: its training step and the reference's, built and timed in turn."""

from collections.abc import Callable

import torch

from nas.device import Compute
from nas.measure.step_time import ROUNDS, StepTime, time_in_turn
from nas.train import Recipe, TrainingStep, make_optimizer
from search_space import ArchSpec, build_network

__all__ = ["measure_step_time", "training_step_call"]


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
    rounds: int = ROUNDS,
) -> StepTime:
    """Time one training step of `arch` against one of `reference`, of `batch_size` images at `image_size` px."""
    generator = torch.Generator().manual_seed(seed)
    calls = [
        training_step_call(
            spec, recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size, generator=generator
        )
        for spec in (arch, reference)
    ]
    seconds, reference_seconds = time_in_turn(*calls, new_clock=compute.clock, rounds=rounds)
    return StepTime.of(seconds, reference_seconds, batch_size=batch_size, image_size=image_size)
