"""Batches and augmentation: right, different from image to image, and the same for the same seed."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import nas.data
from nas.data import (
    Augment,
    CropFlip,
    Cutout,
    DataConfig,
    DeviceImages,
    ImageSet,
    RandAugment,
    RandomErasing,
    ResizedCrop,
    eval_batches,
    in_turn,
    prepare,
    train_batches,
)
from tests.nas.data.parts import joined

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def image_set(count: int, size: int = 8) -> ImageSet:
    """Images of which each one's value is its label; every other stored one belongs to the set."""
    values = np.arange(2 * count, dtype=np.uint8)
    stored = np.broadcast_to(values[:, None, None, None], (2 * count, 3, size, size)).copy()
    rows = np.arange(0, 2 * count, 2)
    stored.flags.writeable = False
    return ImageSet(pixels=stored, rows=rows, labels=rows.copy())


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    name: str = request.param
    return name


@pytest.fixture
def images(device: str) -> DeviceImages:
    return DeviceImages(image_set(10), mean=MEAN, std=STD, device=device)


def test_values_are_normalised_and_belong_to_their_labels(images: DeviceImages) -> None:
    (batch, labels), *_ = train_batches(images, batch_size=8, steps=1, generator=generator())
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    expected = (labels[:, None].cpu() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(batch.mean((2, 3)).cpu(), expected, atol=1e-5, rtol=1e-5)
    (plain, same), *_ = train_batches(images, batch_size=8, steps=1, generator=generator(), channels_last=False)
    assert plain.is_contiguous()
    assert torch.equal(plain, batch)
    assert torch.equal(same, labels)


@pytest.mark.parametrize(("batch_size", "steps"), [(4, 10), (7, 20), (25, 4), (10, 3)])
def test_each_image_is_seen_equally_often(images: DeviceImages, batch_size: int, steps: int) -> None:
    stream = train_batches(images, batch_size=batch_size, steps=steps, generator=generator())
    seen = [labels.tolist() for _, labels in stream]
    assert [len(labels) for labels in seen] == [batch_size] * steps
    flat = [label for labels in seen for label in labels]
    epochs = [flat[first : first + 10] for first in range(0, len(flat) - 9, 10)]
    assert all(sorted(epoch) == list(range(0, 20, 2)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "each epoch has its own order"


def test_the_same_seed_gives_the_same_batches_and_another_others(images: DeviceImages) -> None:
    crop = CropFlip(pad=2, flip=True)
    first, again, other = (
        [labels.tolist() for _, labels in train_batches(images, batch_size=4, steps=9, generator=g, augment=crop)]
        for g in (generator(1), generator(1), generator(2))
    )
    assert first == again != other


def test_two_streams_of_one_generator_differ_however_they_are_read(images: DeviceImages) -> None:
    one = generator()
    streams = [train_batches(images, batch_size=10, steps=1, generator=one) for _ in range(2)]
    backwards = [next(iter(stream))[1].tolist() for stream in reversed(streams)]
    one = generator()
    forwards = [next(train_batches(images, batch_size=10, steps=1, generator=one))[1].tolist() for _ in range(2)]
    assert backwards[::-1] == forwards
    assert forwards[0] != forwards[1]


def test_a_stream_entered_later_goes_on_as_it_would_have(device: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8), np.uint8)
    noisy = ImageSet(pixels=noise, rows=np.arange(10), labels=np.arange(10))
    images = DeviceImages(noisy, mean=MEAN, std=STD, device=device)
    crop = CropFlip(pad=2, flip=True)
    whole = list(train_batches(images, batch_size=4, steps=9, generator=generator(), augment=crop))
    later = list(train_batches(images, batch_size=4, steps=9, generator=generator(), augment=crop, start=5))
    assert len(later) == 4
    for (image, label), (expected_image, expected_label) in zip(later, whole[5:], strict=True):
        assert torch.equal(image, expected_image)
        assert torch.equal(label, expected_label)


@pytest.mark.parametrize(
    "augment",
    [
        CropFlip(pad=2, flip=True),
        ResizedCrop(size=6, min_area=0.3, flip=True),
        RandAugment(magnitude=8),
        in_turn(Cutout(side=0.5), RandomErasing(probability=0.5)),
    ],
)
@pytest.mark.parametrize("world", [2, 4])
def test_the_parts_of_several_processes_are_the_batch_of_one(device: str, augment: Augment, world: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8), np.uint8)
    images = DeviceImages(
        ImageSet(pixels=noise, rows=np.arange(10), labels=np.arange(10)), mean=MEAN, std=STD, device=device
    )
    whole, *parts = (
        list(train_batches(images, batch_size=16, steps=4, generator=generator(), augment=augment, rank=r, world=w))
        for r, w in [(0, 1), *((rank, world) for rank in range(world))]
    )
    for (image, label), *pieces in zip(whole, *parts, strict=True):
        assert torch.equal(joined([labels for _, labels in pieces]), label)
        torch.testing.assert_close(joined([batch for batch, _ in pieces]), image, atol=0.02, rtol=0)


def test_no_global_randomness_is_touched(images: DeviceImages) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1]
    list(train_batches(images, batch_size=4, steps=3, generator=generator(), augment=CropFlip(pad=1, flip=True)))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_evaluation_covers_everything_once_in_order(images: DeviceImages) -> None:
    batches = list(eval_batches(images, batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(0, 20, 2))
    assert batches[0][0].shape == (4, 3, 8, 8)


def test_the_cpu_shares_the_stored_images(make_folder: Callable[..., Path]) -> None:
    stored = prepare(DataConfig(data=str(make_folder({"": 4})), image_size=8)).split("train")
    images = DeviceImages(stored, mean=MEAN, std=STD)
    assert images._pixels.data_ptr() == stored.pixels.ctypes.data
    assert not stored.pixels.flags.writeable


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_a_set_that_is_too_large_stays_off_the_device(limit: int) -> None:
    images = DeviceImages(image_set(10), mean=MEAN, std=STD, device="cuda", max_resident_bytes=limit)
    assert images._pixels.is_cuda is (limit > 0)
    assert all(batch.is_cuda for batch, _ in eval_batches(images, batch_size=4))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"steps": -1}, "steps must be an integer of at least 0, got -1"),
        ({"start": 3}, "steps must be an integer of at least 3, got 2"),
        ({"start": -1}, "start must be an integer of at least 0, got -1"),
        ({"rank": 2, "world": 2}, "rank must be at least 0 and below world, got rank 2 of world 2"),
        ({"rank": 0, "world": 3}, "batch_size must be a multiple of 12 with 3 workers .*, got 2"),
    ],
)
def test_settings_are_checked_at_once(settings: dict[str, int], rule: str) -> None:
    images = DeviceImages(image_set(4), mean=MEAN, std=STD)
    with pytest.raises(ValueError, match=rule):
        train_batches(images, **{"batch_size": 2, "steps": 2, **settings}, generator=generator())


def test_device_images_are_checked() -> None:
    with pytest.raises(ValueError, match="std above 0"):
        DeviceImages(image_set(4), mean=MEAN, std=(0.1, 0.0, 0.1))
    empty = ImageSet(pixels=np.zeros((1, 3, 4, 4), np.uint8), rows=np.arange(0), labels=np.arange(0))
    with pytest.raises(ValueError, match="at least 1 image"):
        DeviceImages(empty, mean=MEAN, std=STD)


def reference_crop_flip(image: np.ndarray, pad: int, down: int, right: int, mirrored: bool) -> np.ndarray:
    """One image (3, S, S) padded by reflection, cropped at (down, right), then mirrored, with numpy's own padding."""
    size = image.shape[-1]
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    crop = padded[:, down : down + size, right : right + size]
    return crop[:, :, ::-1] if mirrored else crop


@pytest.mark.parametrize("flip", [False, True])
def test_crop_flip_is_a_padded_crop_and_a_mirror(device: str, flip: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)
    places = [
        (down, right, mirrored) for down in range(7) for right in range(7) for mirrored in (False, True)[: 1 + flip]
    ]
    possible = {reference_crop_flip(image, 3, *place).tobytes() for place in places}
    batch = torch.from_numpy(np.stack([image] * 2000)).to(device)
    got = Counter(one.tobytes() for one in CropFlip(pad=3, flip=flip)(batch, generator()).cpu().numpy())
    assert set(got) == possible, "every place comes up and nothing else"
    assert max(got.values()) < 6 * 2000 / len(possible)


def test_sixteen_equal_images_come_out_different(device: str) -> None:
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8, generator=generator())
    batch = image.expand(16, -1, -1, -1).to(device)
    augmented = CropFlip.for_size(32, flip=True)(batch, generator())
    assert augmented.device.type == device
    assert augmented.dtype == torch.uint8
    assert len({one.numpy().tobytes() for one in augmented.cpu()}) >= 13


def test_augmentation_follows_the_generator(device: str) -> None:
    batch = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=generator()).to(device)
    crop = CropFlip(pad=2, flip=True)
    assert torch.equal(crop(batch, generator(5)), crop(batch, generator(5)))
    assert not torch.equal(crop(batch, generator(5)), crop(batch, generator(6)))


def test_no_pad_and_no_flip_change_nothing() -> None:
    batch = torch.randint(0, 256, (4, 3, 9, 9), dtype=torch.uint8, generator=generator())
    assert torch.equal(CropFlip(pad=0, flip=False)(batch, generator()), batch)


def test_pad_goes_with_the_size_and_is_checked() -> None:
    assert [CropFlip.for_size(size, flip=True).pad for size in (8, 32, 64, 224)] == [1, 4, 8, 28]
    with pytest.raises(ValueError, match="pad must be at least 0, got -1"):
        CropFlip(pad=-1, flip=True)
    with pytest.raises(ValueError, match="less than the image's size 4, got 4"):
        CropFlip(pad=4, flip=True)(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), generator())


def test_preparing_data_needs_no_torch() -> None:
    code = (
        "import sys; from nas.data import DataConfig, prepare; prepare(DataConfig(data='digits', image_size=8));"
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_door_names_what_it_has() -> None:
    assert all(getattr(nas.data, name) is not None for name in nas.data.__all__)
    with pytest.raises(AttributeError, match=r"'nas\.data' has no attribute 'loaders'"):
        nas.data.loaders  # noqa: B018


def test_batches_of_another_size_go_on_in_the_same_stream(images: DeviceImages) -> None:
    """3 batches of 8, then 5 of 3: nothing comes twice, nothing is left out, across the ends of epochs too."""
    first = train_batches(images, batch_size=8, steps=3, generator=generator())
    then = train_batches(images, batch_size=3, start=3, steps=8, offset=24 - 3 * 3, generator=generator())
    single = train_batches(images, batch_size=1, steps=39, generator=generator())
    seen = [label for stream in (first, then) for _, labels in stream for label in labels.tolist()]
    assert seen == [label for _, labels in single for label in labels.tolist()]
    with pytest.raises(ValueError, match=r"offset \+ start \* batch_size must be an integer of at least 0, got -1"):
        train_batches(images, batch_size=3, start=1, steps=2, offset=-4, generator=generator())
