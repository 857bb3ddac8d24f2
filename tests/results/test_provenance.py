"""What a run was made with is told without importing it."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from results import environment
from results.provenance import git_state, versions

HEAVY = "torch", "ray", "optuna", "pandas", "matplotlib"


def test_the_environment_is_plain_data() -> None:
    found = json.loads(json.dumps(environment()))
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["trainaware-nas"]
    assert found["versions"]["torch"]
    assert found["cpus"] >= 1
    assert found["cpu"]


def test_versions_name_what_is_missing() -> None:
    assert set(versions()) >= {"python", "torch", "ray"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("results.provenance.PACKAGES", ("no-such-distribution",))
        assert versions()["no-such-distribution"] is None


def test_git_state_is_of_the_tree_or_nothing(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert git_state(tmp_path) is None, "no git tree, though it looks like one"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", tmp_path, *identity, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["changed"] is False
    (tmp_path / "new").touch()
    assert git_state(tmp_path) == state | {"changed": True}


def test_the_room_leaves_heavy_libraries_out() -> None:
    code = f"import sys, results; results.environment(); print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
