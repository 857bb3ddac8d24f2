"""What `nas train` starts from: fresh weights, a file of weights, or a run of ours; and how pixels are normalised."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from nas.cli.runs import find_run
from nas.data import DataError, prepare
from nas.text import printable
from nas.train import TrainJob, read_job
from nas.train.job import CONFIG, MODEL
from nas.train.origin import Init, Normalisation, Origin, adapted, normalisation
from nas.train.weight_file import SUFFIXES
from results import RunError
from search_space import ArchSpec

if TYPE_CHECKING:
    from search_space.convert import Library

__all__ = ["Start", "StartOptions", "find_start"]

OWN = "data"


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
    a low learning rate along a cosine, cutout in place of crops, RandAugment, mixup and dropout."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What was typed means for a network.

    Args:
        arch: the network, with what its weights ask of it; the number of classes is not the data's yet.
        init: the weights, for the record.
        normalisation: of pixels; None is by the train images' own mean and spread.
        num_classes: that the weights are for.
    """

    arch: ArchSpec
    init: Init | None = None
    normalisation: Normalisation | None = None
    num_classes: int | None = None

    def told(self, num_classes: int, normalisation: Normalisation) -> str:
        """What is taken over for data with so many classes, whose pixels are normalised so."""
        assert self.init is not None, "there is nothing to tell of fresh weights"
        kept = self.num_classes == num_classes
        classifier = f"its classifier of {num_classes} classes too" if kept else f"a new classifier of {num_classes}"
        return (
            f"starts from {self.init.path} ({self.init.origin}), {classifier}; batch norm's epsilon "
            f"{self.arch.norm_eps:g}, padding {self.arch.padding}; pixels are normalised by {normalisation}"
            f"{'' if self.normalisation else ', the mean and spread of these data'}"
        )


def find_start(typed: StartOptions, arch: ArchSpec) -> Start:
    """What was typed means for `arch`.

    Raises:
        ValueError: for no such file or run, a file that holds no weights or others, or a value that breaks a rule.
    """
    from nas.train.init import read_weights

    chosen = None
    if typed.normalisation is not None and typed.normalisation != OWN:
        chosen = Normalisation.parse(typed.normalisation)
    if typed.init is None:
        if typed.fine_tune or typed.init_origin is not None:
            option = "--fine-tune" if typed.fine_tune else "--init-origin"
            raise ValueError(f"{option} must have weights to start from (--init)")
        return Start(arch=arch, normalisation=chosen)
    path, job = _find(typed.init)
    weights = read_weights(path, follow_links=True)
    try:
        origin = _origin(typed.init_origin, weights.library)
        arch = adapted(arch, origin)
        if job is not None and origin == "ours":
            arch = replace(arch, norm_eps=job.arch.norm_eps, padding=job.arch.padding)
        num_classes = len(weights.fit(arch)["classifier.bias"])
        if typed.normalisation is None:
            chosen = _of_run(job) if job is not None and origin == "ours" else normalisation(arch, origin)
    except ValueError as error:
        raise RunError(f"{printable(str(path))}: {error}") from None
    init = Init(path=str(path), sha256=weights.sha256, origin=origin)
    return Start(arch=arch, init=init, normalisation=chosen, num_classes=num_classes)


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


def _origin(typed: Origin | None, library: "Library") -> Origin:
    if library == "timm":
        if typed not in ("timm", "timm-tf"):
            raise ValueError(
                f"has timm's names, so --init-origin must be timm-tf (where timm's name of the model begins with tf_) "
                f"or timm, got {typed or 'none'}"
            )
        return typed
    if typed not in (None, library):
        raise ValueError(f"has the names of {library}, so --init-origin must be {library}, got {typed}")
    return library


def _of_run(job: TrainJob) -> Normalisation:
    if job.normalisation is not None:
        return job.normalisation
    try:
        data = prepare(job.data)
    except DataError as error:
        raise ValueError(
            f"its pixels were normalised by data that are not there, so --normalisation must be given: {error}"
        ) from None
    return Normalisation(mean=data.mean, std=data.std)
