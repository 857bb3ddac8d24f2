"""Writes are whole or not there, also where the disk says no; reads are bounded."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from results import RunError, RunWriteError
from results.durable import AppendFile, read_bounded, replace_atomically, write_atomically


def test_replacement_leaves_only_the_new_text(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failed_replacement_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "config.json"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "replace":
            patch.setattr(Path, "replace", full)
        else:
            patch.setattr(os, call, full)
        with pytest.raises(RunWriteError, match=r"config\.json: could not be written: No space left on device"):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_may_write_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", "text")
        AppendFile(tmp_path / "b", keep=0).close()
    finally:
        os.umask(before)
    for name in "ab":
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644 & ~umask


def test_a_partly_written_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trials.jsonl"
    real_write = os.write
    with AppendFile(path, keep=0) as file:
        file.append("first\n")

        def half(descriptor: int, data: memoryview) -> int:
            if len(data) < 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real_write(descriptor, data[: len(data) // 2])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(RunWriteError, match=r"trials\.jsonl: could not be written: No space left on device"):
                file.append("second, a longer line\n")
        assert path.read_text() == "first\n"
        file.append("third\n")
    assert path.read_text() == "first\nthird\n"


def test_an_interrupt_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trials.jsonl"
    with AppendFile(path, keep=0) as file:

        def interrupt(descriptor: int) -> None:
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            file.append("a long line that was cut\n")
        file.append("short\n")
    assert path.read_text() == "short\n"


LIMITED = """
import resource, sys
from pathlib import Path
from results.durable import AppendFile, RunWriteError
path = Path(sys.argv[1])
file = AppendFile(path, keep=0)
file.append("x" * 999 + "\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
try:
    file.append("y" * 999 + "\\n")
except RunWriteError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append("z\\n")
"""


def test_the_systems_own_limit_of_a_files_size(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, timeout=60, check=True)
    assert "could not be written: File too large" in done.stdout
    assert path.read_text() == "x" * 999 + "\nz\n"


FULL_DISK = """
set -e
mount -t tmpfs -o size=64k none "$1"
exec "$2" -c '
import sys
import threading
from pathlib import Path
from results.durable import AppendFile, RunWriteError, write_atomically
folder = Path(sys.argv[1])
write_atomically(folder / "config.json", "old")
file, count = AppendFile(folder / "trials.jsonl", keep=0), 0
try:
    while True:
        file.append("x" * 998 + str(count % 10) + "\\n")
        count += 1
except RunWriteError as error:
    print(error)
lines = (folder / "trials.jsonl").read_text().splitlines()
assert len(lines) == count and all(len(line) == 999 for line in lines), (count, len(lines))
try:
    write_atomically(folder / "config.json", "n" * 50_000)
except RunWriteError as error:
    print(error)
assert (folder / "config.json").read_text() == "old"
assert sorted(path.name for path in folder.iterdir()) == ["config.json", "trials.jsonl"]
print("kept", count)
' "$1"
"""


@pytest.mark.fault
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    space = ["unshare", "--mount", "--user", "--map-root-user"]
    try:
        subprocess.run([*space, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare is not allowed here")
    done = subprocess.run(
        [*space, "bash", "-c", FULL_DISK, "bash", tmp_path, sys.executable], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "trials.jsonl: could not be written: No space left on device" in said[0]
    assert "config.json: could not be written: No space left on device" in said[1]
    assert int(said[2].removeprefix("kept ")) > 10


def test_reading_is_bounded_and_of_plain_files_only(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    assert read_bounded(plain, 5) == b"12345"
    with pytest.raises(RunError, match="must be at most 4 bytes, got 5"):
        read_bounded(plain, 4)
    (tmp_path / "link").symlink_to(plain)
    with pytest.raises(RunError, match="is a symbolic link"):
        read_bounded(tmp_path / "link", 10)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="is no regular file"):
        read_bounded(tmp_path / "pipe", 10)
    with pytest.raises(RunError, match="is no regular file"):
        read_bounded(tmp_path, 10)
    with pytest.raises(RunError, match="No such file"):
        read_bounded(tmp_path / "missing", 10)


def test_a_sparse_giant_is_refused_without_reading_it(tmp_path: Path) -> None:
    giant = tmp_path / "giant"
    with giant.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunError, match="must be at most 1000 bytes"):
        read_bounded(giant, 1000)


def test_no_write_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "trials.jsonl").symlink_to(victim)
    with pytest.raises(RunWriteError):
        AppendFile(tmp_path / "trials.jsonl", keep=0)
    (tmp_path / ".config.json.tmp").symlink_to(victim)
    with pytest.raises(RunWriteError):
        write_atomically(tmp_path / "config.json", "{}")
    assert victim.read_text() == "precious"


def test_two_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path, texts, failed = tmp_path / "report.html", ("a" * 100_000, "b" * 200_000), []

    def replace(text: str) -> None:
        try:
            for _ in range(30):
                write_atomically(path, text, durable=False)
        except RunWriteError as error:
            failed.append(error)

    write_atomically(path, texts[0])
    writers = [threading.Thread(target=replace, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(path.read_text())
    assert seen <= set(texts)
    assert not failed
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_writer_that_stops_leaves_nothing_beside_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "front.parquet"
    write_atomically(path, "old")

    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_atomically(path, stopped)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["front.parquet"]
