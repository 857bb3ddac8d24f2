"""Files of weights, which may come from anybody: read without running code, within the bytes that they have.

`torch.load(weights_only=True)` runs no code, but takes memory as the file says: a compressed record, a tensor of one
number repeated 10^10 times, or `bytearray(10**10)` in its pickle. What torch.save writes has none of these. No torch
here.
"""

import os
import stat
import zipfile
from io import BytesIO
from pathlib import Path

from results.durable import RunError, read_bounded

__all__ = ["MAX_WEIGHT_BYTES", "SUFFIXES", "check_archive", "read_weight_file"]

SUFFIXES = (".safetensors", ".pt", ".pth")
"""Of files of weights: safetensors, and what torch.save writes."""
MAX_WEIGHT_BYTES = 8 << 30
_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02")
"""Of what torch.save writes: an archive, and until torch 1.6 a pickle."""


def read_weight_file(path: Path, *, follow_links: bool = False) -> bytes:
    """The bytes of a file that begins as one of its kind does: of a file of any other, however large, some are read.

    Args:
        follow_links: for a file that the user named; what lies in a run may not lead out of it.

    Raises:
        RunError: naming the file.
    """
    if path.suffix not in SUFFIXES:
        raise RunError(f"{path}: a file of weights must end in {', '.join(SUFFIXES)}")
    if follow_links:
        path = Path(os.path.realpath(path))
    _check_beginning(path)
    return read_bounded(path, MAX_WEIGHT_BYTES)


def _check_beginning(path: Path) -> None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return  # as `read_bounded` says
        with path.open("rb") as file:
            first = file.read(9)
    except OSError as error:
        raise RunError(f"{path}: could not be read: {error.strerror}") from None
    if path.suffix == ".safetensors":
        if first[8:] != b"{" or int.from_bytes(first[:8], "little") > status.st_size - 8:
            raise RunError(f"{path}: is no safetensors file, or is damaged: it does not begin with a header")
    elif not first.startswith(_BEGINNINGS):
        raise RunError(f"{path}: is no file of torch's, or is damaged: it does not begin as one")


def check_archive(content: bytes) -> None:
    """Raise ValueError for a file of torch's that would take more memory than it has bytes."""
    if content.startswith(_BEGINNINGS[0]):
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise ValueError(f"is no file of torch's, or is damaged: {error}") from None
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("must not be compressed, as what torch.save writes is not")
        if sum(member.file_size for member in members) > len(content):
            raise ValueError(f"must hold no more than its {len(content):,} bytes")
    if b"bytearray" in content:
        raise ValueError("must hold tensors alone, in torch's format, but has a bytearray")
