"""A run of an older schema version opens, and what goes on with it makes it one of today's."""

import json
from pathlib import Path

import pytest

from results import SCHEMA_VERSION, Limits, Run, RunWriter

V1_CONFIG = """{
  "schema_version": 1,
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


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A run as version 1 wrote it."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.json").write_text(V1_CONFIG)
    (folder / "trials.jsonl").write_text(V1_TRIALS)
    return folder


def test_a_run_of_version_1_opens_and_stays_as_it_is(v1: Path) -> None:
    run = Run(v1)
    (trial,) = run.trials
    assert (trial.index, trial.ok, trial.accuracy, trial.step_time_ratio_high) == (0, True, 0.5, 1.1)
    assert (trial.step_time_reference_s, trial.step_time_precise, trial.max_batch_size) == (None, None, None)
    assert (trial.step_time_predicted, trial.step_time_predicted_low, trial.step_time_predicted_high) == (None,) * 3
    assert run.front() == [trial]
    assert run.limits == Limits()
    assert (v1 / "config.json").read_text() == V1_CONFIG


def test_a_run_of_version_1_that_is_resumed_says_what_its_lines_are(v1: Path) -> None:
    with RunWriter.resume(v1) as writer:
        told = json.loads((v1 / "config.json").read_text())
        assert told == writer.config == json.loads(V1_CONFIG) | {"schema_version": SCHEMA_VERSION}, "before any line"
        (old,) = writer.trials
    assert (v1 / "trials.jsonl").read_text() == V1_TRIALS
    with RunWriter.resume(v1) as writer:
        assert writer.next_index == old.index + 1


def test_a_run_of_today_is_not_written_by_being_resumed(v1: Path) -> None:
    RunWriter.resume(v1).close()
    before = (v1 / "config.json").stat()
    RunWriter.resume(v1).close()
    after = (v1 / "config.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
