"""A Ray of our own that does not start is a failure of the machine, and leaves nothing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from nas.cluster import EngineError, ray_session, session


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Exception("The current node timed out"), "The current node timed out"),
        (RuntimeError("Failed to start GCS.\nTraceback"), "Failed to start GCS."),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_ray_that_does_not_start_is_told(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("nas.cluster.session._make_scratch", lambda: scratch)
    with (
        mock.patch.dict(os.environ),
        pytest.raises(EngineError, match=f"^Ray did not start on this machine: {said}$"),
        ray_session(None),
    ):
        pass
    assert not scratch.exists()


@pytest.mark.parametrize("address", ["local", "local://"])
def test_a_cluster_is_not_started_by_its_address(address: str) -> None:
    with (
        pytest.raises(ValueError, match="address must be auto or HOST:PORT of a Ray cluster that runs"),
        ray_session(address),
    ):
        pass


def test_auto_is_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    refused = r"no Ray cluster was reached at 'auto' \(.*:1\): .*refused"
    with pytest.raises(ValueError, match=refused), ray_session("auto"):
        pass


def test_what_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_GRACE_S", 0.1)
    ended, goes_on = (
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]) for seconds in (0, 60)
    )
    processes = [psutil.Process(each.pid) for each in (ended, goes_on)]
    ended.wait()
    session._end(processes)
    assert goes_on.wait(10) == -9


def test_a_process_may_have_one_session_after_another() -> None:
    twice = """
from nas.cluster import ray_session
for _ in range(2):
    with ray_session(None) as found:
        print(found.cpus >= 1)
"""
    ended = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "True\nTrue\n"), ended.stderr
