"""A worker has done what its call names, in a child process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nas.data import DataConfig
from nas.device import Compute
from nas.isolate import ChildOutcome, run_in_child
from nas.search import worker
from nas.search.task import ProbeRequest, TrialTask
from nas.search.worker import TrialCall, WarmUp, run_call
from nas.train import Recipe
from search_space import load_space

EVALUATOR = """
import os

def evaluate(task):
    return task.seed, os.getpid()

def probe(task, request):
    raise RuntimeError(f"no room for {request.space.name}")
"""


def call_of(request: ProbeRequest | None) -> TrialCall:
    space = load_space("efficientnetv2-tiny")
    task = TrialTask(
        arch=space.reference,
        reference=space.reference,
        seed=7,
        steps=1,
        batch_size=2,
        recipe=Recipe(),
        data=DataConfig(data="digits", image_size=8),
        compute=Compute(),
    )
    return TrialCall(index=3, task=task, deadline_s=60.0, evaluator="an_evaluator", probe=request)


def test_the_evaluator_is_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_evaluator.py").write_text(EVALUATOR)
    monkeypatch.syspath_prepend(tmp_path)
    probing = ProbeRequest(space=load_space("efficientnetv2-tiny"), choose_dtype=False, calibrate=False)
    told = [run_call(call_of(request), share_of_node=1.0) for request in (None, probing)]
    assert [(each["index"], each["status"]) for each in told] == [(3, "ok"), (3, "failed")]
    seed, process = told[0]["value"]
    assert seed == 7
    assert process != int(told[0]["worker"].rpartition(":")[2])
    assert told[1]["reason"].endswith("RuntimeError: no room for efficientnetv2-tiny\n")


def test_a_warm_up_has_imported_what_a_trial_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_evaluator.py").write_text(EVALUATOR)
    monkeypatch.syspath_prepend(tmp_path)
    preloaded = []

    def noted(*arguments: Any, preload: Sequence[str], **options: Any) -> ChildOutcome:
        preloaded.append(preload)
        return run_in_child(*arguments, preload=preload, **options)

    monkeypatch.setattr(worker, "run_in_child", noted)
    assert run_call(WarmUp(evaluator="an_evaluator"), share_of_node=1.0) == {"seconds": 0.0}
    assert run_call(call_of(None), share_of_node=1.0)["status"] == "ok"
    assert preloaded == [preloaded[1]] * 2
    assert preloaded[0][0] == "an_evaluator"


def test_a_trial_for_which_no_process_starts_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> ChildOutcome:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(worker, "run_in_child", refuse)
    told = run_call(call_of(None), share_of_node=1.0)
    assert (told["status"], told["value"]) == ("failed", None)
    assert told["reason"] == "no process could be started for it: [Errno 24] Too many open files"
