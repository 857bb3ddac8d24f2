"""Ray under a search is killed, or its machines come and go."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Search, left_of_ray, rows, wait_for

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

Start = Callable[..., Search]
TOY = ("--space", "toy.yaml", "--train-length", "40", "--seed", "3", "--sampler", "random", "--dtype", "float32")


@pytest.mark.timeout(900)
def test_a_search_whose_ray_is_killed_altogether_says_so_and_goes_on(search: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    running = search(*TOY, "--budget", "30", "--workers", "2", "--out", "a")
    wait_for(lambda: len(rows(run)) >= 2, "two trials", running=running.process)
    family = running.family()
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    code, _, error = running.wait()
    finished = rows(run)
    assert code == 1, error
    assert "Ray was lost" in error
    assert "what was finished is kept; to go on: nas search --resume runs/a" in error
    assert "Traceback" not in error
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert left_of_ray(running.process.pid) == []
    code, _, error = search("--resume", "a", "--budget", str(len(finished) + 3)).wait()
    assert code == 0, error
    assert rows(run)[: len(finished)] == finished
    assert sorted(row["index"] for row in rows(run)) == list(range(len(finished) + 3))
