"""The driver's clock, without Ray: what a killed session leaves, and where the next one begins."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from nas.cluster import Cluster, Node
from nas.search import driver as module
from nas.search.config import SearchConfig
from nas.search.driver import Driver
from nas.search.plan import Plan
from nas.search.progress import Progress
from nas.search.run import resources_of
from results import RunWriter
from search_space import load_space


def test_the_budget_counts_what_was_spent_before_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    config = SearchConfig(data="digits", image_size=8, budget="60s", train_length="9", device="cpu")
    plan = Plan.of(config, load_space(config.space))
    cluster = Cluster(scratch=tmp_path, nodes=(Node(1, 0),))
    resources, compute = resources_of(config, cluster)
    run, killed = tmp_path / "run", tmp_path / "killed"
    began_at: list[float] = []

    def session(writer: RunWriter, started: float) -> None:
        with writer:
            driver = Driver(
                plan, writer, cluster, resources, compute, Progress(Console(file=io.StringIO())), started=started
            )
            began_at.append(driver._now_s())
            driver.run(choose_dtype=False)

    def first(loop: Any, **options: Any) -> None:
        """Ticks each second; killed two seconds after a note."""
        nonlocal now
        for _ in range(33):
            now += 1
            options["on_tick"]()
        shutil.copytree(run, killed)

    def second(loop: Any, **options: Any) -> None:
        assert loop.keeper.left(began_at[-1]) == 60 - 31.5 - 4
        assert loop.next() is not None

    monkeypatch.setattr(module, "run_search", first)
    session(RunWriter.create(run, config=plan.for_record(), objective=plan.objective()), started=99.5)
    assert began_at == [0.5]

    def over(loop: Any, **options: Any) -> None:
        assert (loop.over, loop.stop_reason) == (True, "the budget is used up"), "no probe is asked for"

    monkeypatch.setattr(module, "run_search", second)
    session(RunWriter.resume(killed), started=now - 4)
    # The one that ended by itself has noted its end.
    monkeypatch.setattr(module, "run_search", lambda loop, **options: None)
    session(RunWriter.resume(run), started=now)
    assert began_at[2] == 33.5
    monkeypatch.setattr(module, "run_search", over)
    session(RunWriter.resume(run), started=now - 30)
