"""A Ray of our own that does not start is a failure of the machine, and leaves nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from nas.cluster import EngineError, own_ray, ray_session, session


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


def test_what_a_killed_driver_left_here_goes_and_what_is_anothers_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that machines or containers share, each counts its processes by itself."""
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    monkeypatch.setattr(session, "_TEMPORARY_PREFIX", f"{tmp_path.name[-9:]}-")
    folders = [session._make_scratch()]
    try:
        monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
        folders.append(session._make_scratch())
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("platform.node", lambda: "another machine")
            folders.append(session._make_scratch())
        folders.append(session._make_scratch())
        assert [folder.exists() for folder in folders] == [True, False, True, True]
        assert len(str(folders[0])) < 48, "the path of a socket in it may have 107 characters"
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


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
    monkeypatch.setattr(own_ray, "_GRACE_S", 0.1)
    ended, goes_on = (
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]) for seconds in (0, 60)
    )
    processes = [psutil.Process(each.pid) for each in (ended, goes_on)]
    ended.wait()
    own_ray.end(processes)
    assert goes_on.wait(10) == -9


def test_one_session_after_another_each_private() -> None:
    twice = """
import json, os, psutil
from nas.cluster import ray_session

NAMES = ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE")

def seen():
    return [os.environ.get(name) for name in NAMES]

for _ in range(2):
    with ray_session(None) as found:
        import ray

        processes = psutil.Process().children(recursive=True)
        sockets = [each for process in processes for each in process.net_connections("inet") if each.status == "LISTEN"]
        told = {
            "cpus": found.cpus >= 1,
            "notes": found.notes,
            "driver": seen(),
            "worker": ray.get(ray.remote(seen).remote()),
            "hosts": sorted({each.laddr.ip.removeprefix("::ffff:") for each in sockets}),
            "dashboard": ray._private.worker.global_worker.node.webui_url or None,
        }
        print(json.dumps(told))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    private = {
        "cpus": True,
        "notes": [],
        "driver": ["0", "token"],
        "worker": ["0", "token"],
        "hosts": ["127.0.0.1"],
        "dashboard": None,
    }
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [private, private]


@pytest.mark.parametrize("place", [None, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "home"])
def test_a_users_token_is_used_for_their_cluster(
    place: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    path = tmp_path / ("elsewhere" if place == "RAY_AUTH_TOKEN_PATH" else ".ray/auth_token")
    if place == "RAY_AUTH_TOKEN":
        monkeypatch.setenv(place, "t" * 64)
    elif place is not None:
        path.write_text("t" * 64)
    if place == "RAY_AUTH_TOKEN_PATH":
        monkeypatch.setenv(place, str(path))
    monkeypatch.setattr(session, "check_address", lambda address: None)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "nodes", list)
    with mock.patch.dict(os.environ):
        with ray_session("head:6379") as cluster:
            mode = os.environ.get("RAY_AUTH_MODE")
        os.environ.pop("RAY_AUTH_MODE", None)
    assert mode == ("token" if place else None)
    assert any("without a token" in note for note in cluster.notes) == (place is None)


def test_no_signal_ends_a_session_that_is_closing() -> None:
    """Ray's C++ resets what becomes of SIGTERM."""
    code = """
import os, signal, threading, time
from nas.cluster import ray_session, session

over = threading.Event()

def ask():
    while not over.wait(0.3):
        os.kill(os.getpid(), signal.SIGTERM)

asking = threading.Thread(target=ask)
started, end = session.processes, session.end

def begin():
    found = started()
    asking.start()
    return found

def finish(found):
    end(found)
    over.set()
    asking.join()

session.processes, session.end = begin, finish
with ray_session(None) as found:
    print(found.scratch)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert not Path(ended.stdout.strip()).exists()
