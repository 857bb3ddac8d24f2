"""What a search's tests share: the cache, one thread, and evaluations that nobody had to train for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.device import Compute
from nas.measure import Conditions, Samples, StepTime
from nas.search.loop import Finished
from nas.search.task import Evaluation
from results import TrialStatus

MakeFinished = Callable[..., Finished]


@pytest.fixture(autouse=True)
def _cached_and_calm(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


def make_finished(
    status: TrialStatus = TrialStatus.OK, *, seconds: float | None = 2.0, correct: int = 50, **changes: Any
) -> Finished:
    """How a worker tells of a trial: measured as far as one of this status is."""
    step_time = StepTime(
        ratio=1.5,
        low=1.25,
        high=1.75,
        precise=False,
        samples=Samples((0.03,) * 15, (0.02,) * 16, 2),
        conditions=Conditions(
            device="a chip", compute=Compute(), batch_size=16, image_size=8, optimizer="sgd", drop_path=0.0
        ),
    )
    reason = None if status is TrialStatus.OK else f"the reason for {status}"
    fields: dict[str, Any] = {"status": status, "reason": reason, "device": "a chip", "step_time": step_time}
    if status is TrialStatus.OK:
        fields |= {
            "correct": correct,
            "num_evaluated": 100,
            "train_steps": 5,
            "train_loss": 1.25,
            "peak_memory_bytes": 1 << 20,
            "max_batch_size": 512,
        }
    evaluation = None
    if status in (TrialStatus.OK, TrialStatus.PRUNED, TrialStatus.DIVERGED):
        evaluation = Evaluation(**(fields | changes))
    return Finished(status=status, reason=reason, seconds=seconds, worker="host:1", evaluation=evaluation)


@pytest.fixture(scope="session")
def finished() -> MakeFinished:
    """`finished(status, correct=50, seconds=2.0)`."""
    return make_finished
