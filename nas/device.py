"""The one seam between this project and the hardware: how a process is set up, a step is run, and time is read.

What is fastest on a CPU was measured (docs/log.md): one thread a trial, float32, channels_last, and glibc's allocator
told to keep its memory. bfloat16 pays on a CPU that has instructions for it, so a search times both and decides.

torch is imported by what needs it: a driver and a worker that hand a `Compute` on stay without.
"""

import ctypes
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from nas.container import cpu_quota
from results.provenance import cpu_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "Compute",
    "DType",
    "StepClock",
    "describe_device",
    "gpu_uuid",
    "held_bytes",
    "keep_freed_memory",
    "num_processors",
    "num_visible_processors",
    "set_up_process",
    "synchronize",
]

DType = Literal["float32", "bfloat16", "float16"]

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def num_visible_processors() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_processors() -> int:
    """Those whose time it may use: a container may be given less than it sees."""
    visible, quota = num_visible_processors(), cpu_quota()
    return visible if quota is None else max(1, min(visible, int(quota)))


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and in which form a network is trained; a step time is only comparable under an equal `Compute`.

    `dtype` bfloat16 or float16 means autocast: weights stay float32. float16 is for CUDA, and for a training that
    scales its losses.
    """

    device: str = "cpu"
    threads: int = 1
    dtype: DType = "float32"
    channels_last: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", self.device):
            raise ValueError(f"Compute.device must be cpu, cuda or cuda:N, got {self.device!r}")
        if self.dtype not in get_args(DType):
            raise ValueError(f"Compute.dtype must be one of {', '.join(get_args(DType))}, got {self.dtype!r}")
        if self.dtype == "float16" and not self.is_cuda:
            raise ValueError(f"Compute.dtype float16 must be on a CUDA device, got device {self.device!r}")
        if self.threads < 1:
            raise ValueError(f"Compute.threads must be at least 1, got {self.threads}")

    @property
    def is_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == "float32":
            return nullcontext()
        import torch

        return torch.autocast(self.device.split(":")[0], dtype=getattr(torch, self.dtype))

    def place(self, network: "nn.Module") -> "nn.Module":
        """`network` on the device, in the memory format; in place."""
        import torch

        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        return network.to(self.device)

    def place_images(self, images: "Tensor") -> "Tensor":
        """(N, C, H, W) images on the device, in the memory format."""
        import torch

        images = images.to(self.device, non_blocking=True)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def clock(self) -> "StepClock":
        """The clock that a training step is timed with here."""
        if self.is_cuda:
            return CudaEventClock(self.device)
        return CallClock(time.process_time if self.threads == 1 else time.perf_counter)


class StepClock(Protocol):
    """Times single calls; the seconds may be known only when they are asked for."""

    def time(self, call: Callable[[], None]) -> None: ...

    def seconds(self) -> list[float]:
        """Seconds of each call timed so far, in order."""
        ...


class CallClock:
    """Reads a counter before and after each call.

    With one thread the counter is the process's CPU time, which a busy neighbour disturbs far less than wall time
    (docs/log.md); with several threads CPU time adds them up, so wall time is read.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seconds: list[float] = []

    def time(self, call: Callable[[], None]) -> None:
        start = self._now()
        call()
        self._seconds.append(self._now() - start)

    def seconds(self) -> list[float]:
        return list(self._seconds)


class CudaEventClock:
    """CUDA events around each call on the current stream; the host waits only when the seconds are asked for."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def time(self, call: Callable[[], None]) -> None:
        import torch

        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        self._pairs.append((start, end))

    def seconds(self) -> list[float]:
        import torch

        torch.cuda.synchronize(self._device)
        return [start.elapsed_time(end) / 1000 for start, end in self._pairs]


def set_up_process(compute: Compute) -> None:
    """Once at the start of a process that trains: threads, allocator, and the CUDA device with autotuning."""
    import torch

    torch.set_num_threads(compute.threads)
    if compute.is_cuda:
        # A name without an index is the current device, which torch refuses to be set to.
        if torch.device(compute.device).index is not None:
            torch.cuda.set_device(compute.device)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    else:
        keep_freed_memory(True)


def keep_freed_memory(keep: bool) -> None:
    """Whether glibc keeps what is freed, for the next step to take it again, or maps every large block by itself and
    gives it back at once: slower, but then what is held is what is used. Without glibc it does nothing."""
    libc = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30 if keep else 1 << 16)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1 if keep else 1 << 16)


def synchronize(compute: Compute) -> None:
    """Wait until the device has done all that this process gave it."""
    if compute.is_cuda:
        import torch

        torch.cuda.synchronize(compute.device)


def held_bytes(compute: Compute) -> int:
    """Memory that the CUDA allocator has taken from the device; 0 on a CPU, whose allocator does not say."""
    if not compute.is_cuda:
        return 0
    import torch

    return int(torch.cuda.memory_reserved(compute.device))


def describe_device(compute: Compute) -> str:
    """The device's model name, as it stands beside every measured figure."""
    if compute.is_cuda:
        import torch

        return str(torch.cuda.get_device_name(compute.device))
    return cpu_name()


def gpu_uuid(compute: Compute) -> str:
    """What tells the physical GPU of a CUDA device from all others, whatever its number is in this process."""
    import torch

    return str(torch.cuda.get_device_properties(compute.device).uuid)
