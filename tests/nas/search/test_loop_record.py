"""What a search puts on record of each trial, whatever a worker says."""

import math
from typing import Any

import pytest

from nas.search.loop import Finished
from nas.search.samplers import Outcome
from results import RunWriteError, TrialResult, TrialStatus
from search_space import Space
from tests.nas.search.sessions import Begin, MakeFinished, Ok


def test_the_record_of_a_trial_measured_in_full(session: Begin, finished: MakeFinished, small_space: Space) -> None:
    running = session(devices=2.0, seed=7)
    running.clock.now_s = 5.0
    (candidate, seed) = running.loop.next(), running.loop.trial_seed(0)
    assert candidate is not None
    running.clock.now_s = 9.0
    result = running.loop.finish(0, finished(seconds=3.5, correct=25))
    params, macs = candidate.arch.cost(8)
    assert result == TrialResult(
        index=0,
        status=TrialStatus.OK,
        key=candidate.arch.key,
        arch=candidate.arch,
        decisions=small_space.encode(candidate.arch),
        seed=seed,
        params=params,
        macs=macs,
        accuracy=0.25,
        num_evaluated=100,
        step_time_ratio=1.5,
        step_time_ratio_low=1.25,
        step_time_ratio_high=1.75,
        step_time_s=0.03,
        step_time_n=15,
        step_time_reference_s=0.02,
        step_time_precise=False,
        train_steps=5,
        train_loss=1.25,
        peak_memory_bytes=1 << 20,
        max_batch_size=512,
        seconds=3.5,
        device_seconds=7.0,
        started_s=5.0,
        ended_s=9.0,
        worker="host:1",
        device="a chip",
    )
    assert running.writer.trials == running.finished == [result]
    assert running.told == [(0, Outcome(accuracy=0.25, step_time=1.5))]


@pytest.mark.parametrize(
    ("status", "measured"),
    [
        (TrialStatus.PRUNED, True),
        (TrialStatus.DIVERGED, True),
        (TrialStatus.FAILED, False),
        (TrialStatus.TIMED_OUT, False),
        (TrialStatus.OUT_OF_MEMORY, False),
    ],
)
def test_the_record_of_a_trial_that_was_not(
    status: TrialStatus, measured: bool, session: Begin, finished: MakeFinished
) -> None:
    running = session()
    running.loop.device = "the probe's chip"
    running.loop.next()
    running.clock.now_s = 4.0
    result = running.loop.finish(0, finished(status, seconds=None))
    assert (result.status, result.reason) == (status, f"the reason for {status}")
    assert (result.accuracy, result.num_evaluated, result.train_loss) == (None, None, None)
    assert result.step_time_ratio == (1.5 if measured else None)
    assert result.device == ("a chip" if measured else "the probe's chip")
    assert result.seconds == result.device_seconds == 4.0, "by the clock, where the worker cannot tell"
    assert running.loop.keeper.expected_s == 0, "its length says nothing of the others"
    assert running.told == [(0, Outcome(accuracy=None, step_time=1.5 if measured else None))]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_loss": 1e30},
        {"train_loss": math.inf},
        {"correct": 101},
        {"correct": None},
        {"num_evaluated": 0},
        {"peak_memory_bytes": -1},
    ],
)
def test_what_breaks_the_records_rules_fails_the_trial_and_not_the_search(
    changes: dict[str, Any], session: Begin, finished: MakeFinished, ok: Ok
) -> None:
    running = session(budget="3")
    running.run(lambda index, seconds: finished(**changes) if index == 1 else ok(index, seconds))
    statuses = [trial.status for trial in running.writer.trials]
    assert statuses == [TrialStatus.OK, TrialStatus.FAILED, TrialStatus.OK]
    reason = running.writer.trials[1].reason
    assert reason is not None
    assert reason.startswith("what was measured cannot be recorded: TrialResult.")


@pytest.mark.parametrize("told", [{"reason": "though it went well"}, {"seconds": math.nan}, {"evaluation": None}])
def test_a_worker_that_contradicts_itself_fails_the_trial(told: dict[str, Any], session: Begin) -> None:
    running = session()
    running.loop.next()
    fields: dict[str, Any] = {"status": TrialStatus.OK, "reason": None, "seconds": 1.0, "evaluation": None} | told
    assert running.loop.finish(0, Finished(**fields)).status is TrialStatus.FAILED


def test_a_failed_append_is_raised_and_nobody_is_told(
    session: Begin, finished: MakeFinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = session()
    running.loop.next()

    def full(trial: TrialResult) -> None:
        raise RunWriteError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(running.writer, "append", full)
        with pytest.raises(RunWriteError, match="no space left"):
            running.loop.finish(0, finished())
    assert (running.told, running.finished, running.writer.trials) == ([], [], [])
    assert running.loop.num_running == running.loop.keeper.running == 1
    running.loop.finish(0, finished())
    assert len(running.told) == 1, "it can be tried again"
