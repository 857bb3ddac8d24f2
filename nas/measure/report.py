"""What `nas measure` asks of a device: which one it is, and what a network's step and a space's parts take on it.

Each function is run in a child process of its own (nas.isolate); the values that go there and come back need no torch.
On a GPU that a search trains on, its trials wait meanwhile (nas/lane.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.device import Compute, describe_device, set_up_process
from nas.lane import lane_of
from nas.measure.calibration import Calibration
from nas.measure.parts import Part
from nas.measure.step_time import Precision, StepTime
from nas.train import Recipe
from search_space import ArchSpec, Space
from search_space.spec import check_integer

__all__ = ["NetworkReport", "Setting", "calibrate_space", "find_calibration", "find_device", "measure_network"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What networks are measured under: batches of `batch_size` images of `image_size` px a side, a step of `recipe`,
    and `space` for its reference network and its calibration."""

    space: Space
    recipe: Recipe
    compute: Compute
    batch_size: int
    image_size: int

    def __post_init__(self) -> None:
        check_integer("Setting", "batch_size", self.batch_size, 2, 1 << 20)
        check_integer("Setting", "image_size", self.image_size, 1, 1 << 14)


@dataclass(frozen=True, kw_only=True)
class NetworkReport:
    """What was measured of one network.

    Attributes:
        step_time: against the reference; None where there was none.
        peak_bytes: the most memory that a training step holds; None where that is not known.
        largest_batch: images of the largest batch that fits into the memory; None where that is not known.
    """

    step_time: StepTime | None
    peak_bytes: int | None
    largest_batch: int | None


def find_device(choice: str) -> tuple[str, str] | None:
    """(torch's name, the model's name) of `cpu`, of `cuda`, or with `auto` of cuda where there is one and of the
    processor elsewhere; None for `cuda` where there is none."""
    import torch

    has_cuda = choice != "cpu" and torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        return None
    device = "cuda" if has_cuda else "cpu"
    return device, describe_device(Compute(device=device))


def measure_network(
    arch: ArchSpec, reference: ArchSpec | None, setting: Setting, precision: Precision, limit_bytes: int | None
) -> NetworkReport:
    """Time a training step of `arch` in turn with `reference`'s (None: not at all), then take its memory.

    Args:
        limit_bytes: memory that the largest batch may hold; None for the device's own.
    """
    from nas.measure.memory import measure_training_memory
    from nas.measure.networks import measure_step_time

    compute, batch_size, image_size = setting.compute, setting.batch_size, setting.image_size
    set_up_process(compute)
    step_time = None
    with lane_of(compute).measuring():
        if reference is not None:
            step_time = measure_step_time(
                arch,
                reference,
                recipe=setting.recipe,
                compute=compute,
                batch_size=batch_size,
                image_size=image_size,
                precision=precision,
            )
        memory = measure_training_memory(
            arch,
            recipe=setting.recipe,
            compute=compute,
            batch_size=batch_size,
            image_size=image_size,
            limit_bytes=limit_bytes,
        )
    return NetworkReport(step_time=step_time, peak_bytes=memory.peak_bytes, largest_batch=memory.largest_batch)


def find_calibration(setting: Setting) -> Calibration | None:
    """The kept calibration of the space for exactly this setting; None where there is none."""
    from nas.measure.block_table import kept_calibration

    set_up_process(setting.compute)
    return kept_calibration(
        setting.space,
        recipe=setting.recipe,
        compute=setting.compute,
        batch_size=setting.batch_size,
        image_size=setting.image_size,
    )


def calibrate_space(setting: Setting, parts: Sequence[Part] | None = None) -> Calibration:
    """Time every part of the space's networks, or `parts` alone, and keep the result; what was kept before is in it."""
    from nas.measure.block_table import calibrate

    set_up_process(setting.compute)
    with lane_of(setting.compute).measuring():
        return calibrate(
            setting.space,
            recipe=setting.recipe,
            compute=setting.compute,
            batch_size=setting.batch_size,
            image_size=setting.image_size,
            parts=parts,
        )
