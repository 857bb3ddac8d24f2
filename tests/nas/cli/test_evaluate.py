"""`nas evaluate`: which model and data it takes, what it prints."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.train.job import read_result

Nas = Callable[..., Any]


@pytest.fixture(autouse=True)
def _run(folder: Path, finished_run: Path, digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """runs/a: a training that has ended."""
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))
    shutil.copytree(finished_run, folder / "runs/a")


def test_a_training_is_evaluated(nas: Nas) -> None:
    result = read_result(Path("runs/a"))
    assert result is not None
    said = nas("evaluate", "a", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert document["top1"]["share"] == result.ema_accuracy
    assert document["top1"]["low"] < result.ema_accuracy < document["top1"]["high"]
    assert (document["num_images"], document["eval_size"], document["step"]) == (359, 8, None)
    assert (document["data"], document["split"], document["dtype"]) == ("digits", "test", "float32")
    assert [each["name"] for each in document["per_class"]] == [str(digit) for digit in range(10)]
    text = nas("evaluate", "runs/a/model.safetensors").out
    assert f"top-1 {100 * result.ema_accuracy:.2f} % (95 % interval" in text
    assert "359 test images of digits at 8x8" in text
    assert "worst classes: " in text


def test_checkpoints_by_name_step_and_file(nas: Nas) -> None:
    told = [
        nas("evaluate", "a", "--checkpoint", which, "--split", "holdout", "--json").document
        for which in ("latest", "60")
    ]
    told.append(nas("evaluate", "runs/a/checkpoints/step-60.pt", "--split", "holdout", "--json").document)
    assert {each["step"] for each in told} == {60}
    assert len({each["top1"]["share"] for each in told}) == 1
    assert "checkpoint of step" in nas("evaluate", "a", "--checkpoint", "best").out


def test_another_size(nas: Nas) -> None:
    assert nas("evaluate", "a", "--eval-size", "12", "--json").document["eval_size"] == 12


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("gone",), "no run 'gone'"),
        (("a", "--checkpoint", "first"), "--checkpoint must be best, latest or a step, got 'first'"),
        (("a", "--checkpoint", "7"), "no checkpoint 7; there are those of steps"),
        (("runs/a/model.safetensors", "--checkpoint", "best"), "--checkpoint is of a training, and a file is given"),
        (("runs/a/checkpoints/other.pt",), "must be model.safetensors or a checkpoint step-N.pt, got 'other.pt'"),
        (("a", "--data", "digitz"), "did you mean digits"),
        (("a", "--eval-size", "3"), "eval_size must be an integer from 8 to 2048, got 3"),
        (("a", "--eval-size", "0"), "eval_size must be an integer from 8 to 2048, got 0"),
        (("a", "--threads", "4096"), "threads must be at most"),
    ],
)
def test_bad_input_is_named(nas: Nas, arguments: tuple[str, ...], rule: str) -> None:
    shutil.copy("runs/a/model.safetensors", "runs/a/checkpoints/other.pt")
    said = nas("evaluate", *arguments)
    assert (said.code, said.out) == (2, "")
    assert rule in said.err
    assert "Traceback" not in said.err
