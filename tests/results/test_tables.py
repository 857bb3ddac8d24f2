"""Rows say what the trials say."""

import csv
from collections.abc import Callable

import pytest

from results import Objective, TrialResult, front_csv, front_rows, front_text, text_table

MakeTrial = Callable[..., TrialResult]


def test_a_row_holds_what_was_measured(trial: MakeTrial, objective: Objective) -> None:
    made = trial(5, accuracy=0.75, num_evaluated=400)
    (row,) = front_rows([made], objective)
    assert (row.trial, row.accuracy, row.params, row.macs, row.seed) == (5, 0.75, made.params, made.macs, 7)
    assert row.device == row.to_dict()["device"] == "cpu"
    assert (row.step_time_ratio_low, row.step_time_ratio, row.step_time_ratio_high) == (0.9, 1.0, 1.1)
    assert row.reward == objective.reward(made)
    assert row.accuracy_low is not None
    assert row.accuracy_high is not None
    assert row.accuracy_low < 0.75 < row.accuracy_high
    assert row.to_dict()["arch"]["stages"][0]["op"] == "mbconv"


def test_the_table_reads(trial: MakeTrial, objective: Objective) -> None:
    trials = [trial(12, accuracy=0.75, num_evaluated=400), trial(3, num_evaluated=None, step_time_ratio=0.25)]
    text = front_text(front_rows(trials, objective))
    header, first, second = text.splitlines()
    assert header.split() == ["trial", "accuracy", "step", "time", "params", "MACs", "reward", "network"]
    assert first.split()[:5] == ["12", "75.0", "%", "+-", "4.5"]
    assert second.split()[:5] == ["3", "50.0", "%", "0.250", "x"]
    assert first.endswith(str(trials[0].arch))
    assert first.index("stem") == second.index("stem") == header.index("network")
    assert front_text([]).split() == header.split()


def test_the_csv_reads_back(trial: MakeTrial, objective: Objective) -> None:
    rows = front_rows([trial(0), trial(1, num_evaluated=None)], objective)
    read = list(csv.DictReader(front_csv(rows).splitlines()))
    assert [int(line["trial"]) for line in read] == [0, 1]
    assert [float(line["reward"]) for line in read] == [row.reward for row in rows]
    assert read[1]["accuracy_low"] == ""
    assert read[0]["arch"] == str(rows[0].arch)
    assert len(front_csv([]).splitlines()) == 1


@pytest.mark.parametrize(
    ("device", "cell"),
    [("NVIDIA A100, 80GB", "NVIDIA A100, 80GB"), ("=1+1", "'=1+1"), ("\t=1", "'?=1"), ("a\x1b[2J\nb", "a?[2J?b")],
)
def test_a_devices_name_is_no_formula_and_no_command(
    trial: MakeTrial, objective: Objective, device: str, cell: str
) -> None:
    text = front_csv(front_rows([trial(0, device=device)], objective))
    assert len(text.splitlines()) == 2
    assert next(csv.DictReader(text.splitlines()))["device"] == cell


def test_columns_stand_under_their_headers() -> None:
    assert text_table(("name", "n"), [("a", "1"), ("long one", "22")], left=("name",)) == (
        "name       n\na          1\nlong one  22"
    )
