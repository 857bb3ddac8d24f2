"""The cache: written once by many, whole after a kill, rebuilt when damaged, never on a disk that is too small."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.data import DataConfig, DataError, PreparedData, prepare
from nas.data.cache import map_array, write_array
from nas.user_folders import cache_folder

MakeFolder = Callable[..., Path]

SCRIPT = """
import sys, time
from pathlib import Path
from nas.data import DataConfig, prepare
from nas.data import pixels
data, log, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
decode = pixels.decode_square
def slow(content, size):
    with log.open("a") as file:
        file.write("decoded\\n")
    time.sleep(seconds)
    return decode(content, size)
pixels.decode_square = slow
prepared = prepare(DataConfig(data=data, image_size=8))
print(prepared.folder, int(prepared.split("train").take(slice(None)).sum()))
"""


def start(folder: Path, log: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(folder), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def entries(config: PreparedData) -> set[str]:
    return {path.name for path in config.folder.parent.iterdir()}


def test_two_processes_decode_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, log = make_folder({"": 4}), tmp_path / "log"
    processes = [start(folder, log, 0.05) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(log.read_text().split()) == 12
    prepared = prepare(DataConfig(data=str(folder), image_size=8))
    assert outputs[0].split()[0] == str(prepared.folder)
    assert entries(prepared) == {prepared.folder.name, f"{prepared.folder.name}.lock"}


@pytest.mark.fault
def test_a_killed_process_leaves_nothing_that_is_taken_for_an_entry(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, log = make_folder({"": 4}), tmp_path / "log"
    process = start(folder, log, 5)
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    place = cache_folder(None) / "data"
    assert any(path.name.startswith(".") for path in place.iterdir()), "it was in the middle of it"
    prepared = prepare(DataConfig(data=str(folder), image_size=8))
    assert entries(prepared) == {prepared.folder.name, f"{prepared.folder.name}.lock"}


def damage(entry: Path, how: str) -> None:
    if how == "cut":
        os.truncate(entry / "train.npy", (entry / "train.npy").stat().st_size - 1)
    elif how == "empty":
        os.truncate(entry / "test_labels.npy", 0)
    elif how == "other type":
        np.save(entry / "train_labels.npy", np.load(entry / "train_labels.npy").view(np.uint64))
    elif how == "other shape":
        images = np.load(entry / "train.npy")
        np.save(entry / "train.npy", images.reshape(len(images), 3, 4, 16))
    elif how == "gone":
        (entry / "test.npy").unlink()
    elif how == "no JSON":
        (entry / "meta.json").write_text('{"key": ')
    elif how == "no object":
        (entry / "meta.json").write_text("[]")
    elif how == "another's":
        meta = json.loads((entry / "meta.json").read_text())
        (entry / "meta.json").write_text(json.dumps({**meta, "key": "0"}))
    else:
        shutil.rmtree(entry)
        entry.mkdir()


@pytest.mark.parametrize(
    "how", ["cut", "empty", "other type", "other shape", "gone", "no JSON", "no object", "another's", "bare folder"]
)
def test_a_damaged_entry_is_built_anew(make_folder: MakeFolder, how: str, caplog: pytest.LogCaptureFixture) -> None:
    config = DataConfig(data=str(make_folder({"": 4})), image_size=8)
    first = prepare(config)
    images = first.split("train").take(slice(None))
    damage(first.folder, how)
    with caplog.at_level(logging.WARNING):
        again = prepare(config)
    assert "is damaged and is built anew" in caplog.text
    assert again == first
    np.testing.assert_array_equal(again.split("train").take(slice(None)), images)


def test_an_entry_that_does_not_count_each_class_is_refused(make_folder: MakeFolder) -> None:
    config = DataConfig(data=str(make_folder({"": 4})), image_size=8)
    path = prepare(config).folder / "meta.json"
    meta = json.loads(path.read_text())
    meta["facts"]["class_counts"]["train"] = []
    path.write_text(json.dumps(meta))
    with pytest.raises(DataError, match="is damaged: remove it, and the data are prepared again"):
        prepare(config)


def test_a_full_disk_is_told_beforehand(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 0, 3 * 64 * 10))
    config = DataConfig(data=str(make_folder({"train": 4, "test": 1})), image_size=8)
    rule = (
        r"must have 2,880 bytes free for these images at 8x8 pixels, but has 1,920; use fewer train images "
        r"\(--max-images; 7 would fit\), a smaller image size, or another folder \(NAS_CACHE_DIR\)"
    )
    with pytest.raises(DataError, match=rule):
        prepare(config)
    assert prepare(DataConfig(data=config.data, image_size=8, max_images=7)).counts["train"] == 4


def test_a_failed_build_leaves_nothing(make_folder: MakeFolder) -> None:
    folder = make_folder({"": 4})
    (folder / "bee" / "000.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"bee/000\.png: no image"):
        prepare(DataConfig(data=str(folder), image_size=8))
    left = list((cache_folder(None) / "data").iterdir())
    assert [path.suffix for path in left] == [".lock"]


def test_a_disk_that_fills_up_is_an_error(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"cannot write to the cache folder '.*': No space left on device"):
        prepare(DataConfig(data=str(make_folder({"": 4})), image_size=8))


def test_a_cache_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to the cache folder '.*file/data'"):
        prepare(DataConfig(data="digits", image_size=8), cache=tmp_path / "file")


def test_a_removed_entry_is_told(make_folder: MakeFolder) -> None:
    prepared = prepare(DataConfig(data=str(make_folder({"": 4})), image_size=8))
    shutil.rmtree(prepared.folder)
    with pytest.raises(DataError, match="were removed from the cache: prepare them again"):
        prepared.split("train")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder(None) == tmp_path / "cache"
    monkeypatch.delenv("NAS_CACHE_DIR")
    assert cache_folder(None).name == "trainaware-nas"


def test_progress_is_told(make_folder: MakeFolder) -> None:
    told: list[tuple[int, int]] = []
    config = DataConfig(data=str(make_folder({"": 4})), image_size=8)
    prepare(config, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (12, 12)


def test_a_mapped_array_is_read_only_and_numpys_own(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    write_array(tmp_path / "x.npy", (4, 6), np.uint8, [values[:3], values[3:]])
    mapped = map_array(tmp_path / "x.npy")
    np.testing.assert_array_equal(mapped, values)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), values)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def test_an_unknown_split_is_refused(make_folder: MakeFolder) -> None:
    prepared = prepare(DataConfig(data=str(make_folder({"": 4})), image_size=8))
    with pytest.raises(DataError, match="must be one of train, holdout, test, got 'val'"):
        prepared.split("val")  # type: ignore[arg-type]
