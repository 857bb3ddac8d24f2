"""A worker of two is killed: both are started again, and the end has the bits of a training that nothing happened to.

The other training runs without Ray, so that the two are also compared.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from nas.train import read_job
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from tests.faults.conftest import TRAINED, Search, left_of_ray, wait_for
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
@pytest.mark.long
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


LOST_IN_ONE = """
_plain = FullStep.__call__

def _harmed(step, *arguments):
    loss = _plain(step, *arguments)
    group = step._state.group
    return loss * float("nan") if group.rank == 1 and step._state.step == 20 else loss

FullStep.__call__ = _harmed
"""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_loss_that_one_worker_has_lost_ends_both_and_leaves_nothing(
    nas: Callable[..., Search], tmp_path: Path
) -> None:
    run = tmp_path / "runs/a"
    running = nas(*COMMAND[3:], *OPTIONS, "--out", "a", faults={"nas.train.step": LOST_IN_ONE})
    wait_for(lambda: last_step(run) > 0, "a step", START_S, running.process)
    family = running.family()
    code, out, error = running.wait()
    assert (code, out) == (1, ""), error
    assert "the loss was not finite at step 20: give a lower learning rate (--lr)" in error
    assert "Traceback" not in error
    assert last_step(run) == 19
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert left_of_ray(running.process.pid) == []
    code, _, error = nas("train", "--resume", "a").wait()
    assert code == 0, error


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_second_signal_ends_the_workers_at_once(nas: Callable[..., Search], tmp_path: Path) -> None:
    """Steps that take so long that the first signal's checkpoint would not be written for minutes."""
    run = tmp_path / "runs/a"
    slow = """
import time

_plain = FullStep.__call__

def _harmed(step, *arguments):
    if step._state.step == 20:
        time.sleep(600)
    return _plain(step, *arguments)

FullStep.__call__ = _harmed
"""
    running = nas(*COMMAND[3:], *OPTIONS, "--out", "a", faults={"nas.train.step": slow})
    wait_for(lambda: last_step(run) == 20, "20 steps", START_S, running.process)
    family = running.family()
    for _ in range(2):
        running.process.send_signal(signal.SIGINT)
        time.sleep(1)
    code, out, error = running.wait()
    assert (code, out) == (130, ""), error
    assert "what the last checkpoint holds is kept; to go on: nas train --resume runs/a" in error
    assert "Traceback" not in error
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert left_of_ray(running.process.pid) == []
    code, _, error = nas("train", "--resume", "a").wait()
    assert code == 0, error
    assert "goes on after step 20" in error
