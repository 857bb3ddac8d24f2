"""A training is killed again and again, and ends with the bits of one that was not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import TRAINED, wait_for

pytestmark = [pytest.mark.fault, pytest.mark.slow]

NAS = [sys.executable, "-m", "nas.cli", "train"]
STEPS = 240
OPTIONS = ["--data", "digits", "--image-size", "16", "--budget", f"{STEPS}st", "--batch-size", "64", "--seed", "5"]
EACH_STEP = ["--checkpoint-seconds", "0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    return tmp_path


class Trainings:
    """`nas train` as processes, ended with the test."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._environment = folder, {**os.environ, "NAS_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*NAS, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def train(folder: Path, cache: Path) -> Iterator[Trainings]:
    trainings = Trainings(folder, cache)
    yield trainings
    for process in trainings.started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def last_step(run: Path) -> int:
    return max((int(path.stem.removeprefix("step-")) for path in run.glob("checkpoints/step-*.pt")), default=0)


def lines(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in ("seconds", "images_per_s", "data_wait")} for line in found]


def test_killed_in_each_phase_it_ends_with_the_same_bits(train: Trainings, folder: Path) -> None:
    plain, killed = folder / "runs/plain", folder / "runs/killed"
    process = train("tiny.json", *OPTIONS, "--out", "plain")
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    arguments = ["tiny.json", *OPTIONS, "--out", "killed", *EACH_STEP]
    for after in (7, 70, 133, 201):
        process = train(*arguments)
        wait_for(lambda wanted=after: last_step(killed) >= wanted, f"step {after}", running=process)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert not (killed / "result.json").exists(), "it ended before it was killed"
        arguments = ["--resume", "killed", *EACH_STEP]
    # A write that was torn, and a line that was.
    (killed / "checkpoints/.step-9999.pt.tmp").write_bytes(b"PK")
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 22')
    process = train("--resume", "killed", "--json")
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "goes on after step 20" in error
    assert json.loads(out)["steps"] == STEPS
    assert (killed / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    assert lines(killed) == lines(plain)


@pytest.mark.long
def test_killed_after_it_took_weights_over_it_ends_with_the_same_bits(train: Trainings, folder: Path) -> None:
    options = ["--data", "digits", "--image-size", "16", "--batch-size", "64", "--budget", "160st"]
    start = ["--init", "runs/source/model.safetensors", "--seed", "6"]
    for arguments in ([*options, "--out", "source"], [*options, *start, "--out", "plain"]):
        process = train("tiny.json", *arguments)
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    plain, killed = folder / "runs/plain", folder / "runs/killed"
    arguments = ["tiny.json", *options, *start, "--out", "killed", *EACH_STEP]
    # With no checkpoint, with that of the weights alone perhaps, and after steps.
    for reached in (
        lambda: (killed / "config.json").exists(),
        lambda: bool(list(killed.glob("checkpoints/step-*.pt"))),
        lambda: last_step(killed) >= 5,
        lambda: last_step(killed) >= 50,
    ):
        process = train(*arguments)
        wait_for(reached, "the moment to be killed at", running=process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert not (killed / "result.json").exists(), "it ended before it was killed"
        arguments = ["--resume", "killed", *EACH_STEP]
    (folder / "runs/source/model.safetensors").unlink()  # needed until the first checkpoint alone
    process = train("--resume", "killed")
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert (killed / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    assert lines(killed) == lines(plain)
    assert not list(killed.rglob(".*.tmp"))


def test_two_do_not_write_one_folder(train: Trainings, folder: Path) -> None:
    first = train("tiny.json", *OPTIONS, "--out", "a", *EACH_STEP)
    wait_for(lambda: last_step(folder / "runs/a") >= 1, "a first step")
    second = train("--resume", "a")
    _, error = second.communicate(timeout=120)
    assert second.returncode == 2
    assert f"runs/a: is being written by process {first.pid} on" in error
    first.send_signal(signal.SIGINT)
    _, error = first.communicate(timeout=120)
    assert first.returncode == 130
    assert "to go on: nas train --resume runs/a" in error
