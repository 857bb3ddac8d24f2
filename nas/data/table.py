"""The table of data sets. A new one is one row; the contract test finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nas.data.config import DataConfig, DataError
from nas.data.folder import open_folder
from nas.data.named import open_cifar, open_digits
from nas.data.shards import has_shards, open_shards
from nas.data.source import Source
from nas.data.torchvision_sets import TORCHVISION, can_be_mirrored, open_torchvision
from nas.text import printable
from search_space.files import nearest

__all__ = ["DATASETS", "FOLDER", "SHARDS", "Dataset", "dataset_of", "is_folder"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A row of the table.

    Args:
        summary: one line.
        image_size: side of its images in pixels, or None where they vary.
        flip: whether an image seen in a mirror is still of its class.
        uses_root: whether it is looked for, and downloaded, below `DataConfig.root`.
        open: finds it.
    """

    summary: str
    image_size: int | None
    flip: bool
    uses_root: bool = False
    open: Callable[[DataConfig], Source]


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(
        summary="1,797 handwritten digits, 8x8, 10 classes; comes with scikit-learn",
        image_size=8,
        flip=False,
        open=open_digits,
    ),
    "cifar10": Dataset(
        summary="60,000 photographs, 32x32, 10 classes",
        image_size=32,
        flip=True,
        uses_root=True,
        open=open_cifar,
    ),
    "cifar100": Dataset(
        summary="60,000 photographs, 32x32, 100 classes",
        image_size=32,
        flip=True,
        uses_root=True,
        open=open_cifar,
    ),
}

FOLDER = Dataset(
    summary="any folder: DIR/train and DIR/val or DIR/test, or DIR/<class>; images in one folder a class",
    image_size=None,
    flip=True,
    open=open_folder,
)


SHARDS = Dataset(
    summary="a folder of WebDataset shards: train-000.tar, ... with val-000.tar or test-000.tar",
    image_size=None,
    flip=True,
    open=open_shards,
)


def is_folder(data: str) -> bool:
    """Whether `data` is the path of a folder, not a name."""
    return data not in DATASETS and not data.startswith(TORCHVISION)


def dataset_of(config: DataConfig) -> Dataset:
    """The row of the name that `config` has, or the row of its folder's kind.

    Raises:
        DataError: for what is neither a name nor a folder, and for a root that the data are not below.
    """
    row = _row(config.data)
    if not row.uses_root and (config.root is not None or config.download):
        raise DataError(f"root and download have no effect for data {printable(config.data)!r}: leave them out")
    return row


def _row(data: str) -> Dataset:
    if data in DATASETS:
        return DATASETS[data]
    if data.startswith(TORCHVISION):
        return Dataset(
            summary="a data set of torchvision's",
            image_size=None,
            flip=can_be_mirrored(data),
            uses_root=True,
            open=open_torchvision,
        )
    path = Path(data).expanduser()
    if not path.is_dir():
        near = nearest(data, DATASETS)
        hint = f" (did you mean {near}?)" if near else ""
        what = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"data must be one of {', '.join(DATASETS)} or a folder, but {printable(data)!r} {what}{hint}")
    return SHARDS if has_shards(path) else FOLDER
