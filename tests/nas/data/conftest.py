"""Small data sets made on the spot: a folder of images, and CIFAR as its authors packed it."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    torch.set_num_threads(1)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """`make_folder({"train": 6, "test": 2}, classes=("cat", "dog"))` writes so many images of each class."""

    def make(
        splits: dict[str, int], classes: tuple[str, ...] = ("ant", "bee", "cow"), name: str = "pictures", size: int = 12
    ) -> Path:
        generator = np.random.default_rng(0)
        root = tmp_path / name
        for split, count in splits.items():
            for label, folder in enumerate(classes):
                place = root / split / folder
                place.mkdir(parents=True)
                for index in range(count):
                    image = generator.integers(0, 256, (size, size + 2, 3), np.uint8)
                    image[: size // 2] = 40 * label % 256
                    Image.fromarray(image).save(place / f"{index:03d}.png")
        return root

    return make


class _OldPickler(pickle.Pickler):
    """Writes an array's type as the numpy of 2009 did, with numbers for truth values."""

    def reducer_override(self, value: object) -> object:
        if isinstance(value, np.dtype):
            return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


def _write_pickle(path: Path, content: dict[str, object]) -> str:
    with path.open("wb") as file:
        _OldPickler(file, protocol=2).dump(content)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def fake_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder with both CIFARs in little, and torchvision told that this is what was published."""
    from torchvision.datasets import CIFAR10, CIFAR100

    generator = np.random.default_rng(0)
    root = tmp_path / "downloaded"

    def write(loader: type, label_key: str, names: list[str], files: dict[str, tuple[str, int]], meta: str) -> None:
        folder = root / loader.base_folder
        folder.mkdir(parents=True)
        lists: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
        for file, (part, per_class) in files.items():
            labels = np.repeat(np.arange(len(names)), per_class)
            data = generator.integers(0, 256, (len(labels), 3072), np.uint8)
            digest = _write_pickle(folder / file, {"data": data, label_key: labels.tolist()})
            lists[part].append([file, digest])
        digest = _write_pickle(folder / meta, {loader.meta["key"]: names})
        for part, listed in lists.items():
            monkeypatch.setattr(loader, part, listed)
        monkeypatch.setattr(loader, "meta", {**loader.meta, "filename": meta, "md5": digest})

    batches = {f"data_batch_{i}": ("train_list", 2) for i in range(1, 6)} | {"test_batch": ("test_list", 3)}
    write(CIFAR10, "labels", [f"thing {i}" for i in range(10)], batches, "batches.meta")
    halves = {"train": ("train_list", 3), "test": ("test_list", 1)}
    write(CIFAR100, "fine_labels", [f"thing {i:02d}" for i in range(100)], halves, "meta")
    return root
