"""What a container is given of its machine, by the files that Linux has for it."""

from pathlib import Path

import psutil
import pytest

from nas import container, device


@pytest.mark.parametrize(
    ("files", "quota", "limit"),
    [
        ({}, None, None),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        ({"cpu.max": "150000 100000\n", "memory.max": "1073741824\n"}, 1.5, 1 << 30),
        ({"cpu.max": "25000 50000\n"}, 0.5, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "200000\n"}, 2.0, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, None),
        ({"memory/memory.limit_in_bytes": "2147483648\n"}, None, 2 << 30),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None, None),
        ({"memory.max": "", "cpu.max": "a b"}, None, None),
    ],
)
def test_what_it_may_use(
    files: dict[str, str], quota: float | None, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "ROOT", tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container.cpu_quota() == quota
    total, free = container.memory()
    assert total == (limit or psutil.virtual_memory().total)
    assert 0 < free <= total


@pytest.mark.parametrize(("quota", "processors"), [(None, 4), (1.5, 1), (0.5, 1), (2.0, 2), (64.0, 4)])
def test_so_many_processors_are_used(quota: float | None, processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cpu_quota", lambda: quota)
    monkeypatch.setattr(device, "num_visible_processors", lambda: 4)
    assert device.num_processors() == processors
