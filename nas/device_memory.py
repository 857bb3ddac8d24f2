"""The memory half of the seam to the hardware (nas/device.py): what a training step holds at its peak.

On a CPU that is resident memory. glibc's heap, as training uses it, breaks into pieces that differ from process to
process: it held 1.1 to 1.9 times what was in use, and over 5 processes its peak spread by up to 20 %. So a measurement
runs in a thread of its own, which has a heap of its own, and every large block is mapped by itself: for 3 networks of
efficientnetv2-tiny (batch 64, 32 px) and efficientnetv2_s (batch 8, 64 px), 5 fresh processes each, the peaks then lie
within 0.6 % of each other and 1 % of the running sum of torch's allocations (torch.profiler), also after trainings in
the same process. (torch 2.14, glibc 2.36, one thread, float32, channels_last.)
"""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from nas.device import Compute, keep_freed_memory

__all__ = ["give_back_memory", "gpu_memory_bytes", "is_out_of_memory", "peak_bytes_added", "private_bytes"]

Build = Callable[[], Callable[[], None]]
"""Makes a call to repeat. All that it makes goes away with the call."""


def peak_bytes_added(build: Build, compute: Compute) -> int | None:
    """The most that a repeated call holds, over what is left when it is gone.

    The call is made twice, and the peak is that of the second time: the first chooses kernels, for which cuDNN takes
    memory for once, and an optimizer makes its state at its end. What stays for good (kernels, caches) does not count.

    Returns:
        Bytes: in use by torch's allocator on CUDA, where what it keeps in reserve is not counted; resident in this
        process on Linux. None where the system does not say: not Linux, or the high-water mark cannot be reset (no
        /proc/self/clear_refs) and was higher before, or so little that it drowns in what else the process holds.

    Raises:
        torch.OutOfMemoryError: on CUDA, where it does not fit.
    """
    if compute.is_cuda:
        return _peak_bytes_added(build, compute)
    if sys.platform != "linux":
        return None
    keep_freed_memory(False)
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(_peak_bytes_added, build, compute).result()
    finally:
        keep_freed_memory(True)


def _peak_bytes_added(build: Build, compute: Compute) -> int | None:
    give_back_memory(compute)
    _forget_peak(compute)
    before = _peak_bytes(compute)
    repeat = build()
    repeat()
    _forget_peak(compute)
    repeat()
    peak = _peak_bytes(compute)
    del repeat
    give_back_memory(compute)
    added = peak - _bytes_in_use(compute)
    return added if peak > before and added > 0 else None


def give_back_memory(compute: Compute) -> None:
    """Free what nothing refers to, and give what is free back to the device or the system."""
    gc.collect()
    if compute.is_cuda:
        import torch

        torch.cuda.empty_cache()
    elif hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _forget_peak(compute: Compute) -> None:
    """Let the high-water mark be what is in use now, if that can be done."""
    if compute.is_cuda:
        import torch

        torch.cuda.reset_peak_memory_stats(compute.device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes(compute: Compute) -> int:
    if compute.is_cuda:
        import torch

        return int(torch.cuda.max_memory_allocated(compute.device))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes_in_use(compute: Compute) -> int:
    if compute.is_cuda:
        import torch

        return int(torch.cuda.memory_allocated(compute.device))
    return psutil.Process().memory_info().rss


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused, the system's or a device's."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch has no class of its own for the CPU (2.14).
    return type(error) is RuntimeError and "DefaultCPUAllocator: can't allocate memory" in str(error)


def gpu_memory_bytes(compute: Compute) -> int:
    """Memory of a CUDA device that this process may take: all of it, or the fraction that torch was told."""
    import torch

    index = torch.device(compute.device).index
    _, total = torch.cuda.mem_get_info(index)
    return int(total * torch.cuda.get_per_process_memory_fraction(index))


def private_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (None: this one) less what it shares with others, as the data set's map of a file:
    what a trial's limit is about.

    Raises:
        psutil.Error: for a process that is not there.
    """
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))
