"""What an export is asked for, and what came of it. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["CARD", "Exported", "ExportedFile", "FormName", "Unavailable", "WrongLogits"]

FormName = Literal["safetensors", "torch-export", "onnx", "torchvision"]

CARD = "README.md"


class Unavailable(ValueError):
    """The network cannot be had in this form; the message says why."""


class WrongLogits(Exception):
    """What was written does not compute what the network does."""


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file of an export; `difference` is the largest of its logits from the network's, of 4 random images, as a share
    of the largest logit."""

    form: FormName
    file: str
    num_bytes: int
    sha256: str
    difference: float


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and why a form that may be left out is not there."""

    folder: Path
    files: tuple[ExportedFile, ...]
    left_out: dict[FormName, str]
