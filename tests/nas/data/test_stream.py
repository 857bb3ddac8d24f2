"""Streamed batches: the crops that torchvision would make, the cache's order, and no effect of how they are loaded."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from nas.container import Memory
from nas.data import (
    DataConfig,
    DataError,
    DeviceImages,
    Fault,
    Part,
    RandAugment,
    ResizedCrop,
    Skipped,
    Survey,
    WorkerLost,
    choose_mode,
    prepare,
    survey,
    train_batches,
)
from nas.data.batches import stream_seed
from nas.data.images import ArrayImages
from nas.data.moments import sample_moments
from nas.data.pixels import Crop, decode_crop
from nas.data.stream import EvalRequest, EvalStream, Loaded, TrainRequest, TrainStream, Workers
from tests.nas.data.parts import joined

MakeFolder = Callable[..., Path]


def find(folder: Path, size: int = 12) -> Survey:
    return survey(DataConfig(data=str(folder), image_size=size))


def stream(found: Survey, *, max_faults: int = 0, seed: int = 5) -> TrainStream:
    return TrainStream(found.splits["train"], seed=seed, min_area=0.3, flip=True, max_faults=max_faults)


def requests(steps: range, part: Part, size: int = 8) -> Iterator[TrainRequest]:
    return (
        TrainRequest(step=step, place=step * part.whole, part=part, image_size=size, augment=RandAugment(magnitude=5))
        for step in steps
    )


def assert_same(one: list[Loaded], other: list[Loaded]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine.images, theirs.images)
        assert torch.equal(mine.labels, theirs.labels)
        assert mine.faults == theirs.faults


@pytest.fixture
def photograph() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_crop_is_torchvisions_of_the_upright_image(
    tmp_path: Path, photograph: Image.Image, mirrored: bool, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "x.jpg"
    photograph.save(path, quality=95, exif=exif)
    crop = Crop(area=0.3, stretch=0.9, top=0.4, left=0.7, mirrored=mirrored)
    upright = ImageOps.exif_transpose(Image.open(path))
    left, top, right, bottom = crop.box(*upright.size)
    theirs = functional.resized_crop(upright, top, left, bottom - top, right - left, [48, 48])
    theirs = np.asarray(functional.horizontal_flip(theirs) if mirrored else theirs).transpose(2, 0, 1)
    np.testing.assert_allclose(decode_crop(path.read_bytes(), 48, crop, draft=False), theirs, atol=1)
    drafted = decode_crop(path.read_bytes(), 48, crop).astype(int)
    assert 0 < np.abs(drafted - theirs).mean() < 1.5, "decoded at a half, and alike"


def test_boxes_are_of_the_area_and_shape_that_was_drawn() -> None:
    generator = np.random.default_rng(0)
    for area, stretch, top, left in generator.random((500, 4)):
        box = Crop(area=0.1 + 0.2 * area, stretch=stretch, top=top, left=left, mirrored=False).box(500, 375)
        width, height = box[2] - box[0], box[3] - box[1]
        assert 0 <= box[0] < box[2] <= 500
        assert 0 <= box[1] < box[3] <= 375
        assert width * height == pytest.approx((0.1 + 0.2 * area) * 500 * 375, rel=0.02)
        assert 0.73 < width / height < 1.36


def test_order_labels_and_crops_are_those_of_the_cache(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 9, "test": 1}, size=32)
    for path in folder.rglob("*.png"):  # squares, which the cache holds as they are
        Image.open(path).resize((32, 32)).save(path)
    config = DataConfig(data=str(folder), image_size=32)
    data = prepare(config, splits=("train",))
    images = DeviceImages(data.split("train"), mean=(0, 0, 0), std=(1 / 255,) * 3)
    crop = ResizedCrop(size=16, min_area=0.3, flip=True)
    cached = train_batches(images, batch_size=7, steps=6, generator=torch.Generator().manual_seed(2), augment=crop)
    seed = stream_seed(torch.Generator().manual_seed(2))
    dataset = stream(survey(config), seed=seed)
    for step, (pixels, labels) in enumerate(cached):
        loaded = dataset[TrainRequest(step=step, place=7 * step, part=Part.of(7), image_size=16)]
        assert torch.equal(loaded.labels, labels)
        np.testing.assert_allclose(loaded.images, pixels.round(), atol=1)


def test_neither_workers_nor_parts_nor_the_start_change_a_batch(make_folder: MakeFolder) -> None:
    found = find(make_folder({"train": 9, "test": 1}))
    plain, busy = Workers(stream(found), 0), Workers(stream(found), 2)
    before = torch.get_rng_state()
    expected = list(plain.load(requests(range(6), Part.of(8))))
    given = busy.load(requests(range(6), Part.of(8)))
    assert_same([next(given) for _ in range(3)], expected[:3])
    for process in multiprocessing.active_children():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)  # as a Ctrl-C reaches them
    assert_same(list(busy.load(requests(range(2, 6), Part.of(8)))), expected[2:])
    halves = [list(busy.load(requests(range(6), Part.of(8, rank=rank, world=2)))) for rank in range(2)]
    for one, other, whole in zip(*halves, expected, strict=True):
        assert torch.equal(joined([one.images, other.images]), whole.images)
        assert torch.equal(joined([one.labels, other.labels]), whole.labels)
    assert torch.equal(torch.get_rng_state(), before)
    busy.close()
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_told(make_folder: MakeFolder) -> None:
    workers = Workers(stream(find(make_folder({"train": 9, "test": 1}))), 1)
    given = workers.load(requests(range(1000), Part.of(7)))
    next(given)
    for process in multiprocessing.active_children():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="use fewer workers"):
        list(given)
    workers.close()


class Crowded(Dataset[Loaded]):
    """Batches of 1 MB, where a file in shared memory may have 64 KB."""

    def __getitem__(self, request: int) -> Loaded:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
        return Loaded(torch.zeros(request, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ())


def test_shared_memory_that_is_full_is_told_and_not_waited_for() -> None:
    workers = Workers(Crowded(), 1)
    given = workers.load([1 << 12, 1 << 20])
    assert next(given).images.shape == (1 << 12,)
    with pytest.raises(WorkerLost, match=r"RuntimeError: unable to .* shared memory.*use fewer workers"):
        next(given)
    workers.close()


def test_what_cannot_be_read_is_replaced_by_the_next_in_the_order(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 9, "test": 1})
    whole = [stream(find(folder))[request] for request in requests(range(12), Part.of(7))]
    (folder / "train" / "bee" / "003.png").write_bytes(b"no picture")
    found = find(folder)
    damaged = [stream(found, max_faults=1)[request] for request in requests(range(12), Part.of(7))]
    assert {fault for loaded in damaged for fault in loaded.faults} == {Fault("train/bee/003.png", "no image")}
    labels, expected = (torch.cat([loaded.labels for loaded in each]) for each in (damaged, whole))
    order = [position for epoch in range(4) for position in torch.randperm(24, generator=epoch_order(epoch)).tolist()]
    broken = [place for place, position in enumerate(order[:84]) if found.splits["train"].rows[position] == 12]
    assert len(broken) in (3, 4)
    for place in range(84):
        source = place + 1 if place in broken else place
        assert labels[place] == found.splits["train"].labels[order[source]]
        if place not in broken:
            assert labels[place] == expected[place]


def epoch_order(epoch: int) -> torch.Generator:
    state = np.random.SeedSequence([5, 0, epoch]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(state[0]))


def test_a_batch_is_given_up_where_nothing_can_be_read(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 9, "test": 1})
    found = find(folder)
    for path in folder.rglob("*.png"):
        path.unlink()
    loaded = stream(found, max_faults=2)[TrainRequest(step=0, place=0, part=Part.of(7), image_size=8)]
    assert len(loaded.faults) == 3
    skipped = Skipped(found.counts, 2.5 / 24)
    with pytest.raises(DataError, match=r"at most 10.4 % of the images may be unreadable, but 3 of 24 are \("):
        skipped.add("train", loaded.faults)


def test_evaluation_is_the_caches_without_what_cannot_be_read(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 9, "test": 3}, size=40)
    (folder / "test" / "ant" / "001.png").write_bytes(b"")
    config = DataConfig(data=str(folder), image_size=16)
    with pytest.raises(DataError, match="every image must be readable, but 1 of 9 are not"):
        prepare(config, splits=("test",))
    data = prepare(config, splits=("holdout", "test"), max_corrupt=0.2)
    assert data.counts == {"holdout": 3, "test": 8}
    assert data.faults["test"] == (Fault("test/ant/001.png", "no image"),)
    found = survey(config)
    workers = Workers(EvalStream(found.splits), 0)
    for split in ("holdout", "test"):
        spans = [(0, 4), (4, 9)] if split == "test" else [(0, 3)]
        asked = [EvalRequest(split=split, first=first, stop=stop, image_size=16) for first, stop in spans]
        loaded = list(workers.load(asked))
        np.testing.assert_array_equal(torch.cat([each.images for each in loaded]), data.split(split).take(slice(None)))
        np.testing.assert_array_equal(torch.cat([each.labels for each in loaded]), data.split(split).labels)
    with pytest.raises(DataError, match="every image must be readable"):
        prepare(config, splits=("holdout", "test"))


def test_no_image_of_another_split_is_stored(make_folder: MakeFolder) -> None:
    config = DataConfig(data=str(make_folder({"train": 10, "test": 2})), image_size=8)
    whole = prepare(config)
    train, others = prepare(config, splits=("train",)), prepare(config, splits=("test", "holdout"))
    assert sorted(path.name for path in train.folder.glob("*.npy")) == ["train.npy", "train_labels.npy"]
    assert train.counts == {"train": 27}
    assert others.counts == {"holdout": 3, "test": 6}
    for split, data in (("train", train), ("holdout", others), ("test", others)):
        stored, expected = data.split(split), whole.split(split)
        assert len(stored.pixels) == len(stored)
        np.testing.assert_array_equal(stored.take(slice(None)), expected.take(slice(None)))
        np.testing.assert_array_equal(stored.labels, expected.labels)
    with pytest.raises(DataError, match="split must be one of train, got 'test'"):
        train.split("test")


def test_a_small_set_is_normalised_as_the_cache_does(make_folder: MakeFolder) -> None:
    config = DataConfig(data=str(make_folder({"train": 10, "test": 2})), image_size=8)
    data = prepare(config, splits=("train",))
    assert sample_moments(survey(config)) == (data.mean, data.std)


def test_what_does_not_fit_is_streamed(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find(make_folder({"train": 10, "test": 2}))
    sizes = {"train": 100, "holdout": 200, "test": 200}
    needed = 3 * (27 * 100**2 + 9 * 200**2)
    for free, mode, said in ((2 * needed, "cache", "at most half"), (2 * needed - 1, "stream", "more than half")):
        memory = Memory(total=4 * needed, free=free)
        monkeypatch.setattr("nas.container.memory", lambda memory=memory: memory)
        assert choose_mode(found, sizes)[0] == mode
        assert said in choose_mode(found, sizes)[1]
    arrays = ArrayImages(np.zeros((30, 8, 8, 3), np.uint8))
    in_memory = {split: replace(chosen, images=arrays) for split, chosen in found.splits.items()}
    assert choose_mode(replace(found, splits=in_memory), sizes) == ("cache", "the images are in memory anyway")
