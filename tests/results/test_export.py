"""What is exported is read back by others as it was."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from results import COLUMNS, RunWriteError, TrialResult, load

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]
NAMES = ["trials", "stages", "networks"]


def _hostile(trial: MakeTrial) -> list[TrialResult]:
    return [
        trial(0, device="=1+1", worker="@host\n\x1b[2J"),
        trial(1, status="failed", reason='+cmd|" /C calc"!A0, <b>', device="-x"),
        trial(2, status="failed", reason="plain, with a comma", device="ok"),
    ]


def test_parquet_reads_back_as_the_frames(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    run = load(new_run(*_hostile(trial)))
    paths = run.to_parquet(tmp_path / "new" / "out", max_step_time=0.5)
    assert [path.name for path in paths] == [f"{name}.parquet" for name in NAMES]
    frames = [run.trials_frame(max_step_time=0.5), run.stages_frame(), run.networks_frame(max_step_time=0.5)]
    assert len(frames[2]) == 0
    for path, frame in zip(paths, frames, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
        schema = parquet.read_schema(path)
        for column in COLUMNS[path.stem]:
            if column.name in frame:
                told = schema.field(column.name).metadata
                assert told == {b"unit": column.unit.encode(), b"meaning": column.meaning.encode()}
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)


def test_csv_reads_back_and_holds_no_formula(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    run = load(new_run(*_hostile(trial)))
    trials, stages, networks = run.to_csv(tmp_path)
    rows = list(csv.DictReader(trials.read_text().splitlines()))
    assert [row["device"] for row in rows] == ["'=1+1", "'-x", "ok"]
    assert rows[0]["worker"] == "'@host??[2J"
    assert [row["reason"] for row in rows] == ["", "'" + '+cmd|" /C calc"!A0, <b>', "plain, with a comma"]
    assert [row["accuracy"] for row in rows] == ["0.5", "", ""]
    frame = run.trials_frame()
    types = {
        column.name: column.dtype for column in COLUMNS["trials"] if column.dtype in ("Int64", "Float64", "boolean")
    }
    read = pd.read_csv(trials, dtype=types)
    for name in types:
        pd.testing.assert_series_equal(read[name], frame[name])
    assert len(pd.read_csv(stages)) == 3
    assert pd.read_csv(networks)["device"].tolist() == ["'=1+1"]
    for path in (trials, stages, networks):
        for row in csv.reader(path.read_text().splitlines()):
            assert not [cell for cell in row if cell[:1] in "=+@\t\r" and cell], path


def test_what_is_there_is_replaced_and_nothing_else_is_touched(
    new_run: NewRun, trial: MakeTrial, tmp_path: Path
) -> None:
    run, out = load(new_run(trial(0))), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    (out / "trials.csv").symlink_to(outside)
    run.to_csv(out)
    run.to_csv(out)
    assert sorted(path.name for path in out.iterdir()) == ["mine.txt", "networks.csv", "stages.csv", "trials.csv"]
    assert outside.read_text() == "theirs"
    assert not (out / "trials.csv").is_symlink()


def test_a_folder_that_cannot_be_written_is_named(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    run = load(new_run(trial(0)))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunWriteError, match=r"file: could not be made"):
        run.to_parquet(tmp_path / "file")
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(RunWriteError, match=r"trials\.csv: could not be written"):
            run.to_csv(tmp_path / "closed")
