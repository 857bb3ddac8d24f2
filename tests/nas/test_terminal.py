"""What a command prints reaches a real terminal, and FORCE_COLOR makes no terminal of a pipe."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

NAS = [sys.executable, "-m", "nas.cli"]
SEARCH = ["search", "--data", "digits", "--space", "toy.yaml", "--budget", "2", "--train-length", "5", "--workers", "1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from tests.faults.conftest import SPACE

    (tmp_path / "toy.yaml").write_text(SPACE)
    return tmp_path


def on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """All that a terminal is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent = b""
    try:
        while part := os.read(ours, 65536):
            sent += part
    except OSError:  # the end of a terminal is an error on Linux
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0, sent.decode()
    return sent.decode()


def test_a_search_on_a_terminal_prints_its_front(folder: Path, digits_cache: Path) -> None:
    environment = {**os.environ, "NAS_CACHE_DIR": str(digits_cache), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    sent = on_a_terminal([*NAS, *SEARCH], folder, environment)
    assert "1 done | 1 running" in sent or "1 done | 0 running" in sent, "the live line"
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent).splitlines()
    (end,) = (number for number, line in enumerate(lines) if "2 trials, 2 measured in full" in line)
    assert lines[end + 1].split()[:2] == ["trial", "accuracy"]
    assert any(line.startswith("best reward: trial ") for line in lines[end:])


def test_colour_that_is_forced_leaves_a_document_whole(folder: Path, digits_cache: Path) -> None:
    environment = {**os.environ, "NAS_CACHE_DIR": str(digits_cache), "FORCE_COLOR": "1", "TERM": "xterm-color"}
    command = [*NAS, *SEARCH, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=200)
    assert json.loads(done.stdout)["num_trials"] == 2
    assert "\x1b" not in done.stdout + done.stderr
