"""Files made to do harm, given to the commands: one clear error, exit code 2, nothing run or waited for."""

import io
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.cli import main
from nas.data import DataConfig, prepare

CANARY = "canary"


@dataclass
class Bomb:
    """Leaves a trace in the working folder where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (CANARY,)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _vast(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _named(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


ANY_FILE: dict[str, Callable[[Path], object]] = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "what torch saved": lambda path: path.write_bytes(_saved(lambda file: torch.save({"a": Bomb()}, file))),
    "an array of objects": lambda path: path.write_bytes(
        _saved(lambda file: np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True))
    ),
    "an archive of arrays": lambda path: path.write_bytes(
        _saved(lambda file: np.savez(file, a=np.array([Bomb()], dtype=object)))
    ),
    "a terabyte": _vast,
    "a pipe": _fifo,
    "a folder": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}
JSON: dict[str, Callable[[Path], object]] = {
    "NaN": _named('{"a": NaN}'),
    "infinity": _named('{"schema_version": 1e999}'),
    "a field twice": _named('{"kind": "training", "kind": "training"}'),
    "a huge number": _named('{"schema_version": ' + "9" * 100_000 + "}"),
    "100,000 lists": _named("[" * 100_000),
    "100,000 objects": _named('{"a":' * 100_000),
    "an import string": _named('{"class": "os:system", "args": ["mkdir canary"], "!!python/name": "os.system"}'),
}
TRAIN = ["--data", "digits", "--budget", "1st", "--out", "new"]
READ_BY: dict[str, list[str]] = {
    "search/config.json": ["pareto", "search"],
    "search/trials.jsonl": ["pareto", "search"],
    "search/asks.jsonl": ["replay", "search"],
    "search/calibration.json": ["replay", "search"],
    "arch.json": ["describe", "arch.json"],
    "space.json": ["spaces", "space.json"],
    "space.yaml": ["spaces", "space.yaml"],
    "family/family.json": ["train", "--family", "family", *TRAIN],
    "family/S.recipe.json": ["train", "family/S.json", *TRAIN],
    "trainings/config.json": ["train", "--resume", "trainings"],
    "training/config.json": ["evaluate", "training"],
    "training/result.json": ["evaluate", "training"],
    "training/arch.json": ["evaluate", "training"],
    "training/data.json": ["evaluate", "training"],
    "training/metrics.jsonl": ["curves", "training"],
    "training/model.safetensors": ["evaluate", "training"],
    "training/checkpoints/step-60.pt": ["evaluate", "training", "--checkpoint", "60"],
    "weights.pt": ["train", "arch.json", "--init", "weights.pt", *TRAIN],
    "supernet/model.safetensors": ["search", "--evaluator", "supernet", "--supernet", "supernet"],
    "shards/train-000.tar": ["train", "arch.json", "--data", "shards", "--image-size", "16", *TRAIN[2:]],
    "shards/classes.txt": ["train", "arch.json", "--data", "shards", "--image-size", "16", *TRAIN[2:]],
    "pictures/train/a/0.png": ["train", "arch.json", "--data", "pictures", "--image-size", "16", *TRAIN[2:]],
}
"""The command that reads each file."""
OF_THE_USER = ("arch.json", "space", "weights.pt", "shards", "pictures", "family")
"""Named by the user, or of data: a link is theirs."""


def _refused(
    file: str, make: Callable[[Path], object], files: Path, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    path = files / file
    kept = path.rename(files / "kept")
    try:
        make(path)
        if path.suffix == ".jsonl" and path.is_file() and path.stat().st_size < 1 << 20:
            with path.open("a") as lines:
                lines.write("\n")  # or else it would be a line that a kill has cut
        code = main(READ_BY[file])
        out, error = capfd.readouterr()
        assert code == 2, f"{what}: {code}: {error}"
        assert error.count("error: ") == 1, f"{what}: {error}"
        assert "Traceback" not in error, what
        assert out == "", what
        assert not (files / CANARY).exists(), what
        assert not (files / "new").exists(), what
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        kept.rename(path)
        shutil.rmtree(files / "new", ignore_errors=True)


def _harm(file: str) -> dict[str, Callable[[Path], object]]:
    return {**ANY_FILE, **(JSON if Path(file).suffix in (".json", ".jsonl") else {})}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", READ_BY)
def test_a_file_made_to_do_harm_is_refused(file: str, files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for what in ("what torch saved", "a pipe", "a field twice"):
        if what in _harm(file):
            _refused(file, _harm(file)[what], files, capfd, what)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", READ_BY)
def test_whatever_was_made_to_do_harm_is_refused(file: str, files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for what, make in _harm(file).items():
        _refused(file, make, files, capfd, what)


@pytest.mark.parametrize("file", [file for file in READ_BY if not file.startswith(OF_THE_USER)])
def test_a_run_does_not_lead_out_of_itself(file: str, files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _refused(file, lambda path: path.symlink_to(files / "kept"), files, capfd, "a link")


def test_the_bomb_works(files: Path) -> None:
    pickle.loads(pickle.dumps(Bomb()))
    assert (files / CANARY).is_dir()
    (files / CANARY).rmdir()


@pytest.mark.parametrize("name", ["meta.json", "train.npy"])
@pytest.mark.parametrize("what", ["what torch saved", "an array of objects", "an archive of arrays", "a pipe"])
def test_a_cache_that_was_made_to_do_harm_is_made_anew(
    name: str, what: str, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = DataConfig(data="digits", image_size=8)
    path = prepare(config).folder / name
    path.unlink()
    ANY_FILE[what](path)
    found = prepare(config).split("train")
    assert len(found) == len(found.labels) > 1000
    assert not (files / CANARY).exists()
    assert "is damaged and is built anew" in caplog.text
