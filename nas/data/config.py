"""What a user asks for: which data, at which size, how much of it held out. Checked where it is made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

__all__ = ["DataConfig", "DataError", "DataMode"]

DataMode = Literal["cache", "stream"]
"""Images decoded once into the cache, or each time that they are needed."""

MAX_IMAGE_SIZE = 2048


class DataError(ValueError):
    """The data, or what was asked of them, breaks a rule. The message names the rule and the value."""


def _check_integer(name: str, value: object, low: int, high: int | None = None) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= low and (high is None or value <= high)
    if not fits:
        rule = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise DataError(f"DataConfig.{name} must be an integer {rule}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set and how it is split.

    Args:
        data: a name of the table (`digits`, `cifar10`, `cifar100`), a set of torchvision's (`torchvision:Flowers102`),
            or else a folder of images or of WebDataset shards. A folder that has a data set's name is written
            `./digits`.
        image_size: side of the square images in pixels.
        root: the folder that holds a downloaded data set (or will); the cache folder where none is given.
        holdout: share of each class's train images that a search's accuracy is measured on, between 0 and 1. Without
            effect for a folder that has val as well as test: there val is what is held out.
        split_seed: which images are held out.
        max_images: use only so many train images, the classes in proportion. The others are never decoded. The same
            images for every `split_seed`; a smaller number picks some of those of a larger one.
        download: fetch a data set that is not under `root`. Nothing is ever fetched without it.

    Raises:
        DataError: for a value that breaks a rule.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    data: str
    image_size: int
    root: Path | None = None
    holdout: float = 0.1
    split_seed: int = 0
    max_images: int | None = None
    download: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.data, str) or not self.data.strip() or "\0" in self.data:
            raise DataError(f"DataConfig.data must be a data set's name or a folder, got {self.data!r}")
        _check_integer("image_size", self.image_size, 4, MAX_IMAGE_SIZE)
        if self.root is not None and not isinstance(self.root, Path):
            raise DataError(f"DataConfig.root must be a path or None, got {self.root!r}")
        is_number = isinstance(self.holdout, int | float) and not isinstance(self.holdout, bool)
        if not is_number or not 0 < self.holdout < 1:
            raise DataError(f"DataConfig.holdout must be a number between 0 and 1, both excluded, got {self.holdout!r}")
        _check_integer("split_seed", self.split_seed, 0)
        if self.max_images is not None:
            _check_integer("max_images", self.max_images, 1)
        if not isinstance(self.download, bool):
            raise DataError(f"DataConfig.download must be True or False, got {self.download!r}")
