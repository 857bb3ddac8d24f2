"""The folder of an export: written beside its place, checked as it lies on the disk, and then renamed into it."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from nas.export.card import model_card
from nas.export.forms import FORMS, Form
from nas.export.report import CARD, Exported, ExportedFile, FormName, Unavailable, WrongLogits
from nas.export.source import Source
from nas.train.trained import TrainedModel
from results import RunError, RunWriteError
from results.durable import replace_atomically, sync_folder, write_atomically

__all__ = ["export"]

TOLERANCE = 1e-3
"""The largest difference of two logits, as a share of the largest logit. Rounding makes 1e-5 of EfficientNetV2-S in
ONNX Runtime, and more of deeper networks."""
BATCHES = (1, 3)


def export(model: TrainedModel, folder: Path, forms: Sequence[FormName], *, may_leave_out: bool = False) -> Exported:
    """Write a trained model in several forms, with a model card, all of it or nothing.

    Args:
        folder: new or empty.
        may_leave_out: forms that the network cannot be had in are left out.

    Raises:
        Unavailable: for a form that the network cannot be had in.
        WrongLogits: where a file, read again, computes something else.
        RunError: where the folder holds anything, or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise RunError(f"{folder}: must be a new or an empty folder: choose another with --out")
    source = Source(model)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_what_was_killed(folder)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
        except OSError as error:
            raise RunWriteError(f"{temporary}: could not be made: {error.strerror}") from error
        files, left_out = [], {}
        for name in forms:
            try:
                files.append(_write(source, name, FORMS[name], temporary))
            except Unavailable as error:
                if not may_leave_out:
                    raise
                left_out[name] = str(error)
        write_atomically(temporary / CARD, model_card(source, files))
        try:
            temporary.replace(folder)
            sync_folder(folder.absolute().parent)
        except OSError as error:
            raise RunWriteError(f"{folder}: could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(folder=folder, files=tuple(files), left_out=left_out)


def _remove_what_was_killed(folder: Path) -> None:
    """What exports to `folder` left that were killed; another one may be at work beside this."""
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _write(source: Source, name: FormName, form: Form, folder: Path) -> ExportedFile:
    content, path = form.write(source), folder / form.file
    replace_atomically(path, lambda file: file.write(content))
    return ExportedFile(
        form=name,
        file=form.file,
        num_bytes=len(content),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        difference=_difference(source, name, form, path),
    )


def _difference(source: Source, name: FormName, form: Form, path: Path) -> float:
    """As `ExportedFile` has it."""
    logits, largest = form.read(source, path), 0.0
    with torch.inference_mode():
        for count in BATCHES:
            images = source.images(count)
            expected, found = source.network(images), logits(images)
            if found.shape != expected.shape or not torch.isfinite(expected).all():
                raise WrongLogits(f"{name}: logits must be finite and of shape {tuple(expected.shape)}")
            difference = float((found - expected).abs().max() / expected.abs().max())
            if not difference <= TOLERANCE:
                raise WrongLogits(
                    f"{name}: its logits must be within {TOLERANCE:g} of the network's, as a share of the largest, got "
                    f"{difference:.3g}: nothing was written"
                )
            largest = max(largest, difference)
    return largest
