"""Checkpoints: the last two and the best are kept, a full disk takes none away, nothing in a file is run."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from nas.train.checkpoint import Checkpoints
from results import RunError, RunWriteError


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    found = Checkpoints(tmp_path / "checkpoints")
    assert found.latest() == (None, [])
    for step in range(1, 8):
        found.save(step, {"value": torch.tensor(step)}, best_step=3 if step >= 3 else None)
    assert found.steps() == [3, 6, 7]
    state, notes = found.latest()
    assert state is not None
    assert (int(state["value"]), state["step"], notes) == (7, 7, [])
    assert not list(tmp_path.glob("**/.*.tmp"))


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    found = Checkpoints(tmp_path)
    found.save(1, {"value": torch.zeros(1000)}, best_step=None)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RunWriteError, match=r"step-2\.pt: could not be written: No space left"):
            found.save(2, {"value": torch.zeros(1000)}, best_step=None)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1.pt"]


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("harmed",))


def test_what_a_file_holds_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "step": 1, "value": Harm()}, tmp_path / "step-1.pt")
    (tmp_path / "step-2.pt").write_bytes(pickle.dumps(Harm(), protocol=2))
    with pytest.raises(RunError, match="no checkpoint can be read"):
        Checkpoints(tmp_path).latest()
    assert not (tmp_path / "harmed").exists()


def test_another_steps_file_is_passed_over(tmp_path: Path) -> None:
    found = Checkpoints(tmp_path)
    found.save(1, {}, best_step=None)
    (tmp_path / "step-9.pt").write_bytes((tmp_path / "step-1.pt").read_bytes())
    state, notes = found.latest()
    assert state is not None
    assert state["step"] == 1
    assert "step-9.pt: is damaged and passed over: its format is 1 and its step 1" in notes[0]


def test_a_damaged_one_is_not_kept_in_the_place_of_a_sound_one(tmp_path: Path) -> None:
    found = Checkpoints(tmp_path)
    for step in (100, 200):
        found.save(step, {}, best_step=None)
    (tmp_path / "step-200.pt").write_bytes(b"rotten")
    state, _ = found.latest()
    assert state is not None
    assert state["step"] == 100
    found.save(150, {}, best_step=None)
    assert found.steps() == [100, 150]


def test_what_a_killed_writer_left_goes(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {}, best_step=None)
    (tmp_path / ".step-2.pt.tmp").write_bytes(b"half")
    checkpoints.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["step-1.pt"]


def test_a_run_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunWriteError, match="checkpoints: could not be made: No such file or directory"):
        Checkpoints(tmp_path / "gone" / "checkpoints").save(1, {}, best_step=None)
