"""What `nas train` starts from: fresh weights, a file of weights, or a run of ours; and how pixels are normalised."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from nas.cli.console import print_note
from nas.cli.runs import find_run
from nas.data import DataError, PreparedData, prepare
from nas.text import printable
from nas.train import TrainJob, read_job
from nas.train.origin import SUFFIXES, Init, Normalisation, Origin, adapted, normalisation
from results import RunError
from search_space import ArchSpec

if TYPE_CHECKING:
    from search_space.convert import Library

__all__ = ["Start", "StartOptions", "find_start"]

MODEL, CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What a training starts from, None for what was not typed."""

    init: Annotated[str | None, arg(metavar="FILE|RUN")] = None
    """Start from weights: a file (.safetensors, .pt, .pth) of ours, of torchvision's or of timm's EfficientNets and
    MobileNetV2, or a training of ours. The classifier is new where the number of classes differs."""
    init_origin: Origin | None = None
    """Whose --init's file is; needed for timm's: timm-tf where timm's name of the model begins with tf_, which no
    tensor shows, else timm."""
    normalisation: Annotated[str | None, arg(metavar="MEAN:STD")] = None
    """How pixels from 0 to 1 are normalised: data (by the train images' own), imagenet, inception (0.5:0.5), or
    numbers. Where not given, as the weights of --init were trained, else data."""
    fine_tune: bool = False
    """Train on as the paper does on other data: 10,000 steps of 512 images at the evaluation size (or --image-size),
    a low learning rate along a cosine, cutout alone as regularisation."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """The network, with what its weights ask of it, the weights on record, and how pixels are normalised."""

    arch: ArchSpec
    init: Init | None
    normalisation: Normalisation


def find_start(typed: StartOptions, arch: ArchSpec, data: PreparedData) -> Start:
    """What was typed means for `arch`, which has the data's classes; what is taken over is said on stderr.

    Raises:
        ValueError: for no such file or run, a file that holds no weights or others, or a value that breaks a rule.
    """
    from nas.train.init import read_weights

    own = Normalisation(mean=data.mean, std=data.std)
    chosen = None
    if typed.normalisation is not None:
        chosen = own if typed.normalisation == "data" else Normalisation.parse(typed.normalisation)
    if typed.init is None:
        if typed.fine_tune or typed.init_origin is not None:
            option = "--fine-tune" if typed.fine_tune else "--init-origin"
            raise ValueError(f"{option} must have weights to start from (--init)")
        return Start(arch=arch, init=None, normalisation=chosen or own)
    path, job = _find(typed.init)
    shown = printable(str(path))
    weights = read_weights(path)
    origin = _origin(typed.init_origin, weights.library, shown)
    if job is not None and origin == "ours":
        arch = replace(arch, norm_eps=job.arch.norm_eps, padding=job.arch.padding)
    arch = adapted(arch, origin)
    try:
        taken = weights.fit(arch)
    except ValueError as error:
        raise RunError(f"{shown}: {error}") from None
    if chosen is None:
        chosen = _of_run(job, shown) if job is not None and origin == "ours" else normalisation(arch, origin)
    classes = arch.head.num_classes
    print_note(
        f"starts from {shown} ({origin}): {len(taken)} tensors, the classifier "
        f"{'of' if 'classifier.weight' in taken else 'new, for'} {classes} classes; padding {arch.padding}, batch "
        f"norm's epsilon {arch.norm_eps:g}, pixels normalised by "
        f"{chosen or f'{own}, these data, as the weights do not tell (see --normalisation)'}"
    )
    init = Init(path=str(path), sha256=weights.sha256, origin=origin)
    return Start(arch=arch, init=init, normalisation=chosen or own)


def _find(text: str) -> tuple[Path, TrainJob | None]:
    """The file that is meant, and the training of ours that it comes from where that is known."""
    path = Path(text)
    if path.is_file():
        return path, _training_of(path)
    if path.suffix in SUFFIXES:
        raise RunError(f"{printable(text)}: no such file")
    folder = find_run(text)
    job = read_job(folder)
    if not (folder / MODEL).is_file():
        raise RunError(
            f"{printable(str(folder))}: has no {MODEL}, as its training has not ended; finish it (nas train --resume), "
            f"or give one of its checkpoints/step-N.pt"
        )
    return folder / MODEL, job


def _training_of(path: Path) -> TrainJob | None:
    """That of a run's model or checkpoint; a file elsewhere has none, whatever config.json lies beside it."""
    folder = path.parent if path.name == MODEL else path.parent.parent
    try:
        return read_job(folder) if (folder / CONFIG).is_file() else None
    except RunError:
        return None


def _origin(typed: Origin | None, library: "Library", shown: str) -> Origin:
    if library == "timm":
        if typed not in ("timm", "timm-tf"):
            raise ValueError(
                f"{shown}: has timm's names, so --init-origin must be timm-tf (if timm's name of the model begins with "
                f"tf_) or timm, got {typed or 'none'}"
            )
        return typed
    if typed not in (None, library):
        raise ValueError(f"{shown}: has the names of {library}, so --init-origin must be that, got {typed}")
    return library


def _of_run(job: TrainJob, shown: str) -> Normalisation:
    if job.normalisation is not None:
        return job.normalisation
    try:
        data = prepare(job.data)
    except DataError as error:
        raise RunError(
            f"{shown}: its pixels were normalised by data that are not there, so --normalisation must be given: {error}"
        ) from None
    return Normalisation(mean=data.mean, std=data.std)
