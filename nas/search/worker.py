"""What a Ray worker does with a task: run it in a child process, and say how that ended, as plain data.

Imports no torch: the worker stays small, and only the child's parent holds it.
"""

import os
import platform
import time
from dataclasses import dataclass, replace
from typing import Any

from nas.container import memory
from nas.isolate import ChildOutcome, run_in_child
from nas.search.task import ProbeRequest, TrialTask
from results import TrialStatus
from results.durable import first_line

__all__ = ["TrialCall", "WarmUp", "run_call"]

_MEMORY_SHARE = 0.9
_EMPTY_CALL_DEADLINE_S = 120.0

_STATUS = {
    "out_of_memory": TrialStatus.OUT_OF_MEMORY,
    "timed_out": TrialStatus.TIMED_OUT,
    "died": TrialStatus.FAILED,
    "raised": TrialStatus.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class TrialCall:
    """One thing for a worker to do: a trial, or (with `probe`) the look at the reference before the first. `evaluator`
    is the module whose `evaluate(task)` and `probe(task, request)` do it."""

    index: int
    task: TrialTask
    deadline_s: float
    evaluator: str
    probe: ProbeRequest | None = None


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Has a worker import what its trials need, torch above all, while another looks at the reference."""

    evaluator: str


def run_call(call: TrialCall | WarmUp, *, share_of_node: float) -> dict[str, Any]:
    """A trial may hold such a share of this machine's memory, less a tenth.

    Returns `index`, `seconds`, `worker`, `status`, `reason`, and `value` (Evaluation or Probe, or None); of a
    warm-up `seconds` alone."""
    if isinstance(call, WarmUp):
        run_in_child(f"{__name__}:_nothing", deadline_s=_EMPTY_CALL_DEADLINE_S, preload=_preload(call.evaluator))
        return {"seconds": 0.0}
    start = time.perf_counter()
    memory_bytes = int(memory().total * _MEMORY_SHARE * share_of_node)
    task = replace(call.task, memory_bytes=memory_bytes)
    function, *arguments = ("probe", task, call.probe) if call.probe else ("evaluate", task)
    try:
        outcome = run_in_child(
            f"{call.evaluator}:{function}",
            *arguments,
            deadline_s=call.deadline_s,
            memory_bytes=memory_bytes,
            preload=_preload(call.evaluator),
        )
    except (OSError, ValueError, EOFError) as error:
        outcome = ChildOutcome(ended="died", reason=f"no process could be started for it: {first_line(error)}")
    return {
        "index": call.index,
        "seconds": time.perf_counter() - start,
        "worker": f"{platform.node()}:{os.getpid()}",
        **_told(outcome),
    }


def _preload(evaluator: str) -> tuple[str, ...]:
    return (evaluator, "scipy.stats")


def _nothing() -> None:
    pass


def _told(outcome: ChildOutcome) -> dict[str, Any]:
    if outcome.ended != "returned":
        return {"status": _STATUS[outcome.ended].value, "reason": outcome.reason, "value": None}
    value = outcome.value
    status = getattr(value, "status", TrialStatus.OK)
    return {"status": status.value, "reason": getattr(value, "reason", None), "value": value}
