"""A worker has done what its call names, in a child process."""

from pathlib import Path

import pytest

from nas.data import DataConfig
from nas.device import Compute
from nas.search.task import ProbeRequest, TrialTask
from nas.search.worker import TrialCall, run_trial
from nas.train import Recipe
from search_space import load_space

EVALUATOR = """
import os

def evaluate(task):
    return task.seed, os.getpid()

def probe(task, request):
    raise RuntimeError(f"no room for {request.space.name}")
"""


def test_the_evaluator_is_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_evaluator.py").write_text(EVALUATOR)
    monkeypatch.syspath_prepend(tmp_path)
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
    probing = ProbeRequest(space=space, choose_dtype=False, calibrate=False)
    told = [
        run_trial(
            TrialCall(index=3, task=task, deadline_s=60.0, share_of_node=1.0, evaluator="an_evaluator", probe=request)
        )
        for request in (None, probing)
    ]
    assert [(each["index"], each["status"]) for each in told] == [(3, "ok"), (3, "failed")]
    seed, process = told[0]["value"]
    assert seed == 7
    assert process != int(told[0]["worker"].rpartition(":")[2])
    assert told[1]["reason"].endswith("RuntimeError: no room for efficientnetv2-tiny\n")
