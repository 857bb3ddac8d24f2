"""`nas replay`: what it says, its exit codes."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from nas.search import SearchConfig
from results import Objective, RunWriter
from search_space import Space, load_space
from tests.nas.cli.conftest import make_trial

Nas = Callable[..., Any]
NUM_ASKED = 3


@pytest.fixture
def searched(folder: Path) -> Path:
    """runs/asked: three networks at random, all in flight."""
    from nas.search.proposals import make_sampler

    config, space = SearchConfig(sampler="random", seed=4), load_space("efficientnetv2-tiny")
    objective = Objective(reference_params=space.reference.params)
    document = {
        "search": json.loads(json.dumps(asdict(config), default=str)),
        "space": json.loads(space.to_json()),
        "image_size": 32,
    }
    sampler = make_sampler(
        config, space, image_size=32, objective=objective, step_times=lambda archs: [None] * len(archs)
    )
    with RunWriter.create(Path("runs/asked"), config=document, objective=objective) as writer:
        for index in range(NUM_ASKED):
            writer.ask(index, sampler.ask(index).decisions)
    return folder / "runs/asked"


def test_a_run_that_is_as_on_record(nas: Nas, searched: Path) -> None:
    said = nas("replay", "asked")
    assert (said.code, said.out, said.err) == (0, "asked: all 3 proposals as on record\n", "")
    assert nas("replay", "asked", "--json").document == {
        "run": "asked",
        "num_same": 3,
        "num_untold": 0,
        "differs": None,
    }


def test_a_run_that_is_not(nas: Nas, searched: Path) -> None:
    path = searched / "asks.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["decisions"][0] = 1 - lines[1]["decisions"][0]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = nas("replay", "asked")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: asked: 1 proposals as on record, then trial 1: on record is (")
    said = nas("replay", "asked", "--json")
    assert said.code == 1
    assert said.document["num_same"] == 1
    assert said.document["differs"].startswith("trial 1: on record is (")


def test_a_record_of_proposals_that_was_emptied_is_damage(nas: Nas, searched: Path) -> None:
    config = json.loads((searched / "config.json").read_text())
    arch = Space.from_json(json.dumps(config["space"])).reference
    with RunWriter.resume(searched) as writer:
        writer.append(replace(make_trial(0, accuracy=None), arch=arch, key=arch.key))
    (searched / "asks.jsonl").write_text("")
    said = nas("replay", "asked")
    problem = "the record of proposals is missing or damaged: it has none for trial 0"
    assert (said.code, said.out) == (2, "")
    assert said.err == f"error: {Path('runs/asked/asks.jsonl')}: {problem}\n"


def test_bad_input_names_the_rule(nas: Nas, a_run: Path) -> None:
    for arguments, rule in (
        (["nowhere"], "no run 'nowhere'"),
        (["first"], "config.json"),
        ([], "RUN"),
    ):
        said = nas("replay", *arguments)
        assert (said.code, said.out) == (2, "")
        assert rule in said.err
        assert "Traceback" not in said.err
