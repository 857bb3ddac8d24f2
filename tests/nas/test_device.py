"""Where a network is computed: the rules of `Compute`, its clocks, and what a process is set up with."""

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from nas.device import (
    CallClock,
    Compute,
    CudaEventClock,
    describe_device,
    set_up_process,
    synchronize,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def _settings_restored(one_thread: None) -> Iterator[None]:
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = benchmark
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize(("device", "is_cuda"), [("cpu", False), ("cuda", True), ("cuda:0", True), ("cuda:13", True)])
def test_devices_that_there_are(device: str, is_cuda: bool) -> None:
    assert Compute(device=device).is_cuda is is_cuda


@pytest.mark.parametrize("device", ["", "tpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:0:1", "cuda:0\n"])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match=r"Compute\.device must be cpu, cuda or cuda:N, got") as raised:
        Compute(device=device)
    assert repr(device) in str(raised.value)


def test_the_other_rules_of_compute() -> None:
    with pytest.raises(ValueError, match=r"Compute\.dtype must be one of float32, bfloat16, float16, got 'int8'"):
        Compute(dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="float16 must be on a CUDA device, got device 'cpu'"):
        Compute(dtype="float16")
    assert Compute(device="cuda", dtype="float16").dtype == "float16"
    with pytest.raises(ValueError, match=r"Compute\.threads must be at least 1, got 0"):
        Compute(threads=0)


def test_autocast_is_not_for_float32() -> None:
    layer, images = nn.Linear(4, 2), torch.ones(3, 4)
    with Compute().autocast():
        assert layer(images).dtype == torch.float32
    with Compute(dtype="bfloat16").autocast():
        assert layer(images).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize("channels_last", [True, False])
def test_network_and_images_get_the_memory_format(channels_last: bool) -> None:
    compute = Compute(channels_last=channels_last)
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert compute.place(network) is network
    images = compute.place_images(torch.zeros(2, 3, 8, 8))
    for tensor in (network[0].weight, images):
        assert tensor.is_contiguous(memory_format=torch.channels_last) is channels_last


def counter(*values: float) -> Callable[[], float]:
    return iter(values).__next__


def test_call_clock_reads_before_and_after_each_call() -> None:
    clock = CallClock(counter(10.0, 11.0, 20.0, 22.5))
    calls: list[str] = []
    clock.time(lambda: calls.append("first"))
    assert clock.seconds() == [1.0]
    clock.time(lambda: calls.append("second"))
    clock.seconds().clear()
    assert clock.seconds() == [1.0, 2.5]
    assert calls == ["first", "second"]


def test_a_call_that_raises_is_not_counted() -> None:
    clock = CallClock(counter(0.0, 1.0, 2.0))
    with pytest.raises(ZeroDivisionError):
        clock.time(lambda: [1 // 0].clear())
    clock.time(lambda: None)
    assert clock.seconds() == [1.0]


@pytest.mark.parametrize(("threads", "counter_name"), [(1, "process_time"), (2, "perf_counter")])
def test_one_thread_is_timed_by_cpu_time(threads: int, counter_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(time, counter_name, counter(5.0, 8.0))
        clock = Compute(threads=threads).clock()
        clock.time(lambda: None)
    assert clock.seconds() == [3.0]


class FakeEvents:
    """Stands in for `torch.cuda.Event` and `synchronize`, and writes down in which order they are called."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.made = 0

    def event(self, enable_timing: bool = False) -> "FakeEvent":
        assert enable_timing, "an event without timing cannot be read"
        self.made += 1
        return FakeEvent(self, self.made - 1)

    def synchronize(self, device: str) -> None:
        self.order.append(f"synchronize {device}")


class FakeEvent:
    def __init__(self, events: FakeEvents, number: int) -> None:
        self.events, self.number = events, number

    def record(self) -> None:
        self.events.order.append(f"record {self.number}")

    def elapsed_time(self, end: "FakeEvent") -> float:
        """Milliseconds: 1,000 for events 0 and 1, 3,000 for 2 and 3."""
        self.events.order.append(f"read {self.number} {end.number}")
        return 1000.0 * (self.number + 1)


def test_cuda_clock_records_around_the_call_and_waits_once_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeEvents()
    monkeypatch.setattr(torch.cuda, "Event", fake.event)
    monkeypatch.setattr(torch.cuda, "synchronize", fake.synchronize)
    clock = Compute(device="cuda:1").clock()
    assert isinstance(clock, CudaEventClock)
    for name in ("first", "second"):
        clock.time(lambda name=name: fake.order.append(name))  # type: ignore[misc]
    assert fake.order == ["record 0", "first", "record 1", "record 2", "second", "record 3"]
    fake.order.clear()
    assert clock.seconds() == [1.0, 3.0]
    assert fake.order == ["synchronize cuda:1", "read 0 1", "read 2 3"]


def test_a_process_gets_its_threads() -> None:
    set_up_process(Compute(threads=2))
    assert torch.get_num_threads() == 2
    set_up_process(Compute())
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("device", "made_current"), [("cuda", []), ("cuda:1", ["cuda:1"])])
def test_a_process_on_cuda(device: str, made_current: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # torch refuses to make a device without an index the current one.
    chosen: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    set_up_process(Compute(device=device))
    assert chosen == made_current
    assert torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"


def test_the_device_says_its_name() -> None:
    assert describe_device(Compute()).strip()


def test_a_cpu_is_idle_when_a_call_returns_and_cuda_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for device in ("cpu", "cuda:1"):
        synchronize(Compute(device=device))
    assert waited == ["cuda:1"]


@pytest.mark.gpu
@needs_cuda
def test_cuda_itself() -> None:
    compute = Compute(device="cuda")
    set_up_process(compute)
    clock = compute.clock()
    matrix = torch.ones(512, 512, device="cuda")
    for _ in range(3):
        clock.time(lambda: [matrix.matmul(matrix)].clear())
    assert len(clock.seconds()) == 3
    assert all(seconds >= 0 for seconds in clock.seconds())
    assert describe_device(compute)
