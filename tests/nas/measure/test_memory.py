"""Memory of a training step and the largest batch: the search, a GPU that is made up, real steps."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.device import Compute, set_up_process
from nas.measure import memory as memory_module
from nas.measure.memory import TrainingMemory, batch_on_a_line, largest_batch, measure_training_memory
from nas.train import Recipe
from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec

CAP = 4096


@given(st.integers(1, CAP), st.integers(1, 2 * CAP))
def test_the_largest_batch_is_that_of_brute_force_to_a_sixteenth(start: int, most: int) -> None:
    most = max(start, most)
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= most

    found = largest_batch(fits, start, CAP)
    largest = next(size for size in range(CAP, 0, -1) if size <= most)
    assert largest - max(1, found // 16) < found <= largest
    assert found == CAP or found <= most
    assert start not in tried, "it is known to fit"
    assert len(tried) == len(set(tried)) <= 13 + 5
    assert max(tried, default=0) <= min(CAP, 2 * largest), "a batch far too large is a danger to others"


@pytest.mark.parametrize("start", [0, -1, 17])
def test_a_start_out_of_range_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match=f"start must be from 1 to 16, got {start}"):
        largest_batch(lambda _: True, start, 16)


@given(st.integers(0, 10**6), st.integers(1, 10**4), st.integers(2, 500), st.integers(0, 10**7))
def test_on_a_line_the_largest_batch_is_that_of_brute_force(fixed: int, per_image: int, batch: int, room: int) -> None:
    points = [(size, fixed + per_image * size) for size in (batch, batch // 2)]
    for one, other in (points, points[::-1]):
        found = batch_on_a_line(one, other, room, CAP)
        assert 0 <= found <= CAP
        # The division may round to the other side of an image that fits to the byte.
        assert found == 0 or fixed + per_image * found <= room + per_image
        assert found == CAP or fixed + per_image * (found + 1) > room


def test_a_line_that_does_not_rise_says_all_or_nothing() -> None:
    assert batch_on_a_line((4, 100), (8, 100), 100, CAP) == CAP
    assert batch_on_a_line((4, 100), (8, 90), 99, CAP) == 0


@dataclass
class FakeGpu:
    """An allocator of `total` bytes; a training step keeps `fixed`, uses `per_image`, and `workspace` at first."""

    total: int
    fixed: int = 1000
    per_image: int = 10
    workspace: int = 0
    in_use: int = 500
    peak: int = 0
    caches_emptied: int = 0

    def take(self, size: int) -> None:
        if self.in_use + size > self.total:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {size} bytes")
        self.in_use += size
        self.peak = max(self.peak, self.in_use)

    def give(self, size: int) -> None:
        self.in_use -= size

    def reset(self, device: str) -> None:
        self.peak = self.in_use

    def empty_cache(self) -> None:
        self.caches_emptied += 1

    def training_step_call(self, arch: ArchSpec, *, batch_size: int, **_: Any) -> Callable[[], None]:
        self.take(self.fixed)
        once = self.workspace

        def call() -> None:
            nonlocal once
            used = batch_size * self.per_image + once
            once = 0
            self.take(used)
            self.give(used)

        weakref.finalize(call, self.give, self.fixed)
        return call

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory_module, "training_step_call", self.training_step_call)
        for name, function in {
            "memory_allocated": lambda _: self.in_use,
            "max_memory_allocated": lambda _: self.peak,
            "reset_peak_memory_stats": self.reset,
            "empty_cache": self.empty_cache,
            "mem_get_info": lambda _: (self.total - self.in_use, self.total),
            "get_per_process_memory_fraction": lambda _: 1.0,
        }.items():
            monkeypatch.setattr(torch.cuda, name, function)
        # Among all that a test process holds each look takes half a second, and what is made up here has no cycles.
        monkeypatch.setattr("gc.collect", lambda: 0)


def measured(arch: ArchSpec, batch_size: int, **settings: Any) -> TrainingMemory:
    conditions: dict[str, Any] = {"recipe": Recipe(), "compute": Compute(), "image_size": 32}
    return measure_training_memory(arch, batch_size=batch_size, **(conditions | settings))


def test_on_cuda_the_largest_batch_is_tried(tiny_arch: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu(total=21_500)
    gpu.install(monkeypatch)
    found = measured(tiny_arch, 64, compute=Compute(device="cuda:0"), limit_bytes=1)
    assert (found.batch_size, found.peak_bytes, found.limit_bytes) == (64, 1640, 21_500)
    assert found.largest_batch is not None
    assert 2000 * 16 / 17 <= found.largest_batch <= 2000
    assert gpu.in_use == 500, "nothing is left of it"
    assert gpu.caches_emptied > 0


def test_on_cuda_the_choice_of_kernels_does_not_count(tiny_arch: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu(total=10**6, workspace=50_000).install(monkeypatch)
    assert measured(tiny_arch, 64, compute=Compute(device="cuda")).peak_bytes == 1640


def test_on_cuda_a_batch_that_does_not_fit_is_an_error(tiny_arch: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu(total=2000).install(monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        measured(tiny_arch, 64, compute=Compute(device="cuda"))


def test_on_cuda_the_search_ends_at_a_cap(tiny_arch: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu(total=10**12).install(monkeypatch)
    assert measured(tiny_arch, 64, compute=Compute(device="cuda")).largest_batch == 65536
    assert measured(tiny_arch, 65537, compute=Compute(device="cuda")).largest_batch == 65537


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_larger_batch_takes_more(dtype: str, tiny_arch: ArchSpec) -> None:
    compute = Compute(dtype=dtype)  # type: ignore[arg-type]
    set_up_process(compute)
    peaks = [measured(tiny_arch, size, compute=compute).peak_bytes or 0 for size in (16, 64, 256)]
    assert peaks[0] > 16 * 3 * 32 * 32 * 4, "the images alone"
    assert all(2 * small < large < 5 * small for small, large in pairwise(peaks))


def test_weights_gradients_and_momentum_are_in_it() -> None:
    arch = ArchSpec(
        stem=StemSpec(width=8, stride=2),
        stages=(StageSpec(op="fused_mbconv", width=8, depth=1, stride=2),),
        head=HeadSpec(width=4096, num_classes=1024),
    )
    set_up_process(Compute())
    assert measured(arch, 2, image_size=8).peak_bytes == pytest.approx(3 * 4 * 4096 * 1024, rel=0.1)


def test_the_largest_batch_follows_the_limit(tiny_arch: ArchSpec) -> None:
    set_up_process(Compute())
    assert measured(tiny_arch, 32).largest_batch is None
    sizes = []
    for limit in (1, 1 << 32, 1 << 33):
        found = measured(tiny_arch, 32, limit_bytes=limit)
        assert found.limit_bytes == limit
        assert found.largest_batch is not None
        sizes.append(found.largest_batch)
    assert sizes[0] == 0
    assert 32 < sizes[1] < sizes[2] <= 65536


@pytest.mark.parametrize("batch_size", [2, 3, 4, 5])
def test_small_batches(batch_size: int, tiny_arch: ArchSpec) -> None:
    found = measured(tiny_arch, batch_size, limit_bytes=1 << 32)
    assert (found.batch_size, found.largest_batch is not None) == (batch_size, True)


def test_a_batch_of_one_is_refused(tiny_arch: ArchSpec) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        measured(tiny_arch, 1)


def test_measuring_leaves_torchs_own_randomness_alone(tiny_arch: ArchSpec) -> None:
    before = torch.get_rng_state()
    measured(tiny_arch, 4, image_size=8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_that_is_there(tiny_arch: ArchSpec) -> None:
    compute = Compute(device="cuda")
    set_up_process(compute)
    torch.cuda.set_per_process_memory_fraction(0.1)
    try:
        small, large = (measured(tiny_arch, size, compute=compute) for size in (32, 64))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert 0 < (small.peak_bytes or 0) < (large.peak_bytes or 0)
    assert small.limit_bytes is not None
    assert small.limit_bytes < torch.cuda.mem_get_info()[1] / 5
    assert 64 <= (large.largest_batch or 0) <= 65536
