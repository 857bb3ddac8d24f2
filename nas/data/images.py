"""Images that are not decoded yet: files of a folder, or arrays in memory."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["MAX_FILE_BYTES", "ArrayImages", "Content", "FileImages", "Images", "Names"]

MAX_FILE_BYTES = 512 << 20
Content = bytes | Image.Image
"""What a file holds, or where a source has no files an image as it gives it."""


class Images(ABC):
    """The images of one split of a source. It goes to other processes as a pickle."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, row: int) -> str:
        """What an image is called in a message."""

    @abstractmethod
    def content(self, row: int) -> Content:
        """One image. A damaged one may raise nearly anything, here or when it is decoded."""


class Names:
    """Texts as one array of bytes: a list of a million would be copied into each worker object by object."""

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self._bytes[self._ends[index] : self._ends[index + 1]].tobytes())


class FileImages(Images):
    """Files below `root`; `names` are relative to it."""

    def __init__(self, root: str, names: Iterable[str]) -> None:
        self._root, self._names = root, Names(names)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, row: int) -> str:
        return self._names[row]

    def content(self, row: int) -> bytes:
        with open(self._root + os.sep + self._names[row], "rb") as file:  # noqa: PTH123 (a Path costs 5 us)
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"it must have at most {MAX_FILE_BYTES:,} bytes")
        return content


class ArrayImages(Images):
    """Square RGB images in memory, uint8 (n, H, H, 3)."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, row: int) -> str:
        return f"image {row}"

    def content(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row])
