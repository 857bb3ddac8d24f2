"""Data sets of torchvision's by name, from files as it would have downloaded them."""

import gzip
import inspect
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from nas.data import DataConfig, DataError, dataset_of, survey


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Flowers102 in little: 12 train, 6 val and 6 test images of 3 classes."""
    from scipy.io import savemat

    base = tmp_path / "flowers-102"
    (base / "jpg").mkdir(parents=True)
    for number in range(1, 25):
        Image.new("RGB", (30, 20), (10 * number, 0, 0)).save(base / "jpg" / f"image_{number:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": [[1 + number % 3 for number in range(24)]]})
    savemat(base / "setid.mat", {"trnid": [range(1, 13)], "valid": [range(13, 19)], "tstid": [range(19, 25)]})
    return tmp_path


def write_mnist(root: Path) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 30), ("t10k", 10)):
        images = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes()
        )
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())


def test_a_set_with_splits(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.Flowers102._check_integrity", lambda self: True)
    found = survey(DataConfig(data="torchvision:Flowers102", image_size=16, root=flowers))
    assert found.counts == {"train": 12, "holdout": 6, "test": 6}
    assert found.own_holdout
    assert found.flip
    test = found.splits["test"]
    assert test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    image = pickle.loads(pickle.dumps(test.images)).content(5)
    assert image.size == (30, 20)
    assert abs(image.getpixel((3, 3))[0] - 240) < 4


def test_a_set_of_digits_is_not_mirrored(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    config = DataConfig(data="torchvision:MNIST", image_size=16, root=tmp_path, holdout=0.3)
    found = survey(config)
    assert found.counts == {"train": 20, "holdout": 10, "test": 10}
    assert found.num_classes == 10
    assert not found.flip
    assert found.splits["test"].labels.tolist() == list(range(10))
    first = found.fingerprint
    assert survey(config).fingerprint == first
    with gzip.open(tmp_path / "MNIST" / "raw" / "more.gz", "wb"):
        pass
    assert survey(config).fingerprint != first


def test_a_set_without_splits_has_a_fifth_set_aside(tmp_path: Path) -> None:
    for name in ("AnnualCrop", "Forest"):
        (tmp_path / "eurosat" / "2750" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8)).save(tmp_path / "eurosat" / "2750" / name / f"{name}_{number}.jpg")
    found = survey(DataConfig(data="torchvision:EuroSAT", image_size=8, root=tmp_path))
    assert found.classes == ("AnnualCrop", "Forest")
    assert found.counts == {"train": 14, "holdout": 2, "test": 4}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("Flower102", r"has no 'Flower102' \(did you mean torchvision:Flowers102\?\)"),
        ("vision", "has no 'vision'"),
        ("Flowers102", r"\(split='train'\) must be in the root folder .* \(--data-root\), .*: Dataset not found"),
        ("MNIST", r"\(train=True\) must be in the root folder"),
        ("EMNIST", "must have a train split, and a val or a test split, got none"),
        ("EuroSAT", r"\(all of it\) must be in the root folder"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, name: str, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        survey(DataConfig(data=f"torchvision:{name}", image_size=16, root=tmp_path))


def test_it_needs_no_files_to_be_known() -> None:
    assert dataset_of(DataConfig(data="torchvision:Food101", image_size=8)).uses_root


def test_what_torchvision_reads_runs_no_code() -> None:
    """A set that unpickles, or loads what torch saved, does so after a look at a hash or for tensors alone: a new one
    that does not is to be refused."""
    folder = Path(inspect.getfile(torchvision.datasets)).parent
    unpickle = {path.stem for path in folder.glob("*.py") if "pickle.load(" in path.read_text()}
    assert unpickle == {"cifar", "lsun"}
    loads = [line for path in folder.glob("*.py") for line in path.read_text().splitlines() if "torch.load(" in line]
    assert loads
    assert all("weights_only=True" in line for line in loads)
    cifar = (folder / "cifar.py").read_text()
    assert cifar.index("self._check_integrity()") < cifar.index("pickle.load(")


@pytest.mark.parametrize("name", ["LSUN", "LSUNClass", "Cityscapes"])
def test_sets_that_would_are_refused(name: str, tmp_path: Path) -> None:
    config = DataConfig(data=f"torchvision:{name}", root=tmp_path, image_size=8)
    with pytest.raises(DataError, match=f"torchvision's {name} cannot be had: it un"):
        dataset_of(config).open(config)
