"""A trial to test with, and runs made of such trials."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from results import Objective, RunWriter, TrialResult, TrialStatus
from search_space.spec import ArchSpec, HeadSpec, StageSpec, StemSpec

MakeTrial = Callable[..., TrialResult]


@cache
def make_arch(width: int = 8) -> ArchSpec:
    stage = StageSpec(op="mbconv", width=width, depth=2, expansion=4, se_ratio=0.25)
    return ArchSpec(stem=StemSpec(width=8), stages=(stage,), head=HeadSpec(width=16, num_classes=10))


def make_trial(index: int = 0, **changes: Any) -> TrialResult:
    """A trial that was measured in full; each index has its own network."""
    arch = changes.pop("arch", make_arch(8 + index))
    fields: dict[str, Any] = {
        "index": index,
        "status": TrialStatus.OK,
        "key": arch.key,
        "seed": 7,
        "params": arch.params,
        "macs": arch.macs(32),
        "seconds": 2.5,
        "device_seconds": 2.5,
        "started_s": 3.0 * index,
        "ended_s": 3.0 * index + 2.5,
        "worker": "host/1",
        "device": "cpu",
        "accuracy": 0.5,
        "num_evaluated": 100,
        "step_time_ratio": 1.0,
        "step_time_ratio_low": 0.9,
        "step_time_ratio_high": 1.1,
        "step_time_s": 0.01,
        "step_time_reference_s": 0.01,
        "step_time_n": 20,
        "step_time_precise": True,
        "step_time_predicted": 1.05,
        "step_time_predicted_low": 0.8,
        "step_time_predicted_high": 1.4,
        "train_steps": 450,
        "train_loss": 1.2,
        "peak_memory_bytes": 1 << 20,
        "max_batch_size": 512,
        "decisions": (0, 1, 2),
        "arch": arch,
    }
    if changes.get("status", TrialStatus.OK) != TrialStatus.OK:
        measured = ("accuracy", "num_evaluated", "step_time_ratio", "step_time_ratio_low", "step_time_ratio_high")
        fields |= dict.fromkeys(measured) | {"reason": "the loss was not finite"}
    if "step_time_ratio" in changes:
        fields |= {"step_time_ratio_low": None, "step_time_ratio_high": None}
    return TrialResult(**(fields | changes))


@pytest.fixture(scope="session")
def trial() -> MakeTrial:
    return make_trial


@pytest.fixture
def objective() -> Objective:
    return Objective(reference_params=2000)


@pytest.fixture
def new_run(tmp_path: Path, objective: Objective) -> Callable[..., Path]:
    """Makes a run of the trials given, closed, and tells its folder."""

    def make(*trials: TrialResult, name: str = "run") -> Path:
        folder = tmp_path / "runs" / name
        with RunWriter.create(folder, config={"seed": 1}, objective=objective) as writer:
            for one in trials:
                writer.append(one)
        return folder

    return make


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here" / "run"
