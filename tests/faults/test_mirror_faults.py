"""A machine is lost in the middle of a run, and another goes on from the mirror; a store vanishes under a search."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from results import load
from results.objects import CHUNK_BYTES, ObjectStore
from tests.faults.conftest import TRAINED, Search, rows, wait_for

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

TRIALS = 6
Start = Callable[..., Search]
TOY = ("--space", "toy.yaml", "--train-length", "40", "--seed", "3", "--sampler", "random", "--dtype", "float32")


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, psutil.Process]]:
    """The URL of a bucket of moto's server, which speaks S3's protocol, and the server. moto needs packages that the
    project's pins exclude, and so an environment of its own; its moto_server has to be found."""
    server = shutil.which("moto_server")
    if server is None:
        pytest.skip("moto_server is not there")
    from pyarrow.fs import FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (tmp_path / "moto.log").open("w") as log:
        process = subprocess.Popen([server, "-p", str(port)], stdout=log, stderr=log, env=clean)
    where = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"

    def made() -> bool:
        try:
            FileSystem.from_uri(f"s3://bucket?{where}&allow_bucket_creation=true")[0].create_dir("bucket")
        except OSError:
            return False
        return True

    wait_for(made, "a bucket")
    yield f"s3://bucket/run?{where}", psutil.Process(process.pid)
    process.kill()
    process.wait()


def once(run: Path) -> None:
    """Each trial is there once, after an ask of its own."""
    indices = [row["index"] for row in rows(run)]
    assert sorted(indices) == list(range(TRIALS))
    assert len({row["key"] for row in rows(run)}) == TRIALS


def lost_and_gone_on_with(search: Start, folder: Path, url: str) -> None:
    """The driver is killed, and its folder with it; another machine has the URL alone."""
    running = search(*TOY, "--budget", str(TRIALS), "--workers", "1", "--out", "a", "--mirror", url)
    wait_for(lambda: len(rows(folder / "runs/a")) >= 3, "three trials", running=running.process)
    running.kill_all()
    before = rows(folder / "runs/a")
    shutil.rmtree(folder / "runs/a")
    held = [trial.index for trial in load(url).trials]
    assert held, "the mirror holds trials"
    code, _, error = search("--resume", url, "--out", "b").wait()
    assert code == 0, error
    once(folder / "runs/b")
    after = {row["index"]: row for row in rows(folder / "runs/b")}
    assert [after[index] for index in held] == [row for row in before if row["index"] in held]
    assert [trial.key for trial in load(url).trials] == [after[index]["key"] for index in range(TRIALS)]


def test_a_search_goes_on_elsewhere(search: Start, tmp_path: Path) -> None:
    lost_and_gone_on_with(search, tmp_path, f"file://{tmp_path}/store/a")


def test_a_search_goes_on_elsewhere_from_s3(search: Start, tmp_path: Path, s3: tuple[str, psutil.Process]) -> None:
    lost_and_gone_on_with(search, tmp_path, s3[0])


def test_a_store_that_vanishes_costs_no_trial(search: Start, tmp_path: Path, s3: tuple[str, psutil.Process]) -> None:
    url, server = s3
    running = search(*TOY, "--budget", str(TRIALS), "--workers", "1", "--out", "a", "--mirror", url)
    wait_for(lambda: bool(rows(tmp_path / "runs/a")), "a trial", running=running.process)
    server.kill()
    code, _, error = running.wait()
    assert code == 0, error
    once(tmp_path / "runs/a")
    assert {row["status"] for row in rows(tmp_path / "runs/a")} == {"ok"}
    assert error.count("could not be written, and is tried again") == 1
    assert "is behind: it holds the run as of " in error
    assert "trials.jsonl" in error.split("missing since: ")[1]


def test_a_training_goes_on_elsewhere_with_the_same_bits(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    options = ["--data", "digits", "--image-size", "16", "--budget", "240st", "--batch-size", "64", "--seed", "5"]
    environment = {**os.environ, "NAS_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}

    def train(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "nas.cli", "train", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    def ended(process: "subprocess.Popen[str]") -> None:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error

    ended(train("tiny.json", *options, "--out", "plain"))
    url = f"file://{tmp_path}/store/a"
    running = train("tiny.json", *options, "--checkpoint-seconds", "0", "--out", "a", "--mirror", url)
    manifest = tmp_path / "store/a/manifest.json"

    def files() -> dict[str, Any]:
        return dict(json.loads(manifest.read_text())["files"]) if manifest.exists() else {}

    wait_for(lambda: any("step-" in name for name in files()), "a checkpoint in the mirror", running=running)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    shutil.rmtree(tmp_path / "runs/a")
    assert "result.json" not in files()
    ended(train("--resume", url, "--out", "b"))
    result, plain = (json.loads((tmp_path / "runs" / name / "result.json").read_text()) for name in ("b", "plain"))
    assert result["ema_accuracy"] == plain["ema_accuracy"]
    weights = [(tmp_path / "runs" / name / "model.safetensors").read_bytes() for name in ("b", "plain")]
    assert weights[0] == weights[1]
    assert {"result.json", "model.safetensors", "metrics.jsonl", "arch.json", "data.json"} <= set(files())


def test_an_object_of_several_parts_comes_back_from_s3(s3: tuple[str, psutil.Process]) -> None:
    """S3 takes more than some megabytes in parts, as a checkpoint may have."""
    store, data = ObjectStore(s3[0]), random.Random(0).randbytes(3 * CHUNK_BYTES + 5)
    with store.open_new("objects/0") as file:
        for begin in range(0, len(data), CHUNK_BYTES):
            file.write(data[begin : begin + CHUNK_BYTES])
    assert b"".join(store.chunks("objects/0")) == data
