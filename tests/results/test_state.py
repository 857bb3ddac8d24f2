"""A run is running while its lock is held, and says afterwards how it ended."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from results import RunError, RunWriter, TrialResult, is_locked, load

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]


def _state(folder: Path) -> tuple[str, str | None]:
    state = load(folder).state
    return state.name, state.reason


def test_running_then_ended_then_resumed(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0))
    assert _state(folder) == ("interrupted", None)
    with RunWriter.resume(folder) as writer:
        assert _state(folder) == ("running", None)
        assert is_locked(folder)
        writer.write_summary(stop_reason="the budget is used up")
        assert _state(folder) == ("running", None)
    assert _state(folder) == ("ended", "the budget is used up")
    assert str(load(folder).state) == "ended: the budget is used up"
    assert not is_locked(folder)
    with RunWriter.resume(folder) as writer:
        writer.append(trial(1))
    assert _state(folder) == ("interrupted", None), "the summary is of an earlier session"
    with RunWriter.resume(folder) as writer:
        writer.write_summary(stop_reason="interrupted")
    assert _state(folder) == ("interrupted", "interrupted")
    assert repr(load(folder)) == f"<Run {folder}: 2 trials, interrupted>"


def test_asking_keeps_no_writer_out(new_run: NewRun) -> None:
    folder = new_run()
    with RunWriter.resume(folder):
        before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert _state(folder)[0] == "running"
        with pytest.raises(RunError, match="is being written"):
            RunWriter.resume(folder)
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before | {
            ".lock": (folder / ".lock").stat().st_mtime_ns
        }
    assert _state(folder)[0] == "interrupted"
    RunWriter.resume(folder).close()


def test_a_killed_process_leaves_an_interrupted_run(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0))
    with RunWriter.resume(folder) as writer:
        writer.write_summary(stop_reason="the budget is used up")
    code = (
        "import os, sys; from results import RunWriter, load\n"
        f"writer = RunWriter.resume({str(folder)!r})\n"
        f"print(load({str(folder)!r}).state.name, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (-9, "running")
    assert _state(folder) == ("interrupted", "its process was killed")


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"stop_reason": "x"}', '{"num_trials": []}', "[" * 100_000])
def test_a_damaged_summary_says_nothing(new_run: NewRun, trial: MakeTrial, damage: str) -> None:
    folder = new_run(trial(0))
    (folder / "summary.json").write_text(damage)
    assert _state(folder) == ("interrupted", None)
    (folder / "summary.json").write_text(json.dumps({"stop_reason": "done", "num_trials": 1}))
    assert _state(folder) == ("ended", "done")


def test_a_folder_of_somebody_else_is_only_read(new_run: NewRun, tmp_path: Path) -> None:
    folder = new_run()
    (folder / ".lock").unlink()
    (folder / ".owner").write_text("{}")
    assert _state(folder) == ("interrupted", "its process was killed")
    assert not (folder / ".lock").exists()
    (folder / ".lock").symlink_to(tmp_path)
    assert not is_locked(folder)
