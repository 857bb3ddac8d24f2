"""One candidate measured, trained and scored, in this process, on digits."""

import math
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from nas.data import DataConfig, prepare
from nas.device import Compute
from nas.measure import Precision, calibrate, space_parts
from nas.measure.step_time import Interval
from nas.search.evaluate import evaluate, probe
from nas.search.task import ProbeRequest, TrialTask
from nas.train import Recipe
from results import TrialStatus
from search_space import ArchSpec, Space


@pytest.fixture
def task(tiny_arch: ArchSpec, other_arch: ArchSpec) -> TrialTask:
    return TrialTask(
        arch=tiny_arch,
        reference=other_arch,
        seed=1,
        steps=20,
        batch_size=32,
        recipe=Recipe(),
        data=DataConfig(data="digits", image_size=8),
        compute=Compute(),
        precision=Precision(max_rounds=6),
    )


def test_a_candidate_is_measured_in_full(task: TrialTask) -> None:
    found = evaluate(replace(task, steps=80))
    assert (found.status, found.reason, found.train_steps) == (TrialStatus.OK, None, 80)
    assert found.num_evaluated == prepare(task.data).counts["holdout"]
    assert found.correct is not None
    assert found.correct / found.num_evaluated > 0.3, "chance is 0.1"
    assert found.train_loss is not None
    assert math.isfinite(found.train_loss)
    assert found.step_time is not None
    assert found.step_time.ratio > 0
    assert (found.step_time.conditions.batch_size, found.step_time.conditions.image_size) == (32, 8)
    assert found.step_time.conditions.device == found.device
    assert found.device
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 0
    assert found.max_batch_size is None, "no limit of memory was given"


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(augment=True, dropout=0.2, drop_path=0.1, label_smoothing=0.1)])
def test_the_same_seed_gives_the_same_accuracy(task: TrialTask, recipe: Recipe) -> None:
    task = replace(task, recipe=recipe, steps=8)
    first = evaluate(task)
    torch.rand(3)
    again = evaluate(task)
    assert (first.correct, first.train_loss) == (again.correct, again.train_loss)
    assert evaluate(replace(task, seed=2)).train_loss != first.train_loss


def test_what_is_too_slow_is_not_trained(task: TrialTask, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **settings: object) -> None:
        raise AssertionError("nothing is trained, and no data are needed")

    monkeypatch.setattr("nas.search.evaluate.train", never)
    monkeypatch.setattr("nas.search.evaluate.prepare", never)
    found = evaluate(replace(task, max_step_time=1e-9))
    assert found.status is TrialStatus.PRUNED
    assert found.reason is not None
    assert found.reason.endswith("of the reference's, over 1e-09")
    assert found.step_time is not None
    assert (found.correct, found.train_steps) == (None, None)


def test_what_is_fast_enough_is_trained(task: TrialTask) -> None:
    assert evaluate(replace(task, steps=1, max_step_time=1e9)).status is TrialStatus.OK


def test_a_training_that_diverges_has_no_accuracy(task: TrialTask) -> None:
    found = evaluate(replace(task, recipe=Recipe(peak_lr=1e30)))
    assert found.status is TrialStatus.DIVERGED
    assert found.train_steps is not None
    assert 1 <= found.train_steps < 20
    assert found.reason == f"the loss was not finite at step {found.train_steps}"
    assert (found.correct, found.train_loss) == (None, None)
    assert found.step_time is not None


def test_the_split_that_is_scored_on_can_be_test(task: TrialTask) -> None:
    found = evaluate(replace(task, steps=1, score_on="test"))
    assert found.num_evaluated == prepare(task.data).counts["test"] != prepare(task.data).counts["holdout"]


@pytest.mark.parametrize("choose_dtype", [False, True])
def test_the_probe_runs_the_reference(task: TrialTask, small_space: Space, choose_dtype: bool) -> None:
    # A limit that the reference itself would break by chance is not for the probe.
    task = replace(task, max_step_time=1e-9, steps=1)
    found = probe(task, ProbeRequest(space=small_space, choose_dtype=choose_dtype, calibrate=False))
    assert found.device
    assert math.isfinite(found.trial_s)
    assert found.trial_s > 0
    assert found.compute.dtype in (("float32", "bfloat16") if choose_dtype else ("float32",))
    assert replace(found.compute, dtype="float32") == task.compute
    assert found.calibration is None


def test_a_calibration_is_made_once_and_kept(
    task: TrialTask, small_space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(task.data)
    monkeypatch.setattr("nas.search.evaluate._trial_seconds", lambda task: 1.0)
    monkeypatch.setattr("nas.search.evaluate.calibrate", partial(calibrate, seconds=0.1))
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path))
    task = replace(task, reference=small_space.reference)
    request = ProbeRequest(space=small_space, choose_dtype=False, calibrate=True)
    made = probe(task, request).calibration
    assert made is not None
    assert made.conditions.device == probe(task, request).device
    assert {part.name for part in space_parts(small_space, 8)} == set(made.parts)
    assert probe(task, replace(request, calibrate=False)).calibration == made
    assert probe(replace(task, batch_size=16), replace(request, calibrate=False)).calibration is None


def test_memory_is_measured_against_what_a_trial_may_hold(task: TrialTask) -> None:
    found = evaluate(replace(task, steps=1, memory_bytes=8 << 30))
    assert found.peak_memory_bytes is not None
    assert found.max_batch_size is not None
    assert found.max_batch_size > task.batch_size


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (Interval(2.0, 1.9, 2.1), "bfloat16"),
        (Interval(1.3, 1.1, 1.5), "float32"),
        (Interval(0.5, 0.4, 0.6), "float32"),
    ],
)
def test_the_dtype_that_is_surely_faster_is_taken(
    task: TrialTask, monkeypatch: pytest.MonkeyPatch, gain: Interval, expected: str
) -> None:
    from nas.search import evaluate as module

    monkeypatch.setattr(module, "measure_dtype_gain", lambda *_, **__: gain)
    assert module._faster_dtype(task) == expected


def test_a_worker_does_not_hold_torch() -> None:
    code = "import sys, nas.search.worker; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
