"""From images of a source to square RGB pixels, with Pillow."""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from nas.data.images import ArrayImages, Content, Images
from nas.data.skipped import Fault
from nas.data.source import Labels, Pixels
from nas.device import num_processors
from nas.text import printable

__all__ = [
    "EXTENSIONS",
    "MAX_STRETCH",
    "Crop",
    "bombs_refused",
    "decode_crop",
    "decode_square",
    "fault_of",
    "read_images",
]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Named, so that a file which only calls itself .jpg cannot reach Pillow's rarer parsers (its EPS one starts a program).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
MAX_PIXELS = 89_478_485
"""Pillow's own limit, beyond which it suspects a decompression bomb."""
MAX_STRETCH = 4 / 3
"""A crop's sides have a ratio of up to this."""

_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations whose width is stored as the height."""
_CHUNK_BYTES = 32 << 20
_FILES_A_TASK = 16


def _chunk_length(size: int) -> int:
    """Images that are decoded before they are written, so that memory does not grow with the data set."""
    return max(1, min(2048, _CHUNK_BYTES // (3 * size * size)))


def _open(content: Content) -> Image.Image:
    """An image whose pixels are not decoded yet, where its source gives a file."""
    image = Image.open(io.BytesIO(content), formats=FORMATS) if isinstance(content, bytes) else content
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it must have at most {MAX_PIXELS:,} pixels, got {image.width * image.height:,}")
    return image


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """RGB, turned as the EXIF orientation says."""
    if orientation != 1:
        ImageOps.exif_transpose(image, in_place=True)
    return image if image.mode == "RGB" else _to_rgb(image)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


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


def decode_square(content: Content, size: int) -> Pixels:
    """The centre square as (3, size, size), turned upright as its EXIF orientation says."""
    with _open(content) as image:
        image.draft(None, (2 * size, 2 * size))  # a JPEG can be decoded at 1/2, 1/4, 1/8: never below twice the size
        return _planes(_square(_upright(image, _orientation(image)), size))


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A part of an image by shares, so that it can be drawn before the image's size is known.

    Args:
        area: of the image's area.
        stretch: from 0 to 1, how far the crop's height to its width goes from 3/4 to 4/3.
        top, left: place, from 0 to 1 of what room there is.
        mirrored: turned left to right.
    """

    area: float
    stretch: float
    top: float
    left: float
    mirrored: bool

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in pixels. Where a side would be longer than the image it is the image's, and the
        area less."""
        side = math.sqrt(self.area * width * height)
        stretch = math.exp((2 * self.stretch - 1) * math.log(MAX_STRETCH) / 2)
        rows = min(max(round(side * stretch), 1), height)
        columns = min(max(round(side / stretch), 1), width)
        top = min(int(self.top * (height - rows + 1)), height - rows)
        left = min(int(self.left * (width - columns + 1)), width - columns)
        return left, top, left + columns, top + rows


def decode_crop(content: Content, size: int, crop: Crop, *, draft: bool = True) -> Pixels:
    """A part of an image in its own resolution, turned upright, resized to (3, size, size).

    With `draft` a JPEG is decoded at the least of 1/8, 1/4, 1/2, 1 at which the crop has `size` pixels or more. At 1/2
    and less a pixel differs by 1 to 1.5 of 255 on average from the same of a full decoding.
    """
    with _open(content) as image:
        orientation = _orientation(image)
        turned = orientation in _TURNED
        width, height = image.size[::-1] if turned else image.size
        left, top, right, bottom = map(float, crop.box(width, height))
        reduce = int(min(right - left, bottom - top)) // size
        if draft and reduce > 1:
            image.draft(None, (image.width // reduce, image.height // reduce))
        upright = _upright(image, orientation)
        across, down = upright.width / width, upright.height / height
        left, right = left * across, min(right * across, upright.width)
        top, bottom = top * down, min(bottom * down, upright.height)
        # Cut out first: the filter would take pixels from beyond the box.
        corner = math.floor(left), math.floor(top)
        cut = upright.crop((*corner, math.ceil(right), math.ceil(bottom)))
        box = (left - corner[0], top - corner[1], right - corner[0], bottom - corner[1])
        part = cut.resize((size, size), Image.Resampling.BILINEAR, box=box)
        return _planes(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if crop.mirrored else part)


def _planes(image: Image.Image) -> Pixels:
    return np.asarray(image).transpose(2, 0, 1)


def fault_of(name: str, error: Exception) -> Fault:
    """What is said of an image that could not be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return Fault(name, "no image")
    said = printable(error)
    return Fault(name, said if said and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {said}")


def read_images(images: Images, rows: Labels, size: int) -> Iterator[tuple[Pixels, Sequence[tuple[int, Fault]]]]:
    """Decode centre squares in a few threads (Pillow releases the GIL), in the order of `rows`.

    Returns:
        Chunks (k, 3, size, size), and with each the places in it (0 to k - 1) whose image could not be decoded.
    """
    if isinstance(images, ArrayImages):
        yield from ((chunk, ()) for chunk in _resize_arrays(images.pixels[rows], size))
        return
    length = _chunk_length(size)
    num_threads = min(8, num_processors())
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(rows), length):
            chosen = rows[start : start + length].tolist()
            chunk = np.zeros((len(chosen), 3, size, size), np.uint8)
            faults: list[tuple[int, Fault]] = []

            def fill(
                first: int,
                chosen: list[int] = chosen,
                chunk: Pixels = chunk,
                faults: list[tuple[int, Fault]] = faults,
            ) -> None:
                for place in range(first, min(first + _FILES_A_TASK, len(chosen))):
                    try:
                        chunk[place] = decode_square(images.content(chosen[place]), size)
                    # A damaged file makes Pillow's parsers raise nearly anything; each is the same to the user.
                    except Exception as error:
                        faults.append((place, fault_of(images.name(chosen[place]), error)))

            with bombs_refused():
                list(pool.map(fill, range(0, len(chosen), _FILES_A_TASK)))
            yield chunk, sorted(faults)


@contextlib.contextmanager
def bombs_refused() -> Iterator[None]:
    """Pillow's warning of an image that is far too large is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _resize_arrays(images: NDArray[np.uint8], size: int) -> Iterator[Pixels]:
    """Square RGB images of shape (n, H, H, 3) in chunks (k, 3, size, size), bilinear and antialiased."""
    length = _chunk_length(max(size, images.shape[1]))
    for start in range(0, len(images), length):
        part = images[start : start + length]
        if images.shape[1] != size:
            part = np.stack([np.asarray(_square(Image.fromarray(image), size)) for image in part])
        yield part.transpose(0, 3, 1, 2)
