"""What is wrong with a folder of images, or goes wrong with it in mid-run, by the real commands."""

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.cli import main
from nas.train.step import FullStep
from tests.faults.conftest import Search, rows, wait_for

pytestmark = pytest.mark.fault

CLASSES = ("bière brune", "画像 二")
TRAIN = ("train", "tiny.json", "--data", "set", "--image-size", "16", "--batch-size", "16", "--out", "a")
SEARCH = ("search", "--space", "toy.yaml", "--data", "set", "--seed", "3", "--sampler", "random", "--dtype", "float32")
Nas = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def images(here: Path) -> Path:
    """The folder `set` with 20 train and 6 test images a class; toy.yaml and tiny.json lie beside it."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        for name in CLASSES:
            folder = here / "set" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"élan à vélo {number:02}.png")
    return here / "set"


@pytest.fixture
def train(capsys: pytest.CaptureFixture[str]) -> Nas:
    """`nas train` in this process; its exit code, and what was said on stderr."""

    def call(*options: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main((*TRAIN, *options))
        return code, capsys.readouterr().err

    return call


def of_20_000_by_20_000(path: Path) -> None:
    """One bit a pixel: 400 million of them in 50 kB."""

    def block(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = block(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    pixels = zlib.compress(bytes(20_000 * (1 + 20_000 // 8)), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + block(b"IDAT", pixels) + block(b"IEND", b""))


def damage(images: Path) -> dict[str, str]:
    """Three images of the train split, and what is said of each."""
    folder = images / "train" / CLASSES[1]
    (folder / "leer é.png").write_bytes(b"")
    (folder / "rest.png").write_bytes((folder / "élan à vélo 00.png").read_bytes()[:400])
    of_20_000_by_20_000(folder / "wide.png")
    place = f"train/{CLASSES[1]}"
    said = {"leer é.png": "no image", "rest.png": "truncated", "wide.png": "400000000 pixels"}
    return {f"{place}/{name}": reason for name, reason in said.items()}


@pytest.mark.parametrize("mode", [pytest.param("cache", marks=pytest.mark.long), "stream"])
def test_a_training_skips_what_cannot_be_read_up_to_a_share(images: Path, train: Nas, mode: str) -> None:
    damaged = damage(images)
    options = ("--data-mode", mode, "--budget", "6st")
    code, error = train(*options)
    assert code == 2, error
    assert "at most 1 % of the images may be unreadable, but" in error
    assert "Traceback" not in error
    shutil.rmtree("runs", ignore_errors=True)
    code, error = train(*options, "--max-corrupt", "0.2")
    assert code == 0, error
    skipped = [json.loads(line) for line in Path("runs/a/skipped.jsonl").read_text().splitlines()]
    assert {line["name"] for line in skipped} == set(damaged)
    for name, reason in damaged.items():
        (line,) = (line for line in skipped if line["name"] == name)
        assert reason in line["reason"]
    assert json.loads(Path("runs/a/result.json").read_text())["num_test"] == 12


@pytest.mark.long
@pytest.mark.parametrize(("mode", "num_skipped"), [("cache", 0), ("stream", 1)])
def test_an_image_that_is_gone_in_mid_run_ends_no_training(
    images: Path, train: Nas, mode: str, num_skipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = FullStep.__call__
    gone = images / "train" / CLASSES[0] / "élan à vélo 03.png"

    def harmed(self: FullStep, *arguments: Any) -> torch.Tensor:
        gone.unlink(missing_ok=True)
        return step(self, *arguments)

    monkeypatch.setattr(FullStep, "__call__", harmed)
    options = () if mode == "cache" else ("--loader-workers", "0")
    code, error = train("--data-mode", mode, "--budget", "9st", "--max-corrupt", "0.1", *options)
    assert code == 0, error
    assert not gone.exists()
    found = Path("runs/a/skipped.jsonl")
    skipped = [json.loads(line)["name"] for line in found.read_text().splitlines()] if found.exists() else []
    assert skipped == [f"train/{CLASSES[0]}/{gone.name}"] * num_skipped


@pytest.mark.parametrize("command", [TRAIN, SEARCH], ids=["train", "search"])
def test_a_link_out_of_the_data_is_refused_and_leaves_no_folder(
    images: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(images / "train" / CLASSES[0] / "élan à vélo 00.png", tmp_path / "other.png")
    (images / "train" / CLASSES[0] / "link.png").symlink_to(tmp_path / "other.png")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert f"'train/{CLASSES[0]}/link.png' leads out of it" in error
    assert "Traceback" not in error
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_search_wants_all_images_and_then_needs_none(images: Path, nas: Callable[..., Search]) -> None:
    run = Path("runs/a")
    damaged = damage(images)
    options = (*SEARCH, "--train-length", "20", "--budget", "5", "--workers", "1", "--out", "a")
    code, _, error = nas(*options).wait()
    assert code == 2, error
    assert "every image must be readable, but 3 of 43 are not" in error
    assert all(name in error and reason in error for name, reason in damaged.items())
    assert "Traceback" not in error
    assert not run.exists()
    for name in damaged:
        (images / name).unlink()
    running = nas(*options)
    wait_for(lambda: len(rows(run)) >= 1, "a trial", running=running.process)
    images.rename(images.with_name("moved"))
    code, _, error = running.wait()
    assert code == 0, error
    assert [row["status"] for row in rows(run)] == ["ok"] * 5
    code, _, error = nas("search", "--resume", "a", "--budget", "6").wait()
    assert code == 2, error
    assert "set" in error
    images.with_name("moved").rename(images)
    gone = images / "train" / CLASSES[0] / "élan à vélo 03.png"
    content = gone.read_bytes()
    gone.unlink()
    code, _, error = nas("search", "--resume", "a", "--budget", "6").wait()
    assert code == 2, error
    assert "the data are not those that the run began with" in error
    gone.write_bytes(content)
    code, _, error = nas("search", "--resume", "a", "--budget", "6").wait()
    assert code == 0, error
    assert [row["status"] for row in rows(run)] == ["ok"] * 6
