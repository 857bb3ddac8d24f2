"""Checkpoints: each written whole or not at all, read without running any code that a file may hold."""

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from nas.train.weight_file import check_archive, read_weight_file
from results import RunError, RunWriteError
from results.durable import first_line, replace_atomically

__all__ = ["DAMAGE", "Checkpoints"]

DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch.load says of a file whose bytes are not what was written depends on where they are wrong."""

KEEP = 2
FORMAT = 1


class Checkpoints:
    """The checkpoints of one training, step-N.pt in a folder: the last two, and the best by what the caller says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, state: Mapping[str, Any], *, best_step: int | None) -> None:
        """Write the state after `step` steps, then remove what is neither among the last two nor of `best_step`; later
        ones too, which were damaged and are done again.

        Raises:
            RunWriteError: where the disk does not take it; the checkpoints before are then still there.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunWriteError(f"{self.folder}: could not be made: {error.strerror}") from error
        path = self.path(step)
        try:
            replace_atomically(path, lambda file: torch.save({"format": FORMAT, "step": step, **state}, file))
        except RuntimeError as error:  # torch's writer says so where the file under it failed
            path.with_name(f".{path.name}.tmp").unlink(missing_ok=True)
            below = error.__context__
            reason = below.strerror if isinstance(below, OSError) else first_line(error)
            raise RunWriteError(f"{path}: could not be written: {reason}") from error
        kept = {*[saved for saved in self.steps() if saved <= step][-KEEP:], best_step}
        for old in self.steps():
            if old not in kept:
                self.path(old).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a writer that was killed had half written; no other may write now."""
        for path in self.folder.glob(".step-*.pt.tmp"):
            path.unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """Of the checkpoints that are there, ascending."""
        files = (path for path in self.folder.glob("step-*.pt") if path.is_file())
        found = (re.fullmatch(r"step-([0-9]{1,12})\.pt", path.name) for path in files)
        return sorted(int(match[1]) for match in found if match)

    def latest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that can be read, None where there is none at all, and a note for each that cannot.

        Raises:
            RunError: where there are checkpoints, and all are damaged.
        """
        notes = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                content = read_weight_file(path)
                check_archive(content)
                _check_bytes(content)
                state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
                if state["format"] != FORMAT or state["step"] != step:
                    raise ValueError(f"its format is {state['format']!r} and its step {state['step']!r}")
            except DAMAGE as error:
                notes.append(f"{path}: is damaged and passed over: {first_line(error)}")
            else:
                return state, notes
        if notes:
            raise RunError("\n".join(["no checkpoint can be read; begin anew with another --out", *notes]))
        return None, []

    def path(self, step: int) -> Path:
        """Of the checkpoint after `step` steps."""
        return self.folder / f"step-{step}.pt"


def _check_bytes(content: bytes) -> None:
    """torch.load does not look at the checksums that torch.save wrote, and loads a flipped bit as another number."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} in it is not that of its bytes")
