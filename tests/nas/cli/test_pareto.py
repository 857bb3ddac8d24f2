"""`nas pareto`: three formats of one front, also of a run that is torn or not ours."""

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.nas.cli.conftest import HOSTILE_DEVICE

Nas = Callable[..., Any]
UNSURE = "not confirmed: the ranking rests on one accuracy of each network"


def test_the_front_as_a_table(nas: Nas, a_run: Path) -> None:
    said = nas("pareto", "first")
    assert said.code == 0
    assert said.err == ""
    first, header, *rows, best, last = said.out.splitlines()
    assert first == "first: 4 trials, 3 measured in full, 2 on the front"
    assert header.split()[0] == "trial"
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert best == f"best reward: trial 1, {UNSURE}"
    assert last == "see it with: nas describe first:1"


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
    assert (document["question"], document["notes"], found["confirmed"]) == (None, [], [])


def test_the_front_as_csv(nas: Nas, a_run: Path) -> None:
    rows = list(csv.DictReader(nas("pareto", "first", "--format", "csv").out.splitlines()))
    assert [(row["trial"], row["accuracy"]) for row in rows] == [("1", "0.9"), ("2", "0.8")]
    said = nas("pareto", "first", "--format", "csv", "--json")
    assert said.code == 2
    assert "exclude each other" in said.document["error"]


def test_the_front_as_parquet(nas: Nas, split_run: Path, folder: Path) -> None:
    said = nas("pareto", "split", "--format", "parquet", "--out", "front.parquet", "--v", "0")
    assert (said.code, said.out) == (0, "front.parquet: 3 on the front\n")
    assert said.err.startswith("asked anew: ")
    table = parquet.read_table(folder / "front.parquet")
    printed = list(csv.DictReader(nas("pareto", "split", "--format", "csv", "--v", "0").out.splitlines()))
    rows = table.to_pylist()
    assert [(row["trial"], row["device"], row["best"]) for row in rows] == [
        (2, "T4", True),
        (1, "T4", False),
        (3, HOSTILE_DEVICE, True),
    ]
    for column in ("accuracy", "step_time_ratio", "reward"):
        assert [row[column] for row in rows] == [float(row[column]) for row in printed]
    assert table.schema.field("accuracy").metadata[b"unit"] == b"share"


def test_a_front_without_networks_as_parquet(nas: Nas, a_run: Path, folder: Path) -> None:
    (folder / "front.parquet").write_text("what was there")
    said = nas("pareto", "first", "--format", "parquet", "--out", "front.parquet", "--min-accuracy", "1")
    assert (said.code, said.out) == (0, "front.parquet: 0 on the front\n")
    table = parquet.read_table(folder / "front.parquet")
    assert (table.num_rows, table.schema.field("params").type) == (0, pa.int64())


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (("--format", "parquet"), "--format parquet needs --out FILE, as parquet is not text that could be printed"),
        (("--out", "x.csv"), "--out goes with --format parquet, got --format table, which is printed"),
        (("--format", "parquet", "--out", "runs"), "--out must be a file in a folder that exists, got 'runs'"),
        (("--format", "parquet", "--out", "no/x"), "--out must be a file in a folder that exists, got 'no/x'"),
        (("--format", "parquet", "--out", "x", "--json"), "--json and --format parquet exclude each other"),
    ],
)
def test_a_format_that_breaks_a_rule(nas: Nas, a_run: Path, folder: Path, flags: tuple[str, ...], rule: str) -> None:
    said = nas("pareto", "first", *flags)
    assert (said.code, said.err) == (2, f"error: {rule}\n")
    assert [path.name for path in folder.iterdir()] == ["runs"]


def test_several_devices_have_a_table_each(nas: Nas, split_run: Path) -> None:
    said = nas("pareto", "split")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "split: 4 trials, 3 measured in full on 2 devices; step times of different devices do not compare: "
        "a front for each"
    )
    first, second = said.out.split("\n\n")[1:]
    title, _, *rows, best, see = first.splitlines()
    assert title == "T4: 2 measured in full, 2 on the front"
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert (best, see) == (f"best reward: trial 2, {UNSURE}", "see it with: nas describe split:2")
    title, _, row, best, see = second.splitlines()
    assert title == "=A?[2J 100: 1 measured in full, 1 on the front"
    assert row.split()[0] == "3"
    assert (best, see) == (f"best reward: trial 3, {UNSURE}", "see it with: nas describe split:3")


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
        "error: no run 'frist': neither a folder with a config.json nor a name below runs/ "
        "(did you mean 'first'? runs/ holds first)\n"
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


def test_a_confirmed_run_says_how_sure_it_is(nas: Nas, confirmed_run: Path) -> None:
    said = nas("pareto", "sure")
    assert said.err == ""
    first, header, *rows, best, last = said.out.splitlines()
    assert first == "sure: 7 trials, 7 measured in full, 3 on the front"
    assert header.split()[-4:] == ["reward", "confirmed", "P(best)", "network"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert "  2 x  " in rows[0]
    assert best.startswith("tied for the best reward (95 %): trials 1 (P(best) 0.")
    assert last == "see it with: nas describe sure:1"
    found = nas("pareto", "sure", "--json").document["by_device"]["cpu"]
    assert [row["trial"] for row in found["confirmed"]] == [1, 2]
    assert sum(row["p_best"] for row in found["confirmed"]) == pytest.approx(1)
    assert all(row["tied"] and row["num_trainings"] == 2 for row in found["confirmed"])
    assert found["confirmed"][0]["accuracy"] == pytest.approx(0.81)
    assert (found["num_ok"], found["best"]) == (7, 1)


def test_the_question_can_be_changed_afterwards(nas: Nas, confirmed_run: Path) -> None:
    said = nas("pareto", "sure", "--w", "-0.3", "--v", "0", "--max-step-time", "1", "--min-accuracy", "0.71")
    assert (said.code, said.err) == (0, "")
    asked, first, _, row, best, last = said.out.splitlines()
    assert asked == (
        "asked anew: w -0.3, v 0, max_params 5000, max_step_time 1, min_accuracy 0.71; "
        "the search was asked: w -0.07, v -0.05, max_params 5000, max_step_time 2.5"
    )
    assert first.endswith(", 1 on the front")
    assert row.split()[0] == "2"
    assert best == "best reward: trial 2, confirmed by 2 trainings; no other network is confirmed"
    assert last == "see it with: nas describe sure:2"


def test_every_format_answers_the_question_asked(nas: Nas, confirmed_run: Path) -> None:
    flags = ("--w", "-1", "--v", "0", "--min-params", "2000")
    asked = (
        "asked anew: w -1, v 0, max_params 5000, min_params 2000, max_step_time 2.5; "
        "the search was asked: w -0.07, v -0.05, max_params 5000, max_step_time 2.5"
    )
    document = nas("pareto", "sure", *flags, "--json").document
    assert document["question"] == asked
    assert document["objective"] == {"reference_params": 2000, "w": -1.0, "v": 0.0}
    assert document["limits"] == {
        "max_params": 5000,
        "min_params": 2000,
        "max_step_time": 2.5,
        "min_accuracy": None,
    }
    found = document["by_device"]["cpu"]
    assert found["best"] == 2
    rewards = {row["trial"]: row["reward"] for row in found["front"]}
    assert rewards == pytest.approx({1: 0.81 / 2, 2: 0.715 / 0.5, 3: 0.7 / 0.4})
    said = nas("pareto", "sure", *flags, "--format", "csv")
    assert said.err == f"{asked}\n"
    read = {int(row["trial"]): float(row["reward"]) for row in csv.DictReader(said.out.splitlines())}
    assert read == pytest.approx(rewards)
    assert "trained once and not confirmed, of a higher reward: trial 3 (1.7500)" in nas("pareto", "sure", *flags).out


def test_what_is_asked_as_the_run_was_is_no_other_question(nas: Nas, confirmed_run: Path) -> None:
    plain = nas("pareto", "sure")
    assert nas("pareto", "sure", "--w", "-0.07", "--max-params", "5000") == plain


@pytest.mark.parametrize(
    ("flags", "ran", "worse"),
    [
        (("--max-params", "6000"), "max_params 5000", "larger"),
        (("--no-limits",), "max_params 5000 and max_step_time 2.5", "larger or slower"),
        (("--no-limits", "--max-params", "4000"), "max_step_time 2.5", "slower"),
        (("--no-limits", "--max-params", "4000", "--max-step-time", "2.5"), None, None),
        (("--min-accuracy", "0"), None, None),
    ],
)
def test_what_was_never_trained_is_told(
    nas: Nas, confirmed_run: Path, flags: tuple[str, ...], ran: str | None, worse: str | None
) -> None:
    said = nas("pareto", "sure", *flags)
    assert said.code == 0
    notes = (
        []
        if ran is None
        else [f"the search ran under {ran}: networks that are {worse} were never trained and cannot be shown"]
    )
    assert said.err.splitlines() == [f"note: {note}" for note in notes]
    assert nas("pareto", "sure", *flags, "--json").document["notes"] == notes


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (("--w", "nan"), "--w must be a number from -10 to 10, got nan"),
        (("--v", "11"), "--v must be a number from -10 to 10, got 11.0"),
        (("--max-params", "0"), "--max-params must be an integer of at least 1, got 0"),
        (("--max-step-time", "-1"), "--max-step-time must be finite and above 0, got -1.0"),
        (("--min-accuracy", "80"), "--min-accuracy must be a share from 0 to 1, got 80.0"),
        (("--min-params", "7", "--max-params", "5"), "--min-params must be at most max_params, 5, got 7"),
        (
            ("--min-params", "6000"),
            "--min-params must be at most max_params, 5000, got 6000; one of them is the run's own, which --no-limits "
            "drops",
        ),
    ],
)
def test_a_question_that_breaks_a_rule_names_the_flag(
    nas: Nas, confirmed_run: Path, flags: tuple[str, ...], rule: str
) -> None:
    said = nas("pareto", "sure", *flags)
    assert (said.code, said.out, said.err) == (2, "", f"error: {rule}\n")


@pytest.mark.parametrize("ratio", [1e-300, 1e300])
def test_a_step_time_that_cannot_be_is_damage(nas: Nas, a_run: Path, ratio: float) -> None:
    path = a_run / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["step_time_ratio"] = ratio
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = nas("pareto", "first", "--w", "-10")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {Path('runs/first/trials.jsonl')}, line 2 is damaged: ")
    assert "step_time_ratio must be at least 1e-06 and at most 1e+06" in said.err
