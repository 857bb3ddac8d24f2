"""What a container (a cgroup) may use of its machine; elsewhere that is all of it."""

from pathlib import Path
from typing import NamedTuple

import psutil

__all__ = ["Memory", "cpu_quota", "memory"]

ROOT = Path("/sys/fs/cgroup")


class Memory(NamedTuple):
    """Bytes."""

    total: int
    free: int


def memory() -> Memory:
    """That processes here may hold."""
    found = psutil.virtual_memory()
    limits = _numbers("memory.max") or _numbers("memory/memory.limit_in_bytes")
    total = min([found.total, *limits])
    return Memory(total, min(found.available, total))


def cpu_quota() -> float | None:
    """So many processors' time may be used; None where all may."""
    found = _numbers("cpu.max") or _numbers("cpu/cpu.cfs_quota_us") + _numbers("cpu/cpu.cfs_period_us")
    return found[0] / found[1] if len(found) == 2 and min(found) > 0 else None


def _numbers(name: str) -> list[int]:
    """Those in a file of the cgroup; none where it is not there, or says `max`."""
    try:
        return [int(word) for word in (ROOT / name).read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
