"""Digits as batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data import DataConfig, DeviceImages, eval_batches, prepare, train_batches
from nas.device import Compute
from nas.train import FullOptions, TrainJob, TrainLength
from scaling import ProgressiveRecipe, Ramp, SizeRamp
from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec

Batches = Iterator[tuple[Tensor, Tensor]]


@pytest.fixture(scope="session")
def digits(digits_cache: Path) -> dict[str, DeviceImages]:
    data = prepare(DataConfig(data="digits", image_size=8), cache=digits_cache)
    return {split: DeviceImages(data.split(split), mean=data.mean, std=data.std) for split in ("train", "holdout")}


@pytest.fixture
def digit_batches(digits: dict[str, DeviceImages]) -> Callable[..., Batches]:
    """So many batches of 64 digits to train on."""

    def make(steps: int, *, seed: int = 0) -> Batches:
        generator = torch.Generator().manual_seed(seed)
        return train_batches(digits["train"], batch_size=64, steps=steps, generator=generator)

    return make


@pytest.fixture
def held_out(digits: dict[str, DeviceImages]) -> Callable[..., Batches]:
    """The digits held out, each once."""

    def make(batch_size: int = 100) -> Batches:
        return eval_batches(digits["holdout"], batch_size=batch_size)

    return make


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture
def random_batches() -> Callable[[int], Batches]:
    """So many batches of 8 random images of 2x2 pixels, of 3 classes."""

    def make(count: int) -> Batches:
        generator = torch.Generator().manual_seed(0)
        for _ in range(count):
            yield torch.randn(8, 3, 2, 2, generator=generator), torch.randint(3, (8,), generator=generator)

    return make


@pytest.fixture(scope="session")
def small_job() -> TrainJob:
    """33 steps in 3 phases on digits of 8 to 12 pixels, evaluated at 14, with all that is random in a training."""
    arch = ArchSpec(
        stem=StemSpec(width=8, stride=1),
        stages=(StageSpec(op="mbconv", width=8, depth=2, stride=1, expansion=2, se_ratio=0.25),),
        head=HeadSpec(width=16, num_classes=10),
    )
    recipe = ProgressiveRecipe(
        train_size=SizeRamp(8, 12),
        eval_size=14,
        randaugment=Ramp(1, 3),
        mixup=Ramp(0, 0.2),
        cutmix=Ramp(0, 0.2),
        dropout=Ramp(0.1, 0.3),
        stochastic_depth=0.2,
        batch_size=64,
        epochs=3,
        phases=3,
    )
    return TrainJob(
        arch=arch,
        recipe=recipe,
        options=FullOptions.of("sgd", min_crop_area=0.5),
        data=DataConfig(data="digits", image_size=12),
        length=TrainLength(steps=33),
        compute=Compute(),
        seed=3,
    )
