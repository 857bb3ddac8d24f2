"""The data sets that have a name: scikit-learn's digits, which comes with it, and CIFAR through torchvision."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.config import DataConfig, DataError
from nas.data.folder import TEST_SHARE
from nas.data.images import ArrayImages
from nas.data.source import Labels, Listing, Source, Split
from nas.data.split import TEST, split_off
from nas.text import printable
from nas.user_folders import cache_folder

__all__ = ["open_cifar", "open_digits"]


def _list_arrays(
    classes: tuple[str, ...], images: Mapping[Split, NDArray[np.uint8]], labels: Mapping[Split, Labels]
) -> Listing:
    """A listing of images in memory, each split (n, H, H, 3)."""
    return Listing(classes=classes, labels=labels, images={split: ArrayImages(images[split]) for split in images})


def open_digits(config: DataConfig) -> Source:
    """1,797 handwritten digits of 8x8 pixels, a fixed 20 % of each class as the test split."""

    def listing() -> Listing:
        from sklearn.datasets import load_digits

        digits = load_digits()
        grey = np.floor(np.asarray(digits.images) * (255 / 16) + 0.5).astype(np.uint8)  # they go from 0 to 16
        images = np.repeat(grey[..., None], 3, axis=3)
        labels = np.asarray(digits.target, np.int64)
        rows, test_rows = split_off(labels, TEST_SHARE, seed=0, purpose=TEST)
        return _list_arrays(
            tuple(str(digit) for digit in range(10)),
            {"train": images[rows], "test": images[test_rows]},
            {"train": labels[rows], "test": labels[test_rows]},
        )

    return Source(fingerprint="scikit-learn digits", list=listing)


_CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def _load_cifar(
    name: str, root: Path, *, train: bool, download: bool = False
) -> tuple[tuple[str, ...], NDArray[np.uint8], Labels]:
    from torchvision.datasets import CIFAR10, CIFAR100

    loader = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    with warnings.catch_warnings():
        # The files were pickled by an old numpy, and a new one says so.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        loaded = loader(str(root), train=train, download=download)
    return tuple(loaded.classes), np.asarray(loaded.data, np.uint8), np.asarray(loaded.targets, np.int64)


def _download_cifar(name: str, root: Path) -> None:
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            _load_cifar(name, root, train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name} could not be downloaded to {printable(root)!r}: {printable(error)}") from error


def open_cifar(config: DataConfig) -> Source:
    """CIFAR-10 or CIFAR-100 below `config.root`, in torchvision's layout: 50,000 + 10,000 images of 32x32 pixels.

    Raises:
        DataError: where it is not there and was not to be downloaded, or its files are not those published.
    """
    name, root = config.data, config.root
    if root is None:
        root = cache_folder(None) / "downloads"
    root = root.expanduser()
    folder = root / _CIFAR_FOLDERS[name]
    if config.download and not folder.is_dir():
        _download_cifar(name, root)
    if not folder.is_dir():
        raise DataError(
            f"{name} must be in the root folder, but {printable(root)!r} has no {folder.name}: give the folder that "
            "has it as root (--data-root), or let it be fetched (DataConfig.download)"
        )

    def listing() -> Listing:
        try:
            classes, train_images, train_labels = _load_cifar(name, root, train=True)
            _, test_images, test_labels = _load_cifar(name, root, train=False)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"the files of {name} must be those published, but some in {printable(folder)!r} are missing or "
                f"damaged: remove that folder and let it be fetched anew (DataConfig.download)"
            ) from error
        return _list_arrays(
            classes, {"train": train_images, "test": test_images}, {"train": train_labels, "test": test_labels}
        )

    files = sorted(path for path in folder.iterdir() if path.is_file())
    stamps = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return Source(fingerprint=hashlib.sha256("\n".join(stamps).encode()).hexdigest(), list=listing)
