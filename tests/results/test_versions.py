"""A run of an older schema version opens, and what goes on with it makes it one of today's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results import SCHEMA_VERSION, Limits, Run, RunError, RunWriter, TrialResult, Weights, load
from results.compare import Difference

MakeTrial = Callable[..., TrialResult]
CONFIG = """{
  "schema_version": %d,
  "objective": {"reference_params": 2000, "w": -0.07, "v": -0.05},
  "limits": {"max_params": null, "min_params": null, "max_step_time": null, "min_accuracy": null},
  "seed": 1
}
"""
V1_TRIALS = (
    '{"index":0,"status":"ok","key":"fb8f6f0a8f59666c5d5f4d939dbe8fba9833194dae775763c4dc14f15226b726","seed":7,'
    '"params":2774,"macs":498080,"seconds":2.5,"device_seconds":2.5,"started_s":0.0,"ended_s":2.5,"worker":"host/1",'
    '"device":"cpu","reason":null,"accuracy":0.5,"num_evaluated":100,"step_time_ratio":1.0,"step_time_ratio_low":0.9,'
    '"step_time_ratio_high":1.1,"step_time_s":0.01,"step_time_n":20,"train_steps":450,"train_loss":1.2,'
    '"peak_memory_bytes":1048576,"decisions":[0,1,2],"arch":{"stem":{"width":8,"kernel":3,"stride":2},"stages":[{"op":'
    '"mbconv","width":8,"depth":2,"stride":1,"kernel":3,"expansion":4,"se_ratio":0.25}],"head":{"width":16,'
    '"num_classes":10},"activation":"silu","norm_eps":0.001,"padding":"symmetric"}}\n'
)
V2_TRIALS = V1_TRIALS.replace(
    '"step_time_s":0.01,"step_time_n":20,',
    '"step_time_s":0.01,"step_time_reference_s":0.01,"step_time_n":20,"step_time_precise":true,'
    '"step_time_predicted":1.05,"step_time_predicted_low":0.8,"step_time_predicted_high":1.4,',
).replace('"peak_memory_bytes":1048576,', '"peak_memory_bytes":1048576,"max_batch_size":512,')
V3_TRIALS = V2_TRIALS.replace('"decisions":[0,1,2],', '"decisions":[0,1,2],"repeat":0,')
V4_TRIALS = V3_TRIALS
TRIALS = {1: V1_TRIALS, 2: V2_TRIALS, 3: V3_TRIALS, 4: V4_TRIALS}


def _write(folder: Path, version: int) -> Path:
    """A run as that version wrote it."""
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG % version)
    (folder / "trials.jsonl").write_text(TRIALS[version])
    return folder


def num_without_asks(config: dict[str, Any]) -> int:
    """Of a run with one trial that has no ask: versions from 3 on write one before every trial."""
    return 1 if config["schema_version"] < 3 else 0


@pytest.fixture(params=TRIALS)
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A run of each earlier version."""
    return _write(tmp_path / f"v{request.param}", request.param)


def test_every_earlier_version_is_tried() -> None:
    assert list(TRIALS) == list(range(1, SCHEMA_VERSION))


def test_a_run_of_an_older_version_opens_and_stays_as_it_is(old: Path) -> None:
    before = (old / "config.json").read_text()
    run = Run(old)
    (trial,) = run.trials
    assert (trial.index, trial.ok, trial.accuracy, trial.step_time_ratio_high) == (0, True, 0.5, 1.1)
    assert (trial.repeat, trial.weights) == (0, Weights.OWN)
    (network,) = run.front()
    assert (network.trial, network.confirmed, network.num_trainings, network.step_time_ratio_high) == (0, False, 1, 1.1)
    assert run.limits == Limits()
    assert (old / "config.json").read_text() == before


def test_a_run_of_an_older_version_has_frames_and_compares_with_itself(old: Path) -> None:
    run = load(old)
    trials = run.trials_frame()
    assert trials[["trial", "status", "accuracy", "repeat"]].to_numpy().tolist() == [[0, "ok", 0.5, 0]]
    assert trials["max_batch_size"].isna().tolist() == [run.trials[0].max_batch_size is None]
    assert (len(run.stages_frame()), run.networks_frame()["on_front"].tolist()) == (1, [True])
    assert run.compare(run).difference("reward") == Difference(mean=0.0, half=None, count=1)
    assert str(run.trials[0].arch) in run._repr_html_()
    assert run.state.name == "interrupted"


def test_what_a_version_did_not_record_is_none(tmp_path: Path) -> None:
    (first,) = Run(_write(tmp_path / "v1", 1)).trials
    assert (first.step_time_reference_s, first.step_time_precise, first.max_batch_size) == (None, None, None)
    assert (first.step_time_predicted, first.step_time_predicted_low, first.step_time_predicted_high) == (None,) * 3
    (second,) = Run(_write(tmp_path / "v2", 2)).trials
    assert (second.step_time_reference_s, second.step_time_precise, second.max_batch_size) == (0.01, True, 512)
    assert (second.step_time_predicted_low, second.step_time_predicted, second.step_time_predicted_high) == (
        0.8,
        1.05,
        1.4,
    )


def test_a_run_of_an_older_version_that_is_resumed_says_what_its_lines_are(old: Path) -> None:
    config, trials = json.loads((old / "config.json").read_text()), (old / "trials.jsonl").read_text()
    with RunWriter.resume(old) as writer:
        told = json.loads((old / "config.json").read_text())
        own = {"schema_version": SCHEMA_VERSION, "num_without_asks": num_without_asks(config)}
        assert told == writer.config == config | own, "before any line"
        (known,) = writer.trials
    assert (old / "trials.jsonl").read_text() == trials
    with RunWriter.resume(old) as writer:
        assert writer.next_index == known.index + 1


def test_a_run_of_today_is_not_written_by_being_resumed(old: Path) -> None:
    RunWriter.resume(old).close()
    before = (old / "config.json").stat()
    RunWriter.resume(old).close()
    after = (old / "config.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_trials_without_asks_are_of_an_older_version_only_where_it_wrote_them(old: Path, trial: MakeTrial) -> None:
    expected = num_without_asks(Run(old).config)
    assert Run(old).num_without_asks == expected
    with RunWriter.resume(old) as writer:
        writer.append(trial(7))
    assert Run(old).num_without_asks == expected
    RunWriter.resume(old).close()
    assert Run(old).num_without_asks == expected


@pytest.mark.parametrize("number", [-1, True, "1", 1.0])
def test_a_number_of_trials_without_asks_that_is_none_is_refused(
    new_run: Callable[..., Path], trial: MakeTrial, number: object
) -> None:
    path = new_run(trial(0)) / "config.json"
    assert Run(path.parent).num_without_asks == 0
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_without_asks": number}))
    with pytest.raises(RunError, match=r"config\.json: num_without_asks must be an integer from 0"):
        _ = Run(path.parent).num_without_asks
