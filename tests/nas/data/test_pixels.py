"""Image files of every kind, whole and damaged."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from nas.data import DataError
from nas.data.images import ArrayImages, FileImages
from nas.data.pixels import decode_square, read_images
from nas.data.skipped import check_share


def decode_file(path: str, size: int) -> np.ndarray:
    return decode_square(Path(path).read_bytes(), size)


def halves(left: tuple[int, ...], right: tuple[int, ...], mode: str = "RGB", size: int = 16) -> Image.Image:
    """An image of two colours side by side."""
    image = Image.new(mode, (size, size), left if len(left) > 1 else left[0])
    image.paste(right if len(right) > 1 else right[0], (size // 2, 0, size, size))
    return image


@pytest.mark.parametrize(
    ("image", "name", "left", "right"),
    [
        (halves((250, 0, 0), (0, 0, 250)), "x.png", (250, 0, 0), (0, 0, 250)),
        (halves((250, 0, 0), (0, 0, 250)), "x.webp", (250, 0, 0), (0, 0, 250)),
        (halves((250, 0, 0), (0, 0, 250)), "x.tiff", (250, 0, 0), (0, 0, 250)),
        (halves((10,), (200,), "L"), "x.png", (10,) * 3, (200,) * 3),
        (halves((10,), (200,), "L"), "x.pgm", (10,) * 3, (200,) * 3),
        (halves((10, 255), (200, 90), "LA"), "x.png", (10,) * 3, (200,) * 3),
        (halves((0,), (1,), "1"), "x.bmp", (0,) * 3, (255,) * 3),
        (
            Image.fromarray(np.asarray(halves((10,), (200,), "L")).astype(np.uint16) << 8),
            "x.png",
            (10,) * 3,
            (200,) * 3,
        ),
        (halves((1, 2, 3, 255), (200, 100, 0, 128), "RGBA"), "x.png", (1, 2, 3), (200, 100, 0)),
        (halves((250, 0, 0), (0, 0, 250)).quantize(2), "x.gif", (250, 0, 0), (0, 0, 250)),
        (halves((0, 255, 255, 0), (255, 255, 0, 0), "CMYK"), "x.jpg", (254, 0, 0), (0, 0, 254)),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else None,
)
def test_every_kind_becomes_rgb(
    tmp_path: Path, image: Image.Image, name: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    image.save(tmp_path / name)
    decoded = decode_file(str(tmp_path / name), 16)
    assert decoded.shape == (3, 16, 16)
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded[:, 4, 2], left, atol=12)
    np.testing.assert_allclose(decoded[:, 4, 13], right, atol=12)


def test_a_palette_with_transparency_does_not_warn(tmp_path: Path) -> None:
    image = halves((250, 0, 0), (0, 0, 250)).quantize(2)
    image.save(tmp_path / "x.png", transparency=bytes([0, 128]))
    assert decode_file(str(tmp_path / "x.png"), 16)[0, 0].tolist() == [250] * 8 + [0] * 8


def test_a_picture_with_a_second_one_in_it(tmp_path: Path) -> None:
    first, second = halves((250, 0, 0), (0, 0, 250)), halves((0,) * 3, (0,) * 3)
    first.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[second])
    assert decode_file(str(tmp_path / "x.jpg"), 16)[0, 4, 2] > 200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(tmp_path: Path, orientation: int) -> None:
    """A dark corner stands at the top left once the viewer has turned each of the eight as it says."""
    upright = Image.new("RGB", (16, 16), (250, 250, 250))
    upright.paste((0, 0, 0), (0, 0, 8, 8))
    upright.paste((120, 120, 120), (8, 0, 16, 8))
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / "x.jpg", exif=exif, quality=95)
    decoded = decode_file(str(tmp_path / "x.jpg"), 16)[0]
    np.testing.assert_allclose([decoded[4, 4], decoded[4, 12], decoded[12, 4]], [0, 120, 250], atol=10)


@pytest.mark.parametrize("shape", [(64, 20), (20, 64), (200, 64), (21, 21)])
def test_the_centre_is_kept_as_a_resize_and_a_crop_would(tmp_path: Path, shape: tuple[int, int]) -> None:
    from torchvision.transforms import v2

    x, y = np.meshgrid(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]))
    smooth = np.stack([255 * x, 255 * y, 127 + 120 * np.sin(5 * (x + y))], axis=2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "x.png")
    theirs = v2.Compose([v2.Resize(10, antialias=True), v2.CenterCrop(10)])(Image.fromarray(smooth))
    ours = decode_file(str(tmp_path / "x.png"), 10)
    np.testing.assert_allclose(ours, np.asarray(theirs).transpose(2, 0, 1), atol=14)


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 12, 3), np.uint8))
    large = coarse.resize((800, 800), Image.Resampling.BICUBIC)
    large.save(tmp_path / "x.jpg", quality=95)
    expected = np.asarray(large.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_allclose(decode_file(str(tmp_path / "x.jpg"), 32), expected, atol=10)


def bomb() -> bytes:
    """A PNG that says it is 10,000 x 10,000 pixels."""

    def block(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = block(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + block(b"IDAT", zlib.compress(bytes(1000))) + block(b"IEND", b"")


def test_damaged_files_are_all_named_and_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "good.jpg")
    whole = (tmp_path / "good.jpg").read_bytes()
    contents = {
        "a cut.jpg": whole[: len(whole) // 2],
        "b empty.png": b"",
        "c text.jpg": b"I am no picture\n",
        "d bomb.png": bomb(),
        "e script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "f\x1b[2J.gif": b"GIF89a\x00",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    names = ["good.jpg", *contents, *["c text.jpg"] * 10]
    (_, faults), *_ = read_images(FileImages(str(tmp_path), names), np.arange(17), 8)
    assert [place for place, _ in faults] == list(range(1, 17))
    with pytest.raises(DataError) as caught:
        check_share([fault for _, fault in faults], 17, 0.0)
    message = str(caught.value)
    assert "16 of 17 are not" in message
    for said in ("a cut.jpg: image file is truncated", "b empty.png: no image", "c text.jpg: no image"):
        assert said in message
    assert "d bomb.png: " in message
    assert "100000000 pixels" in message
    assert "e script.jpg: no image" in message
    assert "f?[2J.gif: " in message
    assert "... and 6 more" in message
    assert "good.jpg" not in message
    assert "\x1b" not in message


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    ((_, ((place, fault),)),) = read_images(FileImages(str(tmp_path), ["x.png"]), np.arange(1), 8)
    assert (place, fault.name) == (0, "x.png")
    assert "No such file" in fault.reason


def test_order_is_that_of_the_list_over_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.data.pixels._CHUNK_BYTES", 3 * 4 * 4 * 33)
    for value in range(100):
        Image.new("L", (4, 4), value).save(tmp_path / f"{value}.png")
    order = [(37 * index) % 100 for index in range(100)]
    images = FileImages(str(tmp_path), [f"{value}.png" for value in range(100)])
    chunks = [chunk for chunk, _ in read_images(images, np.array(order), 4)]
    assert [len(chunk) for chunk in chunks] == [33, 33, 33, 1]
    assert np.concatenate(chunks)[:, 0, 0, 0].tolist() == order


def test_arrays_are_resized_as_torchvision_does() -> None:
    import torch
    from torchvision.transforms import v2

    stored = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    for size in (8, 20, 32, 48):
        ours = np.concatenate([chunk for chunk, _ in read_images(ArrayImages(stored), np.arange(5), size)])
        theirs = v2.Resize(size, antialias=True)(torch.from_numpy(stored).permute(0, 3, 1, 2)).numpy()
        np.testing.assert_allclose(ours.astype(int), theirs, atol=1)
