"""What the system under a command does to it: a disk that is full or not to be written, little shared memory."""

import os
import pty
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Search, rows, wait_for
from tests.faults.trainings import COMMANDS, trainings

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long, pytest.mark.usefixtures("namespaces")]

Start = Callable[..., Search]
TOY = ("--space", "toy.yaml", "--train-length", "20", "--seed", "3", "--sampler", "random", "--dtype", "float32")


@pytest.mark.parametrize(("command", "kilobytes"), list(zip(COMMANDS, (140, 600, 80), strict=True)))
def test_a_training_on_a_disk_that_fills_up(nas: Start, tmp_path: Path, command: str, kilobytes: int) -> None:
    """Its disk holds the beginning, not the end."""
    training = trainings(12)[command]
    (tmp_path / "runs").mkdir()
    keep = f"mount -t tmpfs -o size={kilobytes}k none {tmp_path}/runs"
    code, _, error = nas(*training.begun, *training.each_step, mounts=keep).wait()
    assert code == 1, error
    assert "could not be written: No space left on device" in error
    assert "Traceback" not in error
    code, _, error = nas(*training.begun).wait()
    assert code == 0, error


@pytest.mark.parametrize("what", ["a full disk", "a disk that may only be read"])
def test_a_search_whose_disk_is_gone_in_the_middle_says_how_to_go_on(nas: Start, tmp_path: Path, what: str) -> None:
    """The harm is done from within: the driver's own file of trials refuses its third line."""
    run = tmp_path / "runs/a"
    number = "ENOSPC" if what == "a full disk" else "EROFS"
    harm = f"""
import errno
_plain = _write_all
def _write_all(descriptor, data):
    if b'"index":2,' in bytes(data) and b'"status"' in bytes(data):
        raise OSError(errno.{number}, os.strerror(errno.{number}))
    _plain(descriptor, data)
"""
    code, _, error = nas(
        "search", *TOY, "--budget", "6", "--workers", "1", "--out", "a", faults={"results.durable": harm}
    ).wait()
    assert code == 1, error
    assert "trials.jsonl: could not be written: " in error
    assert "what was finished is kept; to go on: nas search --resume runs/a" in error
    assert "Traceback" not in error
    assert [row["index"] for row in rows(run)] == [0, 1]
    code, _, error = nas("search", "--resume", "a").wait()
    assert code == 0, error
    assert [row["index"] for row in rows(run)] == list(range(6))


def read_only(folder: Path) -> str:
    return f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"


def test_a_folder_for_runs_that_may_only_be_read_is_refused(nas: Start, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for begun in [("search", *TOY, "--out", "a"), *(training.begun for training in trainings(9).values())]:
        code, _, error = nas(*begun, mounts=read_only(runs)).wait()
        assert code == 2, error
        assert f"{runs} may not be written to" in error
        assert "Traceback" not in error
        assert list(runs.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_training_that_may_only_be_read_stays_as_it_is(nas: Start, tmp_path: Path, command: str) -> None:
    training = trainings(2000)[command]
    run = training.run(tmp_path)
    running = nas(*training.begun, *training.each_step)
    wait_for(lambda: any(run.glob("checkpoints/*.pt")), "a checkpoint", running=running.process)
    running.kill()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    code, _, error = nas(*training.goes_on, mounts=read_only(tmp_path / "runs")).wait()
    # A family's folder is an --out, which is looked at before anything else.
    said = (2, "may not be written to") if command == "scale --train" else (1, "Read-only file system")
    assert (code, said[1] in error) == (said[0], True), error
    assert "Traceback" not in error
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_search_that_may_only_be_read_stays_as_it_is(nas: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    code, _, error = nas("search", *TOY, "--budget", "2", "--out", "a").wait()
    assert code == 0, error
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    code, _, error = nas("search", "--resume", "a", "--budget", "4", mounts=read_only(tmp_path / "runs")).wait()
    assert code == 1, error
    assert "Read-only file system" in error
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_search_with_64_mib_of_shared_memory(nas: Start, tmp_path: Path) -> None:
    small = "mount -t tmpfs -o size=64m none /dev/shm"
    code, _, error = nas("search", *TOY, "--budget", "2", "--out", "a", mounts=small).wait()
    assert code == 0, error
    assert [row["status"] for row in rows(tmp_path / "runs/a")] == ["ok", "ok"]


def test_a_closed_terminal_lets_running_trials_finish(nas: Start, tmp_path: Path) -> None:
    """With a terminal of its own, which is then gone: SIGHUP, and an error for each word that is said."""
    run = tmp_path / "runs/a"
    controlling, terminal = pty.openpty()
    running = nas("search", *TOY, "--budget", "40", "--workers", "2", "--out", "a", stderr=terminal)
    os.close(terminal)
    wait_for(lambda: len(rows(run)) >= 2, "two trials", running=running.process)
    os.close(controlling)
    running.signal_group(signal.SIGHUP)
    code, out, _ = running.wait()
    assert code == 130
    assert "nas search --resume" in out
    assert {row["status"] for row in rows(run)} == {"ok"}
    assert sorted(row["index"] for row in rows(run)) == list(range(len(rows(run))))
