"""Which trial Tune is told to give a worker to, what becomes of workers then, and what it holds."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from nas.search.tune_scheduler import LatestFirst
from results import load

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SEARCH = """
import gc, json, os, sys
from unittest import mock
from nas.cli import main
from nas.search.driver import Driver
from nas.search.loop import SearchLoop

held = []

def finish(loop, *arguments):
    from ray.tune.experiment import Trial
    held.append(sum(isinstance(each, Trial) for each in gc.get_objects()))
    plain(loop, *arguments)

plain = SearchLoop.finish
with mock.patch.object(Driver, "EVALUATOR", "made_up"), mock.patch.object(SearchLoop, "finish", finish):
    code = main(["search", *sys.argv[1:]])
assert not {"torch", "mlflow", "wandb"} & {*sys.modules}
with open(os.environ["HELD"], "w") as file:
    json.dump(held, file)
sys.exit(code)
"""


class Cache:
    """Counts as Tune's does how many free workers are kept."""

    def __init__(self) -> None:
        self.kept: Counter[str] = Counter()

    def increase_max(self, key: str, by: int = 1) -> None:
        self.kept[key] += by


def trial() -> Any:
    return SimpleNamespace(status=Trial.PENDING, placement_group_factory="a processor")


def test_the_one_asked_for_last_is_first_and_earlier_ones_come_to_their_turn() -> None:
    scheduler, controller, trials = LatestFirst(2), SimpleNamespace(_actor_cache=Cache()), [trial() for _ in range(3)]
    for each in trials:
        scheduler.on_trial_add(controller, each)
        assert scheduler.choose_trial_to_run(controller) is each
    for running, then in ((2, trials[1]), (0, trials[1]), (1, None)):
        trials[running].status = Trial.RUNNING
        assert scheduler.choose_trial_to_run(controller) is then
        assert scheduler.choose_trial_to_run(controller) is then
    later = trial()
    scheduler.on_trial_add(controller, later)
    assert scheduler.choose_trial_to_run(controller) is later


def test_so_many_free_workers_are_kept_as_there_are() -> None:
    scheduler, controller = LatestFirst(3), SimpleNamespace(_actor_cache=Cache())
    for _ in range(4):
        scheduler.on_trial_add(controller, trial())
    assert controller._actor_cache.kept == {"a processor": 3}


def search(folder: Path, *, seconds: float, budget: int) -> list[int]:
    """Made-up trials of so many seconds; how many of Tune's trials the driver held whenever one ended."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((os.environ.get("PYTHONPATH", ""), str(BENCHMARKS))),
        "NAS_CACHE_DIR": str(folder / "cache"),
        "WORK_S": str(seconds),
        "WORK_LOG": str(folder / "log"),
        "HELD": str(folder / "held"),
    }
    words = ["--out", str(folder / "run"), "--budget", str(budget), "--workers", "2", "--sampler", "random"]
    ended = subprocess.run(
        [sys.executable, "-c", SEARCH, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    held: list[int] = json.loads((folder / "held").read_text())
    return held


@pytest.mark.slow
def test_tune_holds_no_trial_that_has_ended(tmp_path: Path) -> None:
    held = search(tmp_path, seconds=0.02, budget=30)
    assert len(held) == 30
    assert max(held) <= 6


@pytest.mark.long
def test_short_trials_have_all_workers_and_a_confirmation_has_the_same(tmp_path: Path) -> None:
    """Of a second's work each, which is less than a worker takes to start."""
    search(tmp_path, seconds=1, budget=60)
    trials = load(tmp_path / "run").trials
    workers = {trial.worker for trial in trials}
    assert len(workers) == 2
    assert {trial.worker for trial in trials if trial.repeat} == workers
    assert sum(trial.repeat > 0 for trial in trials) == 12
