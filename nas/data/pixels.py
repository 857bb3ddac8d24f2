"""From files and arrays to square RGB images, with Pillow."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from nas.data.config import DataError
from nas.data.source import Pixels
from nas.text import printable

__all__ = ["EXTENSIONS", "chunk_length", "decode_file", "read_files", "resize_arrays"]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Named, so that a file which only calls itself .jpg cannot reach Pillow's rarer parsers (its EPS one starts a program).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
MAX_PIXELS = 89_478_485
"""Pillow's own limit, beyond which it suspects a decompression bomb."""
MAX_FILE_BYTES = 512 << 20

_CHUNK_BYTES = 32 << 20
_FILES_A_TASK = 16
_FAULTS_NAMED = 10


def chunk_length(size: int) -> int:
    """Images that are decoded before they are written, so that memory does not grow with the data set."""
    return max(1, min(2048, _CHUNK_BYTES // (3 * size * size)))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion would clip to white
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a known range")
    if image.mode == "P":  # straight to RGB, Pillow warns where some palette entries are transparent
        image = image.convert("RGBA")
    return image.convert("RGB")


def _square(image: Image.Image, size: int) -> Image.Image:
    """The centre square, at `size`: a resize of the shorter side and a centre crop, in one antialiased step."""
    width, height = image.size
    side = min(width, height)
    if width == height == size:
        return image
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def decode_file(path: str, size: int) -> Pixels:
    """One image file as (3, size, size), turned upright as its EXIF orientation says."""
    with open(path, "rb") as file:  # noqa: PTH123 (this and reading at once halve the time of a small image)
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it must have at most {MAX_FILE_BYTES:,} bytes")
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it must have at most {MAX_PIXELS:,} pixels, got {image.width * image.height:,}")
        image.draft(None, (2 * size, 2 * size))  # a JPEG can be decoded at 1/2, 1/4, 1/8: never below twice the size
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            ImageOps.exif_transpose(image, in_place=True)
        square = _square(image if image.mode == "RGB" else _to_rgb(image), size)
        return np.asarray(square).transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    said = printable(error)
    return said if said and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {said}"


def read_files(paths: Sequence[str], names: Sequence[str], size: int) -> Iterator[Pixels]:
    """Decode files in a few threads (Pillow releases the GIL), in the order given, in chunks (k, 3, size, size).

    Args:
        names: what each file is called in an error.

    Raises:
        DataError: after the last chunk, naming the files that could not be decoded.
    """
    faults: list[tuple[int, str]] = []
    length = chunk_length(size)
    num_threads = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(paths), length):
            stop = min(start + length, len(paths))
            chunk = np.zeros((stop - start, 3, size, size), np.uint8)

            def fill(first: int, start: int = start, stop: int = stop, chunk: Pixels = chunk) -> None:
                for row in range(first, min(first + _FILES_A_TASK, stop)):
                    try:
                        chunk[row - start] = decode_file(paths[row], size)
                    # A damaged file makes Pillow's parsers raise nearly anything; each is the same to the user.
                    except Exception as error:
                        faults.append((row, _reason(error)))

            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                list(pool.map(fill, range(start, stop, _FILES_A_TASK)))
            yield chunk
    if faults:
        faults.sort()
        lines = [f"  {printable(names[row])}: {reason}" for row, reason in faults[:_FAULTS_NAMED]]
        if len(faults) > _FAULTS_NAMED:
            lines.append(f"  ... and {len(faults) - _FAULTS_NAMED:,} more")
        head = f"every image must be readable, but {len(faults):,} of {len(paths):,} are not (repair or remove them):"
        raise DataError("\n".join([head, *lines]))


def resize_arrays(images: NDArray[np.uint8], size: int) -> Iterator[Pixels]:
    """Square RGB images of shape (n, H, H, 3) in chunks (k, 3, size, size), bilinear and antialiased."""
    length = chunk_length(max(size, images.shape[1]))
    for start in range(0, len(images), length):
        part = images[start : start + length]
        if images.shape[1] != size:
            part = np.stack([np.asarray(_square(Image.fromarray(image), size)) for image in part])
        yield part.transpose(0, 3, 1, 2)
