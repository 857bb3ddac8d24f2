"""The driver is killed again and again, at moments that nobody chose."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Search, left_of_ray, rows, wait_for
from tests.faults.trainings import COMMANDS, trainings

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

Start = Callable[..., Search]
KILLS = 20
STEPS = {"train": 900, "supernet train": 300, "scale --train": 900}


@pytest.mark.timeout(3000)
def test_a_search_killed_at_random_moments_is_the_search_that_was_not(nas: Start, tmp_path: Path) -> None:
    """From its start on: also before the first trial, and before the folder is there."""
    options = ("--space", "toy.yaml", "--train-length", "40", "--seed", "3", "--sampler", "random", "--workers", "2")
    begun = ("search", *options, "--dtype", "float32", "--budget", "24", "--out")
    code, _, error = nas(*begun, "plain").wait()
    assert code == 0, error
    run, draws = tmp_path / "runs/a", random.Random(7)
    kills, num_finished, pids = 0, 0, []
    while True:
        command = ("search", "--resume", "a") if (run / "config.json").exists() else (*begun, "a")
        running = nas(*command)
        pids.append(running.process.pid)
        end = time.monotonic() + draws.uniform(1, 25)
        while kills < KILLS and time.monotonic() < end and running.process.poll() is None:
            time.sleep(0.05)
        if kills < KILLS and running.process.poll() is None:
            running.kill()
            kills += 1
            assert len(rows(run)) >= num_finished, "what was finished is lost"
            num_finished = len(rows(run))
            continue
        code, _, error = running.wait()
        assert code == 0, error
        break
    assert kills >= KILLS // 2, "it ended before it was harmed"
    assert sorted(row["index"] for row in rows(run)) == list(range(24))
    assert len({(row["key"], row["repeat"]) for row in rows(run)}) == 24
    # Which are the best, and so trained anew, follows from step times, which are measured.
    outcomes = [
        sorted((row["index"], row["key"], row["seed"], row["status"], row["accuracy"]) for row in found)
        for found in ([row for row in rows(folder) if not row["repeat"]] for folder in (tmp_path / "runs/plain", run))
    ]
    assert outcomes[0] == outcomes[1]
    assert [path for pid in pids for path in left_of_ray(pid)] == []


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(nas: Start, tmp_path: Path, command: str) -> None:
    """Each time some seconds after its start, or where there is a checkpoint; of steps so many that it does not end
    before."""
    training, draws = trainings(STEPS[command])[command], random.Random(11)
    run = training.run(tmp_path)

    def words() -> tuple[str, ...]:
        return training.goes_on if (run / "config.json").exists() else training.begun

    code, _, error = nas(*training.begun).wait()
    assert code == 0, error
    plain = (run / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "runs")
    kills = 0
    for number in range(KILLS):
        running = nas(*words(), *training.each_step)
        if number % 2:
            wait_for(lambda: any(run.glob("checkpoints/*.pt")), "a checkpoint", running=running.process)
        end = time.monotonic() + draws.uniform(1, 12)
        while time.monotonic() < end and running.process.poll() is None:
            time.sleep(0.05)
        if running.process.poll() is not None:
            break
        running.kill()
        kills += 1
    assert kills >= KILLS // 2, "it ended before it was harmed"
    code, _, error = nas(*words()).wait()
    assert code == 0, error
    assert (run / "model.safetensors").read_bytes() == plain
    assert not list(run.rglob(".*.tmp"))
