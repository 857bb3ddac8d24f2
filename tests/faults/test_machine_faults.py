"""A machine of a cluster leaves in the middle of a search, and another one joins."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Search, asked, rows, wait_for
from tests.faults.test_train_faults import last_step
from tests.faults.trainings import trainings

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

Start = Callable[..., Search]
TOY = ("--space", "toy.yaml", "--seed", "3", "--sampler", "random", "--dtype", "float32")


class Machines:
    """Of one processor each, beside the first, which has none."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("machines.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = self._said("at ")

    def _said(self, beginning: str) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError("the cluster has ended")

    def __call__(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        self._said("done")

    def close(self) -> None:
        self._process.communicate(timeout=120)


@contextmanager
def cluster_of(num_machines: int) -> Iterator[Machines]:
    """Of so many that can hold a trial."""
    cluster = Machines()
    try:
        for _ in range(num_machines):
            cluster("add")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """All on the loopback, for the search too: Ray looks for a machine of the address that a driver has. At the nice
    value that Ray gives workers a busy machine lets them wait for minutes."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    with cluster_of(0) as cluster:
        yield cluster


@pytest.mark.timeout(900)
def test_what_ran_on_a_machine_that_left_runs_again_and_one_that_joined_is_used(
    search: Start, tmp_path: Path, machines: Machines
) -> None:
    run = tmp_path / "runs/a"
    for _ in range(2):
        machines("add")
    running = search(
        *TOY, "--train-length", "400", "--budget", "10", "--workers", "2", "--address", machines.address, "--out", "a"
    )
    wait_for(lambda: len(rows(run)) >= 2, "two trials", running=running.process)
    wait_for(lambda: len(asked(run)) >= len(rows(run)) + 2, "two that run", running=running.process)
    before = {row["worker"] for row in rows(run)}
    machines("remove")
    machines("add")
    code, _, error = running.wait()
    assert code == 0, error
    assert sorted(row["index"] for row in rows(run)) == list(range(10))
    assert {row["status"] for row in rows(run)} == {"ok"}
    workers = {row["worker"] for row in rows(run)}
    assert workers - before, "the machine that joined was not used"
    assert "Traceback" not in error


def with_one_trial(search: Start, machines: Machines, run: Path, faults: dict[str, str]) -> Search:
    """A search of six trials on one machine, of which one has ended."""
    machines("add")
    running = search(
        *TOY, "--train-length", "400", "--budget", "6", "--address", machines.address, "--out", "a", faults=faults
    )
    wait_for(lambda: bool(rows(run)), "a trial", running=running.process)
    return running


def to_the_end(search: Start, run: Path, finished: list[dict[str, Any]], *options: str) -> None:
    """It is gone on with, and has all trials once, the finished ones as they were."""
    code, _, error = search("--resume", "a", *options).wait()
    assert code == 0, error
    assert rows(run)[: len(finished)] == finished
    assert sorted(row["index"] for row in rows(run)) == list(range(6))


@pytest.mark.timeout(900)
def test_a_search_without_any_machine_left_ends_and_says_how_to_go_on(
    search: Start, tmp_path: Path, machines: Machines
) -> None:
    run = tmp_path / "runs/a"
    running = with_one_trial(search, machines, run, {"nas.cluster.machines": "NONE_FOR_S = 20.0"})
    machines("remove")
    code, _, error = running.wait()
    finished = rows(run)
    assert code == 1, error
    assert "for 20 s no machine of the cluster has had room for a trial (cpus_per_trial 1)" in error
    assert "what was finished is kept; to go on: nas search --resume" in error
    assert "Traceback" not in error
    assert {row["status"] for row in finished} == {"ok"}
    machines("add")
    to_the_end(search, run, finished)


SOON = {"nas.cluster.own_ray": "_HEAD_MAY_BE_SILENT_S, _ASK_HEAD_EVERY_S = 5.0, 1.0"}


def lose_the_head(machines: Machines, running: Search, command: str) -> None:
    """And see that the command ends and says how to go on."""
    machines("lose the head")
    code, _, error = running.wait()
    assert code == 1, error
    assert re.search(r"error: Ray was lost: the cluster's head \(.*:\d+\) has not answered for 5 s\n", error)
    assert f"to go on: nas {command} --resume" in error
    assert "Traceback" not in error


@pytest.mark.timeout(900)
def test_a_search_whose_clusters_head_is_lost_says_so_and_goes_on_with_another(
    search: Start, tmp_path: Path, machines: Machines
) -> None:
    run = tmp_path / "runs/a"
    running = with_one_trial(search, machines, run, SOON)
    lose_the_head(machines, running, "search")
    finished = rows(run)
    with cluster_of(2) as others:
        to_the_end(search, run, finished, "--address", others.address)


@pytest.mark.timeout(900)
def test_a_training_whose_clusters_head_is_lost_says_so_and_goes_on_with_another(
    nas: Start, tmp_path: Path, machines: Machines
) -> None:
    training, run = trainings(900)["train"], tmp_path / "runs/a"
    for _ in range(2):
        machines("add")
    running = nas(*training.begun, *training.each_step, "--workers", "2", "--address", machines.address, faults=SOON)
    wait_for(lambda: last_step(run) >= 20, "20 steps", running=running.process)
    lose_the_head(machines, running, "train")
    at = last_step(run)
    with cluster_of(2) as others:
        code, _, error = nas(*training.goes_on, "--workers", "2", "--address", others.address).wait()
    assert code == 0, error
    # The workers may have taken some steps more before they were missed.
    found = re.search(r"goes on after step (\d+)", error)
    assert found is not None, error
    assert int(found[1]) >= at
