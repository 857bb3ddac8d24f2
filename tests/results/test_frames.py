"""Frames hold what the record holds, with the documented columns, whatever the run's age and state."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

import pandas as pd
import pytest

from results import COLUMNS, Column, RunWriter, TrialResult, TrialStatus, Weights, load
from results.columns import nested_fields, record_columns
from search_space.spec import StageSpec

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]


def check_columns(frame: pd.DataFrame, name: str) -> None:
    """Those of a run in which no network holds another."""
    documented = [column for column in COLUMNS[name] if "." not in column.field]
    assert [(each, str(frame[each].dtype)) for each in frame] == [(each.name, each.dtype) for each in documented]


def test_every_trial_is_a_row_and_what_is_missing_is_na(new_run: NewRun, trial: MakeTrial) -> None:
    made = [
        trial(0),
        trial(1, status="failed", reason="it <broke>", train_steps=None, step_time_precise=None),
        trial(2, step_time_ratio=3.0),
    ]
    run = load(new_run(*made))
    frame = run.trials_frame(max_step_time=2)
    check_columns(frame, "trials")
    assert frame["trial"].tolist() == [0, 1, 2]
    assert frame["status"].tolist() == ["ok", "failed", "ok"]
    assert frame["status"].cat.categories.tolist() == list(TrialStatus)
    assert frame["reason"].fillna("-").tolist() == ["-", "it <broke>", "-"]
    for column in ("accuracy", "reward", "train_steps", "step_time_precise", "within_limits"):
        assert frame[column].isna().tolist() == [False, True, False], column
        assert frame[column][1] is pd.NA
    assert frame["within_limits"].tolist()[::2] == [True, False]
    assert frame["reward"].tolist()[::2] == [run.objective.reward(made[0]), run.objective.reward(made[2])]
    assert run.trials_frame(w=0, v=0)["reward"].tolist()[::2] == [0.5, 0.5]
    assert frame["arch"].tolist() == [str(each.arch) for each in made]
    assert frame["decisions"].tolist() == ["0 1 2"] * 3
    given = [field.name for field in fields(TrialResult) if field.name not in ("index", "status", "decisions", "arch")]
    for name in given:
        assert frame[name].dropna().tolist() == [value for each in made if (value := getattr(each, name)) is not None]


def test_stages_are_tidy(new_run: NewRun, trial: MakeTrial) -> None:
    plain = trial(0)
    second = StageSpec(op="conv", width=24, depth=3, stride=2, kernel=5)
    arch = replace(plain.arch, stages=(*plain.arch.stages, second))
    deep = trial(1, arch=arch, status="failed")
    frame = load(new_run(plain, deep)).stages_frame()
    check_columns(frame, "stages")
    assert frame[["trial", "stage"]].to_numpy().tolist() == [[0, 1], [1, 1], [1, 2]]
    names = [field.name for field in fields(StageSpec)]
    assert frame[names].iloc[2].to_dict() == {name: getattr(second, name) for name in names}
    depth = frame.groupby("trial")["depth"].sum()
    assert depth.tolist() == [len(each.arch.layers) for each in (plain, deep)]


def test_networks_of_each_device_with_their_front(new_run: NewRun, trial: MakeTrial) -> None:
    made = [
        trial(0, accuracy=0.9, step_time_ratio=2.0),
        trial(1, accuracy=0.8, step_time_ratio=2.5),
        trial(2, accuracy=0.7, step_time_ratio=0.5, device="T4"),
        trial(3, status="failed"),
    ]
    run = load(new_run(*made))
    frame = run.networks_frame()
    check_columns(frame, "networks")
    assert frame[["trial", "device", "on_front", "best"]].to_numpy().tolist() == [
        [0, "cpu", True, True],
        [1, "cpu", False, False],
        [2, "T4", True, True],
    ]
    expected = [network for device in run.devices for network in run.networks(device=device)]
    for name in ("accuracy_low", "reward", "params", "key"):
        assert frame[name].tolist() == [getattr(network, name) for network in expected]
    assert frame["reward_low"].isna().all()
    assert run.networks_frame(device="T4")["trial"].tolist() == [2]
    assert run.networks_frame(max_step_time=2.2)["trial"].tolist() == [0, 2]


def test_a_run_without_trials_has_frames_of_the_same_dtypes(new_run: NewRun) -> None:
    run = load(str(new_run()))
    for name, frame in (
        ("trials", run.trials_frame()),
        ("stages", run.stages_frame()),
        ("networks", run.networks_frame()),
    ):
        assert len(frame) == 0
        check_columns(frame, name)


def test_a_run_that_is_going_on_is_read_as_it_stands(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0))
    with RunWriter.resume(folder) as writer:
        writer.append(trial(1))
        with (folder / "trials.jsonl").open("a") as file:
            file.write(trial(2).to_json()[:100])
        run = load(folder)
        assert run.trials_frame()["trial"].tolist() == [0, 1]
        assert run.networks_frame()["trial"].tolist() == [0, 1]
        assert "cut off after 100 bytes" in run.notes[0]
        assert run.state.name == "running"


def test_every_column_is_documented() -> None:
    for name, table in COLUMNS.items():
        names = [column.name for column in table]
        assert len(set(names)) == len(names), name
        for column in table:
            assert len(column.meaning) >= 8, f"{name}.{column.name}"
            has_none = "reward" in column.name or column.name == "train_loss"
            assert column.unit or column.dtype != "Float64" or has_none, f"{name}.{column.name}"
    units = {column.name: column.unit for column in COLUMNS["trials"]}
    assert (units["seconds"], units["step_time_s"], units["peak_memory_bytes"]) == ("s", "s", "bytes")
    assert (units["accuracy"], units["step_time_ratio_high"], units["trial"]) == ("share", "of the reference", "")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A record.

    Attributes:
        size_s, other_s: how long it
            is.
        colour: which it has.
        inner: one in it.
    """

    size_s: float | None
    other_s: float
    colour: Colour
    inner: "Leaf | None" = None


def test_columns_follow_from_a_record() -> None:
    assert nested_fields(Leaf) == ["inner"]
    assert record_columns(Leaf) == [
        Column(name="size_s", dtype="Float64", unit="s", meaning="how long it is.", field="size_s"),
        Column(name="other_s", dtype="Float64", unit="s", meaning="how long it is.", field="other_s"),
        Column(
            name="colour",
            dtype="category",
            unit="",
            meaning="which it has.",
            field="colour",
            categories=("red", "blue"),
        ),
    ]


def test_what_trainings_alone_say_has_columns_of_its_own(new_run: NewRun, trial: MakeTrial) -> None:
    judged = [trial(index, weights=Weights.SUPERNET, accuracy=0.3 + 0.1 * index) for index in range(2)]
    alone = [
        trial(10 + repeat, arch=judged[0].arch, repeat=repeat, weights=Weights.OWN, accuracy=0.6 + 0.02 * repeat)
        for repeat in (1, 2)
    ]
    run = load(new_run(*judged, *alone))
    assert run.trials_frame()["weights"].tolist() == ["supernet", "supernet", "own", "own"]
    frame = run.networks_frame()
    assert frame["accuracy"].tolist() == [0.3, 0.4]
    assert frame["alone_accuracy"].fillna(-1).tolist() == pytest.approx([0.63, -1])
    assert frame["alone_num_trainings"].fillna(-1).tolist() == [2, -1]
    assert frame["best"].tolist() == [True, False], "by its trainings alone"
    nested = [column.name for column in COLUMNS["networks"] if column.field.startswith("alone.")]
    assert [name for name in frame if name.startswith("alone_")] == nested
    assert not [name for name in frame if name.startswith("inherited_")]
    assert "alone_key" not in nested
    text = run._repr_html_()
    assert "trained alone, best first:" in text
    assert "by the supernet" in text


def test_none_of_it_needs_torch_ray_or_optuna(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'ray', 'optuna')))\n"
        "import results\n"
        f"run = results.load({str(new_run(trial(0), trial(1)))!r})\n"
        "frames = run.trials_frame(), run.stages_frame(), run.networks_frame(), run.compare(run).frame()\n"
        f"run.to_parquet({str(tmp_path / 'out')!r}), run.to_csv({str(tmp_path / 'out')!r}), run.front()\n"
        "print(*map(len, frames), run._repr_html_().count('<table>'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["2", "2", "2", "2", "2"]
