"""Commands called as a user calls them, in a folder of their own, with a run in it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nas.cli import child, main
from nas.isolate import ChildOutcome
from results import Limits, Objective, RunWriter, TrialResult, TrialStatus
from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Nas = Callable[..., Said]
HOSTILE_DEVICE = "=A\x1b[2J\n100"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nas(folder: Path, capsys: pytest.CaptureFixture[str]) -> Nas:
    """`nas(*arguments)` as if typed."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return Said(code=code, out=out, err=err)

    return call


def call_here(name: str, *arguments: Any, **limits: float) -> ChildOutcome:
    """What `run_in_child` is called for, in this process."""
    module, _, function = name.partition(":")
    return ChildOutcome(ended="returned", value=getattr(import_module(module), function)(*arguments))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, folder: Path, one_thread: None) -> None:
    """Calls that are meant for a child run here, which is faster, with a cache folder of their own."""
    monkeypatch.setattr(child, "run_in_child", call_here)
    monkeypatch.setenv("NAS_CACHE_DIR", str(folder / "cache"))


def make_trial(index: int, *, accuracy: float | None, network: int | None = None, **measured: Any) -> TrialResult:
    """A trial; one that failed where it has no accuracy. `network` is the trial whose network it trains again."""
    width = 8 + (index if network is None else network)
    stage = StageSpec(op="mbconv", width=width, depth=2, expansion=4, se_ratio=0.25)
    arch = ArchSpec(stem=StemSpec(width=8), stages=(stage,), head=HeadSpec(width=16, num_classes=10))
    return make_trial_of(index, arch, accuracy=accuracy, **measured)


def make_trial_of(
    index: int,
    arch: ArchSpec,
    *,
    accuracy: float | None,
    ratio: float = 1.0,
    device: str = "cpu",
    repeat: int = 0,
) -> TrialResult:
    """A trial of this network."""
    measured = accuracy is not None
    return TrialResult(
        index=index,
        status=TrialStatus.OK if measured else TrialStatus.FAILED,
        reason=None if measured else "it ended",
        key=arch.key,
        arch=arch,
        seed=1,
        params=arch.params,
        macs=arch.macs(32),
        seconds=1.0,
        device_seconds=1.0,
        started_s=0.0,
        ended_s=1.0,
        worker="host/1",
        device=device,
        repeat=repeat,
        accuracy=accuracy,
        num_evaluated=100 if measured else None,
        step_time_ratio=ratio if measured else None,
    )


@pytest.fixture
def a_run(folder: Path) -> Path:
    """runs/first: trial 0 failed; 1 is exact, 2 is fast, 3 is dominated by 2."""
    trials = [
        make_trial(0, accuracy=None),
        make_trial(1, accuracy=0.9, ratio=2.0),
        make_trial(2, accuracy=0.8, ratio=0.5),
        make_trial(3, accuracy=0.7, ratio=1.0),
    ]
    return _write_run("first", trials)


@pytest.fixture
def split_run(folder: Path) -> Path:
    """runs/split: trials 1 and 2 (the better) on a device `T4`, 3 on one whose name is hostile."""
    trials = [
        make_trial(0, accuracy=None, device="unknown"),
        make_trial(1, accuracy=0.6, ratio=0.5, device="T4"),
        make_trial(2, accuracy=0.8, ratio=0.4, device="T4"),
        make_trial(3, accuracy=0.9, ratio=2.0, device=HOSTILE_DEVICE),
    ]
    return _write_run("split", trials)


@pytest.fixture
def confirmed_run(folder: Path) -> Path:
    """runs/sure, of at most 5,000 parameters and 2.5 of the reference's step time: 1 (exact) and 2 (fast) were each
    trained twice again, 3 was not."""
    trials = [
        make_trial(1, accuracy=0.9, ratio=2.0),
        make_trial(2, accuracy=0.8, ratio=0.5),
        make_trial(3, accuracy=0.7, ratio=0.4),
        make_trial(4, accuracy=0.82, ratio=2.0, repeat=1, network=1),
        make_trial(5, accuracy=0.71, ratio=0.5, repeat=1, network=2),
        make_trial(6, accuracy=0.80, ratio=2.0, repeat=2, network=1),
        make_trial(7, accuracy=0.72, ratio=0.5, repeat=2, network=2),
    ]
    return _write_run("sure", trials, Limits(max_params=5000, max_step_time=2.5))


def _write_run(name: str, trials: list[TrialResult], limits: Limits | None = None) -> Path:
    path = Path("runs") / name
    objective = Objective(reference_params=2000)
    with RunWriter.create(path, config={"image_size": 48}, objective=objective, limits=limits) as writer:
        for trial in trials:
            writer.append(trial)
    return path
