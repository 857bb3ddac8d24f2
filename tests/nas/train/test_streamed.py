"""A training on streamed images: it goes on exactly, does not depend on the workers, and passes over damaged files."""

import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import DataConfig, DataError, DataMode
from nas.device import Compute
from nas.train import TrainingInterrupted, TrainJob, TrainLength, train_full
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from nas.train.job import read_result
from nas.train.report import Now, Silent
from scaling import Ramp
from tests.nas.data.parts import joined
from tests.nas.train.processes import run_group
from tests.nas.train.test_group import part_of_training

MODES = get_args(DataMode)
DAMAGED = ("train/2/003.jpg", "test/1/001.jpg")


class Heard(Silent):
    def __init__(self, stop_at: int | None = None) -> None:
        self.notes: list[str] = []
        self._stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, now: Now) -> None:
        if now.step == self._stop_at:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten classes, 10 images each to train on and 4 to test, 24x20 pixels."""
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for label in range(10):
            folder = tmp_path / "pictures" / split / str(label)
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 100, (20, 24, 3), np.uint8) + 15 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.jpg")
    return tmp_path / "pictures"


@pytest.fixture
def job(small_job: TrainJob, pictures: Path) -> TrainJob:
    return replace(
        small_job,
        data=DataConfig(data=str(pictures), image_size=12),
        recipe=replace(small_job.recipe, batch_size=16),
        length=TrainLength(steps=15),
        data_mode="stream",
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def skipped(folder: Path) -> list[str]:
    return [json.loads(line)["name"] for line in (folder / "skipped.jsonl").read_text().splitlines()]


def test_neither_a_stop_nor_the_workers_change_what_comes_out(job: TrainJob, tmp_path: Path) -> None:
    plain, stopped = tmp_path / "plain", tmp_path / "stopped"
    result = train_full(job, plain, loader_workers=0)
    assert (result.steps, result.num_test) == (15, 40)
    assert [line["step"] for line in lines(plain)] == [6, 12, 15]
    assert all(0 <= line["data_wait"] <= 1 for line in lines(plain))
    with pytest.raises(TrainingInterrupted, match="after step 8 of 15"):
        train_full(job, stopped, progress=Heard(stop_at=8), loader_workers=0)
    train_full(job, stopped, loader_workers=1)
    assert (plain / "model.safetensors").read_bytes() == (stopped / "model.safetensors").read_bytes()
    assert not (plain / "skipped.jsonl").exists()


@pytest.mark.parametrize("mode", MODES)
def test_ranks_share_a_batch(job: TrainJob, mode: DataMode) -> None:
    feed = Feed(replace(job, data_mode=mode), loader_workers=0)
    (phase, *_) = job.phases(15)
    whole = list(feed.train_batches(phase, start=3, stop=6))
    parts = [list(feed.train_batches(phase, start=3, stop=6, rank=rank, world=2)) for rank in range(2)]
    for (images, labels), *pieces in zip(whole, *parts, strict=True):
        assert torch.equal(joined([piece[1] for piece in pieces]), labels)
        torch.testing.assert_close(joined([piece[0] for piece in pieces]), images, atol=0.03, rtol=0)
    evaluated = [list(feed.eval_batches("test", rank=rank, world=2)) for rank in range(2)]
    assert [len(labels) for batches in evaluated for _, labels in batches] == [20, 20]
    (pixels, labels), *_ = feed.eval_batches("test")
    torch.testing.assert_close(torch.cat([images for batches in evaluated for images, _ in batches]), pixels)
    few = [list(feed.eval_batches("holdout", rank=rank, world=11)) for rank in range(11)]
    assert [len(batches) for batches in few] == [1] * 10 + [0]


def test_what_one_rank_skipped_leaves_the_others_images_to_be_evaluated(job: TrainJob, pictures: Path) -> None:
    """Ranks share out a split by the images that are listed: what is unreadable each knows of its own images alone."""
    (pictures / "test/0/000.jpg").unlink()
    (pictures / "test/0/001.jpg").write_bytes(b"no picture")
    feeds = [Feed(replace(job, max_corrupt=0.03), loader_workers=0) for _ in range(2)]
    seen: list[list[int]] = []
    for _ in range(2):
        found = [list(feed.eval_batches("test", rank=rank, world=2)) for rank, feed in enumerate(feeds)]
        seen.append([label for batches in found for _, labels in batches for label in labels.tolist()])
    assert [feed.counts["test"] for feed in feeds] == [38, 39]
    assert sorted(seen[0]) == sorted(seen[1]) == sorted([0, 0, *(label for label in range(1, 10) for _ in range(4))])


def test_three_workers_train_on_streamed_images(job: TrainJob, pictures: Path, tmp_path: Path) -> None:
    """With all that changes a step, and images that one rank alone cannot read."""
    for name in DAMAGED:
        (pictures / name).write_bytes(b"no picture")
    strange = replace(
        job,
        recipe=replace(job.recipe, batch_size=24, mixup=Ramp(0.2, 0.2), cutmix=Ramp(0.2, 0.2)),
        options=replace(job.options, grow_batch=True, accumulate=3, sync_bn=True),
        compute=Compute(dtype="bfloat16"),
        max_corrupt=0.03,
        length=TrainLength(steps=7),
    ).anchored()
    folder, feed = tmp_path / "three", Feed(strange, loader_workers=0)
    with TrainFolder(folder, strange, feed.fingerprints):
        ends = run_group(3, tmp_path / "store", part_of_training, strange, folder, None, 1e9, None)
    assert [how for how, _ in ends] == ["done"] * 3
    assert sorted(skipped(folder)) == sorted(DAMAGED)
    assert sum(note.startswith("skipped ") for note in ends[0][1]) == 2
    result = read_result(folder)
    assert result is not None
    assert result.num_test == 39
    assert all(math.isfinite(line["loss"]) for line in lines(folder))


def test_both_modes_evaluate_on_the_same_pixels(job: TrainJob) -> None:
    cached, streamed = (Feed(replace(job, data_mode=mode), loader_workers=0) for mode in ("cache", "stream"))
    assert cached.counts == streamed.counts == {"train": 90, "holdout": 10, "test": 40}
    for one, other in zip(cached.eval_batches("test"), streamed.eval_batches("test"), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("mode", MODES)
def test_damaged_images_are_named_once_and_skipped(
    job: TrainJob, pictures: Path, tmp_path: Path, mode: DataMode
) -> None:
    for name in DAMAGED:
        content = (pictures / name).read_bytes()
        (pictures / name).write_bytes(content[: len(content) // 2])
    tolerant, folder = replace(job, data_mode=mode, max_corrupt=0.03), tmp_path / "run"
    first, second = Heard(stop_at=12), Heard()
    with pytest.raises(TrainingInterrupted):
        train_full(tolerant, folder, progress=first, loader_workers=0)
    result = train_full(tolerant, folder, progress=second, loader_workers=0)
    assert result.num_test == 39
    assert sorted(skipped(folder)) == sorted(DAMAGED)
    told = [note for note in (*first.notes, *second.notes) if note.startswith("skipped ")]
    assert len(told) == 2
    assert any(note.startswith("skipped train image train/2/003.jpg: ") for note in told)
    with pytest.raises(DataError, match=r"at most 1 % of the images may be unreadable, but 1 of .* are \("):
        train_full(replace(tolerant, max_corrupt=0.01), tmp_path / "strict", loader_workers=0)


def test_what_it_takes_is_checked(job: TrainJob) -> None:
    with pytest.raises(ValueError, match=r"TrainJob\.max_corrupt must be at least 0 and below 1, got 1.5"):
        replace(job, max_corrupt=1.5)
    with pytest.raises(ValueError, match=r"TrainJob\.data_mode must be one of cache, stream, got 'disk'"):
        replace(job, data_mode="disk")  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_augments_what_workers_crop(job: TrainJob, tmp_path: Path) -> None:
    on_gpu = replace(job, compute=Compute(device="cuda"))
    feeds = Feed(job, loader_workers=0), Feed(on_gpu, loader_workers=1)
    (phase, *_) = job.phases(15)
    for one, other in zip(*(feed.train_batches(phase, start=3, stop=6) for feed in feeds), strict=True):
        torch.testing.assert_close(other[0].cpu(), one[0], atol=0.03, rtol=0)
    feeds[1].close()
    assert train_full(on_gpu, tmp_path / "gpu", loader_workers=1).steps == 15
