"""Digits as batches."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data import DataConfig, DeviceImages, eval_batches, prepare, train_batches

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
