"""`nas export`: what it takes, what it prints, how it ends."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas.export.forms import FORMS

Nas = Callable[..., Any]


@pytest.fixture(autouse=True)
def _run(folder: Path, finished_run: Path, one_thread: None) -> None:
    """runs/a: a training that has ended."""
    shutil.copytree(finished_run, folder / "runs/a")


def test_a_model_is_exported(nas: Nas) -> None:
    said = nas("export", "a", "--format", "torch-export", "safetensors", "--out", "b", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert (document["folder"], document["card"], document["left_out"]) == ("runs/b", "runs/b/README.md", {})
    assert [each["form"] for each in document["files"]] == ["safetensors", "torch-export"]
    assert {path.name for path in Path("runs/b").iterdir()} == {"README.md", "model.safetensors", "model.pt2"}
    said = nas("export", "a", "--format", "safetensors")
    assert said.code == 0
    assert "runs/a/export/README.md says how to load these" in said.out
    said = nas("export", "a", "--format", "safetensors")
    assert (said.code, "must be a new or an empty folder" in said.err) == (2, True)


def test_with_all_what_cannot_be_had_is_told(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "torch-export"):
        monkeypatch.setitem(FORMS, name, FORMS["safetensors"])
    said = nas("export", "a")
    assert said.code == 0, said.err
    assert "left out: torchvision: the network is no efficientnet_v2_s" in said.err


def test_wrong_logits_are_a_failure(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = FORMS["safetensors"]
    monkeypatch.setitem(
        FORMS, "safetensors", replace(plain, read=lambda source, path: lambda images: source.network(images) + 1)
    )
    said = nas("export", "a", "--format", "safetensors")
    assert (said.code, said.out) == (1, "")
    assert "its logits must be within" in said.err
    assert "Traceback" not in said.err
    assert not Path("runs/a/export").exists()


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("gone",), "no run 'gone'"),
        (("a", "--format", "torchvision"), "the network is no efficientnet_v2_s, torchvision's nearest"),
        (("a", "--out", ".x"), "must not begin with . or -, got '.x'"),
        (("a", "--format", "caffe"), "caffe"),
        (("a", "--format"), "--format must name at least one form"),
    ],
)
def test_bad_input_is_named(nas: Nas, arguments: tuple[str, ...], rule: str) -> None:
    said = nas("export", *arguments)
    assert (said.code, said.out) == (2, "")
    assert rule in said.err
    assert "Traceback" not in said.err


def test_a_training_must_have_ended_or_a_checkpoint_is_named(
    nas: Nas, digits_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))
    for name in ("result.json", "model.safetensors", "data.json"):
        (Path("runs/a") / name).unlink()
    said = nas("export", "a")
    assert (said.code, "the training has not ended; --checkpoint latest" in said.err) == (2, True)
    said = nas("export", "a", "--checkpoint", "latest", "--format", "safetensors")
    assert said.code == 0, said.err
    exported = load_file("runs/a/export-step-60/model.safetensors")
    average = torch.load("runs/a/checkpoints/step-60.pt", weights_only=True)["average"]
    assert exported.keys() == average.keys()
    assert all(torch.equal(exported[name], average[name]) for name in average)
    card = Path("runs/a/export-step-60/README.md").read_text()
    assert "Not measured on test images: these are the averaged weights after step 60" in card
    assert "| steps | 60 |" in card
    said = nas("export", "runs/a/checkpoints/step-60.pt", "--format", "safetensors", "--out", "b", "--json")
    assert said.document["folder"] == "runs/b"
