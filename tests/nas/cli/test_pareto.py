"""`nas pareto`: three formats of one front, also of a run that is torn or not ours."""

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.nas.cli.conftest import HOSTILE_DEVICE

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
    assert list(document["by_device"]) == ["cpu"]
    found = document["by_device"]["cpu"]
    assert [(row["trial"], row["device"]) for row in found["front"]] == [(1, "cpu"), (2, "cpu")]
    assert found["front"][0]["accuracy_low"] < 0.9 < found["front"][0]["accuracy_high"]
    assert (found["num_ok"], found["best"]) == (3, 1)
    assert 0 < found["hypervolume"] < 1
    assert document["objective"] == {"reference_params": 2000, "w": -0.07, "v": -0.05}
    assert document["notes"] == []


def test_the_front_as_csv(nas: Nas, a_run: Path) -> None:
    rows = list(csv.DictReader(nas("pareto", "first", "--format", "csv").out.splitlines()))
    assert [(row["trial"], row["accuracy"]) for row in rows] == [("1", "0.9"), ("2", "0.8")]
    said = nas("pareto", "first", "--format", "csv", "--json")
    assert said.code == 2
    assert "exclude each other" in said.document["error"]


def test_several_devices_have_a_table_each(nas: Nas, split_run: Path) -> None:
    said = nas("pareto", "split")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "split: 4 trials, 3 measured in full on 2 devices; step times of different devices do not compare: "
        "a front for each"
    )
    first, second = said.out.split("\n\n")[1:]
    title, _, *rows, best = first.splitlines()
    assert title == "T4: 2 measured in full, 2 on the front"
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert best == "best reward: trial 2; see it with: nas describe split:2"
    title, _, row, best = second.splitlines()
    assert title == "=A?[2J 100: 1 measured in full, 1 on the front"
    assert row.split()[0] == "3"
    assert best == "best reward: trial 3; see it with: nas describe split:3"


def test_one_device_of_several_is_shown(nas: Nas, split_run: Path) -> None:
    said = nas("pareto", "split", "--device", "T4")
    assert said.code == 0
    assert "T4: 2 measured in full, 2 on the front" in said.out
    assert "=A" not in said.out
    assert list(nas("pareto", "split", "--device", "T4", "--json").document["by_device"]) == ["T4"]
    said = nas("pareto", "split", "--device", HOSTILE_DEVICE, "--json")
    assert [row["trial"] for row in said.document["by_device"][HOSTILE_DEVICE]["front"]] == [3]
    said = nas("pareto", "split", "--device", "unknown")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error: runs/split: no trial was measured in full on device 'unknown' "
        "(it has trials of 'T4' (2), '=A\\x1b[2J\\n100' (1))\n"
    )


def test_several_devices_as_json_and_csv(nas: Nas, split_run: Path) -> None:
    found = nas("pareto", "split", "--json").document["by_device"]
    assert {device: (of_it["best"], [row["trial"] for row in of_it["front"]]) for device, of_it in found.items()} == {
        "T4": (2, [2, 1]),
        HOSTILE_DEVICE: (3, [3]),
    }
    assert all(row["device"] == device for device, of_it in found.items() for row in of_it["front"])
    said = nas("pareto", "split", "--format", "csv")
    rows = list(csv.DictReader(said.out.splitlines()))
    assert [(row["trial"], row["device"]) for row in rows] == [("2", "T4"), ("1", "T4"), ("3", "'=A?[2J?100")]


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
    assert nas("pareto", "first", "--json").document["by_device"] == {}
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
