"""A run's sampler, asked again, proposes what is on record; what was changed since is found."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from nas.search.config import SearchConfig
from nas.search.proposals import make_sampler, outcome_of
from nas.search.replay import replay
from nas.search.samplers import SAMPLERS
from results import Objective, Run, RunError, RunWriter, TrialResult, TrialStatus
from search_space import Space

NewRun = Callable[..., Run]


@pytest.fixture
def new_run(tmp_path: Path, small_space: Space) -> NewRun:
    """A run of `count` trials, three at once, of which the last two are in flight."""

    def make(count: int = 14, **asked: Any) -> Run:
        config = SearchConfig(**asked)
        document = {
            "search": json.loads(json.dumps(asdict(config), default=str)),
            "space": json.loads(small_space.to_json()),
            "image_size": 8,
        }
        objective = Objective(reference_params=small_space.reference.params)
        sampler = make_sampler(
            config, small_space, image_size=8, objective=objective, step_times=lambda archs: [None] * len(archs)
        )
        with RunWriter.create(tmp_path / "run", config=document, objective=objective) as writer:
            running = []
            for index in range(count):
                running.append(sampler.ask(index))
                writer.ask(index, running[-1].decisions)
                if len(running) == 3:
                    candidate = running.pop(index % 2)
                    arch = candidate.arch
                    trial = TrialResult(
                        index=candidate.index,
                        status=TrialStatus.OK,
                        key=arch.key,
                        arch=arch,
                        decisions=candidate.decisions,
                        seed=index,
                        params=arch.params,
                        macs=0,
                        seconds=1.0,
                        device_seconds=1.0,
                        started_s=0.0,
                        ended_s=1.0,
                        worker="host:1",
                        device="cpu",
                        accuracy=1 / (1 + arch.params / 10_000),
                        step_time_ratio=1.0,
                    )
                    writer.append(trial)
                    sampler.tell(candidate, outcome_of(trial))
        return Run(tmp_path / "run")

    return make


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_run_is_replayed_from_its_record(new_run: NewRun, sampler: str) -> None:
    found = replay(new_run(sampler=sampler, seed=5))
    assert (found.num_same, found.num_untold, found.differs) == (14, 0, None)


def test_trainings_anew_change_nothing(new_run: NewRun) -> None:
    run = new_run(sampler="cost-aware")
    best = run.ok[0]
    with RunWriter.resume(run.folder) as writer:
        for repeat in (1, 2):
            writer.append(replace(best, index=writer.next_index, repeat=repeat, accuracy=0.99))
    assert replay(Run(run.folder)).differs is None


def test_another_seed_differs_at_once(new_run: NewRun) -> None:
    run = new_run(sampler="random", seed=5)
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["search"]["seed"] = 6
    path.write_text(json.dumps(config))
    found = replay(Run(run.folder))
    assert found.num_same == 0
    assert (found.differs or "").startswith(
        f"trial 0: on record is {run.asks_file.records[0].decisions}, proposed is ("
    )


def test_what_was_measured_otherwise_is_found_where_it_matters(new_run: NewRun) -> None:
    run = new_run(sampler="cost-aware")
    path = run.folder / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["accuracy"] = 0.1 + 0.8 * (number % 2)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = replay(Run(run.folder))
    assert found.differs is not None
    assert 8 < found.num_same < 14, "the first were drawn without a model"


def as_of_an_older_version(run: Run) -> None:
    (run.folder / "asks.jsonl").unlink()
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))


def test_a_run_of_an_older_version_is_taken_as_it_is(new_run: NewRun) -> None:
    run = new_run(sampler="random")
    as_of_an_older_version(run)
    found = replay(Run(run.folder))
    assert (found.num_same, found.num_untold, found.differs) == (0, 12, None)
    RunWriter.resume(run.folder).close()
    assert replay(Run(run.folder)) == found


def test_a_run_without_the_asks_that_it_had_is_damaged(new_run: NewRun) -> None:
    run = new_run(sampler="random")
    path = run.folder / "asks.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for left in ([], lines[:5], lines[3:], [*lines[:6], *lines[7:]]):
        path.write_text("".join(left))
        kept = {json.loads(line)["index"] for line in left}
        missing = next(trial.index for trial in run.trials_file.records if trial.index not in kept)
        rule = f"asks.jsonl: the record of proposals is missing or damaged: it has none for trial {missing}$"
        with pytest.raises(RunError, match=rule):
            replay(Run(run.folder))
    path.unlink()
    with pytest.raises(RunError, match="is missing or damaged"):
        replay(Run(run.folder))


def test_what_was_asked_for_after_a_run_was_of_an_older_version_is_missed(new_run: NewRun) -> None:
    run = new_run(sampler="random")
    as_of_an_older_version(run)
    with RunWriter.resume(run.folder) as writer:
        writer.append(replace(run.ok[0], index=40, status=TrialStatus.FAILED, reason="it ended", accuracy=None))
    with pytest.raises(RunError, match="is missing or damaged: it has none for trial 40"):
        replay(Run(run.folder))


def test_a_space_that_is_smaller_now_differs(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(sampler="random")
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["search"]["max_params"] = 1
    path.write_text(json.dumps(config))
    found = replay(Run(run.folder))
    assert "within the limits was found" in (found.differs or "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": {}}, "is a validation: its networks were chosen beforehand"),
        ({"image_size": None}, "image_size must be an integer above 0, got None"),
        ({"image_size": True}, "image_size must be an integer above 0, got True"),
        ({"space": {}}, r"config\.json"),
        ({"search": {"sampler": 1}}, "sampler"),
    ],
)
def test_what_cannot_be_replayed_is_refused(new_run: NewRun, changes: dict[str, Any], said: str) -> None:
    run = new_run(2)
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(RunError, match=said):
        replay(Run(run.folder))
