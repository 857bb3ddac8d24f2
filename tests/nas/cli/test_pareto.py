"""`nas pareto`: three formats of one front, also of a run that is torn or not ours."""

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nas = Callable[..., Any]


def test_the_front_as_a_table(nas: Nas, a_run: Path) -> None:
    said = nas("pareto", "first")
    assert said.code == 0
    assert said.err == ""
    first, header, *rows, last = said.out.splitlines()
    assert first == "first: 4 trials, 3 measured in full, 2 on the front"
    assert header.split()[0] == "trial"
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert last == "best reward: trial 1; see it with: nas describe first:1"


@pytest.mark.parametrize("how", ["runs/first", "./runs/first/", "first"])
def test_a_run_is_found_by_path_and_by_name(nas: Nas, a_run: Path, how: str) -> None:
    assert nas("pareto", how).code == 0


@pytest.mark.parametrize("flags", [("--json",), ("--format", "json"), ("--json", "--format", "json")])
def test_the_front_as_json(nas: Nas, a_run: Path, flags: tuple[str, ...]) -> None:
    said = nas("pareto", "first", *flags)
    assert said.code == 0
    document = said.document
    assert document["run"] == "first"
    assert document["num_trials"] == 4
    assert document["num_by_status"] == {"failed": 1, "ok": 3}
    assert [row["trial"] for row in document["front"]] == [1, 2]
    assert document["front"][0]["accuracy_low"] < 0.9 < document["front"][0]["accuracy_high"]
    assert document["objective"] == {"reference_params": 2000, "w": -0.07, "v": -0.05}
    assert 0 < document["hypervolume"] < 1
    assert document["notes"] == []


def test_the_front_as_csv(nas: Nas, a_run: Path) -> None:
    rows = list(csv.DictReader(nas("pareto", "first", "--format", "csv").out.splitlines()))
    assert [(row["trial"], row["accuracy"]) for row in rows] == [("1", "0.9"), ("2", "0.8")]
    said = nas("pareto", "first", "--format", "csv", "--json")
    assert said.code == 2
    assert "exclude each other" in said.document["error"]


def test_no_such_run_lists_those_there_are(nas: Nas, a_run: Path) -> None:
    said = nas("pareto", "frist")
    assert said.code == 2
    assert said.err == (
        "error: no run 'frist': neither a folder with a config.json nor a name below runs/ (runs/ holds first)\n"
    )
    for odd in ("", "\x00", "x" * 5000, "..", "/"):
        assert nas("pareto", odd).code == 2


def test_a_torn_line_is_told_beside_the_result(nas: Nas, a_run: Path) -> None:
    path = a_run / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    said = nas("pareto", "first", "--json")
    assert said.code == 0
    assert said.document["num_trials"] == 3
    assert "line 4: cut off" in said.document["notes"][0]
    assert said.err == f"note: {said.document['notes'][0]}\n"


def test_a_damaged_line_is_named(nas: Nas, a_run: Path) -> None:
    path = a_run / "trials.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"seed":1', '"seed":1,"\\u001b[2Jevil":1')
    path.write_text("\n".join(lines) + "\n")
    said = nas("pareto", "first")
    assert said.code == 2
    assert said.err.startswith("error: runs/first/trials.jsonl, line 2 is damaged: ")
    assert "\x1b" not in said.err


def test_a_run_without_a_front(nas: Nas, a_run: Path) -> None:
    (a_run / "trials.jsonl").write_text((a_run / "trials.jsonl").read_text().splitlines()[0] + "\n")
    assert nas("pareto", "first").out == "first: 1 trials, 0 measured in full, 0 on the front\n"
    assert nas("pareto", "first", "--json").document["front"] == []
    assert len(nas("pareto", "first", "--format", "csv").out.splitlines()) == 1


def test_a_strangers_run_only_gets_read(nas: Nas, a_run: Path, folder: Path) -> None:
    canary = folder / "canary"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
            return os.mkdir, (str(canary),)

    for name in ("tuner.pkl", "experiment_state.json", "checkpoint.pt", "summary.json"):
        (a_run / name).write_bytes(pickle.dumps(Bomb()))
    hostile = folder / "runs" / "a\x1b[31mb\nc"
    a_run.rename(hostile)
    before = {path: path.read_bytes() for path in hostile.iterdir()}
    said = nas("pareto", str(hostile))
    assert said.code == 0
    assert "\x1b" not in said.out
    assert json.loads(nas("pareto", str(hostile), "--json").out)["run"] == hostile.name
    assert not canary.exists()
    assert {path: path.read_bytes() for path in hostile.iterdir()} == before
