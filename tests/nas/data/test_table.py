"""The contract that each row of the table keeps: a new data set is found here by itself."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import (
    DATASETS,
    FOLDER,
    CropFlip,
    DataConfig,
    DataError,
    DeviceImages,
    PreparedData,
    Split,
    dataset_of,
    prepare,
    train_batches,
)

SPLITS: tuple[Split, ...] = ("train", "holdout", "test")


@pytest.fixture(params=[*DATASETS, "folder"])
def config(request: pytest.FixtureRequest) -> DataConfig:
    name: str = request.param
    if name == "folder":
        return DataConfig(data=str(request.getfixturevalue("make_folder")({"train": 7, "test": 2})), image_size=12)
    row = DATASETS[name]
    root = request.getfixturevalue("fake_cifar") if row.uses_root else None
    return DataConfig(data=name, image_size=row.image_size or 32, root=root)


def test_every_row_keeps_the_contract(config: DataConfig) -> None:
    prepared = prepare(config)
    row = dataset_of(config)
    assert row in (*DATASETS.values(), FOLDER)
    assert prepared.flip is row.flip
    assert prepared.num_classes == len(set(prepared.classes)) >= 2
    for split in SPLITS:
        images = prepared.split(split)
        assert len(images) == prepared.counts[split] == len(images.labels)
        assert images.take(slice(None)).shape == (len(images), 3, config.image_size, config.image_size)
        assert images.pixels.dtype == np.uint8
        assert images.labels.dtype == np.int64
        assert set(images.labels.tolist()) == set(range(prepared.num_classes)), "each class is in each split"
    train, holdout = prepared.split("train"), prepared.split("holdout")
    assert not set(train.rows.tolist()) & set(holdout.rows.tolist())
    stored = prepared.split("train").pixels / 255
    np.testing.assert_allclose(prepared.mean, stored.mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(prepared.std, stored.std((0, 2, 3)), rtol=1e-6)
    assert f"{len(holdout):,} held out" in prepared.summary()


def test_another_split_seed_holds_out_others_and_leaves_the_test(config: DataConfig) -> None:
    first = prepare(replace(config, holdout=0.4))
    second = prepare(replace(config, holdout=0.4, split_seed=1))
    assert first.folder == second.folder, "nothing is decoded again"
    assert first.counts == second.counts
    assert first.split("holdout").rows.tolist() != second.split("holdout").rows.tolist()
    np.testing.assert_array_equal(first.split("test").take(slice(None)), second.split("test").take(slice(None)))


def test_another_size_keeps_the_order(config: DataConfig) -> None:
    small, large = (prepare(replace(config, image_size=size)) for size in (6, 2 * config.image_size))
    assert small.split("holdout").pixels.shape[2:] == (6, 6)
    np.testing.assert_array_equal(small.split("train").labels, large.split("train").labels)
    brightness = [data.split("test").take(slice(None)).mean((1, 2, 3)) for data in (small, large)]
    np.testing.assert_allclose(*brightness, atol=8)


def test_a_second_call_decodes_nothing(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(config)

    def refuse(*_: object) -> None:
        pytest.fail("decoded again")

    monkeypatch.setattr("nas.data.prepared._build", refuse)
    assert prepare(config) == first


def test_prepared_data_travel_as_a_small_pickle(config: DataConfig) -> None:
    prepared = prepare(config)
    sent = pickle.dumps(prepared)
    assert len(sent) < 6_000
    received: PreparedData = pickle.loads(sent)
    assert received == prepared
    np.testing.assert_array_equal(received.split("train").labels, prepared.split("train").labels)


def test_max_images_takes_each_class(config: DataConfig) -> None:
    whole = prepare(config)
    total = 2 * whole.num_classes + 1
    part = prepare(replace(config, max_images=total))
    assert part.counts["train"] + part.counts["holdout"] == total
    assert part.counts["test"] == whole.counts["test"]
    assert min(part.class_counts["train"]) >= 2
    kept = {image.tobytes() for image in whole.split("train").pixels}
    assert {image.tobytes() for image in part.split("train").pixels} <= kept
    with pytest.raises(DataError, match=f"max_images must be at least {2 * whole.num_classes} here"):
        prepare(replace(config, max_images=2 * whole.num_classes - 1))


def test_batches_come_of_it(config: DataConfig) -> None:
    prepared = prepare(config)
    images = DeviceImages(prepared.split("train"), mean=prepared.mean, std=prepared.std)
    augment = CropFlip.for_size(config.image_size, flip=prepared.flip)
    generator = torch.Generator().manual_seed(0)
    batches = list(train_batches(images, batch_size=4, steps=3, generator=generator, augment=augment))
    assert [batch.shape for batch, _ in batches] == [(4, 3, config.image_size, config.image_size)] * 3
    assert all(batch.isfinite().all() for batch, _ in batches)


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare(DataConfig(data="digits", image_size=8), cache=tmp_path)
    assert (tmp_path / "data").is_dir()
    assert prepared.counts == {"train": 1293, "holdout": 145, "test": 359}
    theirs = sorted(zip(load_digits().images.mean((1, 2)) / 16, load_digits().target, strict=True))
    sets = [prepared.split(split) for split in SPLITS]
    means = np.concatenate([images.take(slice(None)).mean((1, 2, 3)) / 255 for images in sets])
    ours = sorted(zip(means, np.concatenate([images.labels for images in sets]), strict=True))
    np.testing.assert_allclose([mean for mean, _ in ours], [mean for mean, _ in theirs], atol=2e-3)
    assert np.bincount([label for _, label in ours]).tolist() == np.bincount(load_digits().target).tolist()


def test_cifar_is_not_fetched_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", lambda self: pytest.fail("reached for the network"))
    for root in (tmp_path / "empty", None):
        with pytest.raises(DataError, match=r"has no cifar-10-batches-py: give .* \(--data-root\), or "):
            prepare(DataConfig(data="cifar10", image_size=32, root=root))


def test_a_failed_download_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("torchvision.datasets.CIFAR100.download", fail)
    with pytest.raises(DataError, match=r"cifar100 could not be downloaded to '.*': no route"):
        prepare(DataConfig(data="cifar100", image_size=32, root=tmp_path / "new", download=True))


def test_damaged_cifar_says_so(fake_cifar: Path) -> None:
    (fake_cifar / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"other")
    with pytest.raises(DataError, match="files of cifar10 must be those published"):
        prepare(DataConfig(data="cifar10", image_size=32, root=fake_cifar))


def test_settings_without_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="root and download have no effect for data 'digits'"):
        prepare(DataConfig(data="digits", image_size=8, root=tmp_path))


def test_an_unknown_name_is_answered_with_the_known() -> None:
    rule = (
        r"must be one of digits, cifar10, cifar100 or a folder, but 'cifra10' does not exist \(did you mean cifar10\?\)"
    )
    with pytest.raises(DataError, match=rule):
        prepare(DataConfig(data="cifra10", image_size=8))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("data", "  ", "a data set's name or a folder"),
        ("data", "a\0b", "a data set's name or a folder"),
        ("image_size", 3, "an integer from 4 to 2048, got 3"),
        ("image_size", 8.0, "an integer from 4 to 2048, got 8.0"),
        ("root", "here", "a path or None, got 'here'"),
        ("holdout", 0, "a number between 0 and 1, both excluded, got 0"),
        ("holdout", 1.0, "a number between 0 and 1, both excluded, got 1.0"),
        ("holdout", float("nan"), "a number between 0 and 1, both excluded, got nan"),
        ("split_seed", -1, "an integer of at least 0, got -1"),
        ("max_images", 0, "an integer of at least 1, got 0"),
        ("max_images", True, "an integer of at least 1, got True"),
        ("download", 1, "True or False, got 1"),
    ],
)
def test_config_is_checked_at_construction(field: str, value: object, rule: str) -> None:
    with pytest.raises(DataError, match=f"DataConfig.{field} must be {rule}"):
        DataConfig(**{"data": "digits", "image_size": 8, field: value})
