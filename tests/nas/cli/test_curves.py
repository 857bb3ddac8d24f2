"""`nas curves`, and the pictures that `nas train` leaves."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nas.cli.training_line import TrainingLine
from nas.train.report import Metrics
from search_space import ArchSpec

Nas = Callable[..., Any]
OPTIONS = ("--data", "digits", "--image-size", "16", "--batch-size", "256", "--budget", "2ep")


@pytest.fixture(autouse=True)
def _cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def tiny(folder: Path, tiny_arch: ArchSpec) -> str:
    (folder / "tiny.json").write_text(tiny_arch.to_json())
    return "tiny.json"


def format_of(path: Path) -> str | None:
    with Image.open(path) as picture:
        picture.load()
        return picture.format


def test_trainings_leave_curves_and_are_laid_over_each_other(
    nas: Nas, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nas("train", tiny, *OPTIONS, "--out", "a").code == 0
    assert format_of(Path("runs/a/curves.png")) == "PNG"
    assert list(Path("runs/a/tensorboard").glob("events.out.tfevents.*"))
    plain = TrainingLine.evaluated

    def evaluated(self: TrainingLine, metrics: Metrics) -> None:
        plain(self, metrics)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(TrainingLine, "evaluated", evaluated)
    assert nas("train", tiny, *OPTIONS, "--growth", "fixed", "--out", "b").code == 130
    assert format_of(Path("runs/b/curves.png")) == "PNG", "drawn at an interruption too"
    said = nas("curves", "a", "runs/b", "--json")
    assert said.code == 0, said.err
    document = said.document
    a, b = document["trainings"]
    assert (a["run"], a["ended"], b["run"], b["ended"]) == ("a", True, "b", False)
    assert document["level"] == min(a["best"]["ema_accuracy"], b["best"]["ema_accuracy"])
    assert a["reached"]["ema_accuracy"] >= document["level"]
    assert format_of(Path(document["picture"])) == "PNG"
    said = nas("curves", "a", "b", "--x", "epochs", "--out", "both.svg")
    assert (said.code, "drawn in both.svg" in said.out) == (0, True)
    assert "<svg" in Path("both.svg").read_text()
    said = nas("curves", "a", "--out", "one.pdf")
    assert said.code == 0
    assert Path("one.pdf").read_bytes().startswith(b"%PDF")
    for arguments, rule in (
        ((), "RUN"),
        (("gone",), "no run 'gone'"),
        (("a", "--out", "a.jpg"), "out must end in .png, .svg, .pdf, got 'a.jpg'"),
        (("a", "--out", "gone/a.png"), "out must be in a folder that exists, got 'gone/a.png'"),
    ):
        said = nas("curves", *arguments)
        assert said.code == 2
        assert rule in said.err
        assert "Traceback" not in said.err


def test_a_missing_tracker_is_said_before_anything_is_done(
    nas: Nas, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.train.watch_trackers.find_spec", lambda name: None)
    said = nas("train", tiny, *OPTIONS, "--log-to", "wandb")
    assert (said.code, "wandb must be installed to be logged to: pip install wandb" in said.err) == (2, True)
    assert not Path("runs").exists()
