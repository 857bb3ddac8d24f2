"""A worker of two is killed: both are started again, and the end has the bits of a training that nothing happened to.

The other training runs without Ray, so that the two are also compared.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from nas.train import read_job
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from tests.faults.conftest import TRAINED, wait_for
from tests.faults.test_train_faults import last_step, lines
from tests.nas.train.processes import run_group
from tests.nas.train.test_group import part_of_training

pytestmark = [pytest.mark.fault, pytest.mark.slow]

STEPS = 160
COMMAND = [
    sys.executable,
    "-m",
    "nas.cli",
    "train",
    "tiny.json",
    "--data",
    "digits",
    "--image-size",
    "16",
    "--seed",
    "5",
]
OPTIONS = ["--budget", f"{STEPS}st", "--batch-size", "64", "--workers", "2", "--checkpoint-seconds", "0"]
START_S = 240


@contextmanager
def training(folder: Path, cache: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A `nas train` process, ended with the block."""
    environment = {**os.environ, "NAS_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(
        [*COMMAND, *OPTIONS, *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                with suppress(psutil.Error):
                    each.kill()
        process.communicate(timeout=60)


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just died
            if "RayTrainWorker" in "".join(each.cmdline()):
                found.append(each)
    return sorted(found, key=lambda each: each.pid)


def to_the_end_in_two(folder: Path, store: Path) -> None:
    """Without Ray, whatever is left of the training in `folder`."""
    job = read_job(folder)
    with TrainFolder(folder, job, Feed(job).fingerprints):
        assert [how for how, _ in run_group(2, store, part_of_training, job, folder, None, 1e9, None)] == [
            "done",
            "done",
        ]


@pytest.mark.timeout(900)
def test_a_killed_worker_changes_nothing(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(cache))
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    killed, plain = tmp_path / "runs/killed", tmp_path / "runs/plain"
    with training(tmp_path, cache, "--out", "killed") as process:
        wait_for(lambda: last_step(killed) >= 30, "30 steps", START_S)
        before = workers_of(process)
        assert len(before) == 2
        sockets = [socket for worker in before for socket in worker.net_connections() if socket.status == "LISTEN"]
        assert {socket.laddr.ip.removeprefix("::ffff:") for socket in sockets} == {"127.0.0.1"}
        before[1].kill()
        psutil.wait_procs(before[1:], timeout=60)
        wait_for(lambda: workers_of(process) and not {*workers_of(process)} & {*before}, "new workers", START_S)
        after = last_step(killed)
        wait_for(lambda: last_step(killed) >= after + 10, "10 more steps", START_S)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=120)
        assert process.returncode == 130, error
    assert out == "", "stdout is for the result"
    assert f"goes on after step {after}" in error
    stopped = last_step(killed)
    assert f"stopped after step {stopped} of {STEPS}, which is kept; to go on: nas train --resume runs/killed" in error
    assert "Traceback" not in error
    to_the_end_in_two(killed, tmp_path / "store")
    plain.mkdir()
    (plain / "config.json").write_bytes((killed / "config.json").read_bytes())
    to_the_end_in_two(plain, tmp_path / "other-store")
    assert lines(killed) == lines(plain)
    assert (killed / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


@pytest.mark.timeout(600)
def test_a_lost_ray_is_told_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    with training(tmp_path, cache, "--out", "lost", "--json") as process:

        def trains() -> bool:
            assert process.poll() is None
            return last_step(tmp_path / "runs/lost") > 0

        wait_for(trains, "a step", START_S)
        started = psutil.Process(process.pid).children(recursive=True)
        (server,) = (each for each in started if "gcs_server" in each.name())
        server.kill()
        out, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert json.loads(out)["error"].splitlines() == [
        "Ray was lost: its gcs_server has ended",
        "to go on: nas train --resume runs/lost",
    ]
    assert "Traceback" not in error
    assert "rpc_client" not in error
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert not list(Path("/tmp").glob(f"nas-ray-{process.pid}-*"))
