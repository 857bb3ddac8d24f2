"""What a repeated call holds at its peak: known allocations, whatever this process did before."""

import sys
from collections.abc import Callable

import pytest
import torch

from nas import device_memory
from nas.device import Compute
from nas.device_memory import give_back_memory, gpu_memory_bytes, peak_bytes_added, private_bytes

MIB = 1 << 20
CPU = Compute()
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def holding(kept: int, used: int) -> Callable[[], Callable[[], None]]:
    """Builds a call that keeps so many MiB for as long as it lives, and uses so many while it runs."""

    def build() -> Callable[[], None]:
        own = torch.ones(kept * MIB // 4)

        def call() -> None:
            own.add_(torch.ones(used * MIB // 4).sum())

        return call

    return build


@on_linux
@pytest.mark.parametrize(("kept", "used"), [(0, 64), (64, 16), (16, 64)])
def test_a_known_amount(kept: int, used: int) -> None:
    assert peak_bytes_added(holding(kept, used), CPU) == pytest.approx((kept + used) * MIB, abs=2 * MIB)


@on_linux
def test_what_was_held_before_and_what_stays_for_good_do_not_count() -> None:
    high = torch.ones(256 * MIB // 4)
    del high
    held, stays = torch.ones(32 * MIB // 4), []

    def build() -> Callable[[], None]:
        call = holding(16, 16)()
        stays.append(torch.ones(24 * MIB // 4))
        return call

    assert peak_bytes_added(build, CPU) == pytest.approx(32 * MIB, abs=2 * MIB)
    assert held.sum() > stays[0].sum()


def test_what_a_call_raises_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        peak_bytes_added(lambda: lambda: [1 // 0].clear(), CPU)


@on_linux
@pytest.mark.parametrize(("marks", "peak"), [((100, 150), 120), ((150, 150), None)])
def test_a_mark_that_cannot_be_reset_tells_what_is_above_it(
    marks: tuple[int, int], peak: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = iter(marks)
    monkeypatch.setattr(device_memory, "_peak_bytes", lambda _: next(reads))
    monkeypatch.setattr(device_memory, "_bytes_in_use", lambda _: 30)
    assert peak_bytes_added(holding(0, 1), CPU) == peak


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_bytes_added(holding(0, 1), CPU) is None


def test_private_memory_grows_with_what_is_held() -> None:
    before = private_bytes()
    held = torch.ones(64 * MIB // 4)
    assert private_bytes() - before > 60 * MIB
    assert held.numel()
    give_back_memory(CPU)


@pytest.mark.parametrize(("device", "index"), [("cuda", None), ("cuda:1", 1)])
def test_a_gpus_memory_is_the_fraction_that_torch_was_told(
    device: str, index: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, fraction = {index: (1000, 8000)}, {index: 0.25}
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory.__getitem__)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", fraction.__getitem__)
    assert gpu_memory_bytes(Compute(device=device)) == 2000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_known_amount_on_a_gpu() -> None:
    def build() -> Callable[[], None]:
        own = torch.ones(16 * MIB // 4, device="cuda")
        return lambda: [own.add_(torch.ones(64 * MIB // 4, device="cuda").mean())].clear()

    compute = Compute(device="cuda")
    assert peak_bytes_added(build, compute) == pytest.approx(80 * MIB, abs=2 * MIB)
    assert gpu_memory_bytes(compute) > 1 << 30
