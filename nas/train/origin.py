"""Where weights to start from come from, and what follows for a network that gets them. No torch here.

A file of tensors does not show batch norm's epsilon, how convolutions are padded, or how pixels were normalised: these
are facts of who trained it, held here as tables.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

from nas.data.moments import Stats
from search_space import ARCHITECTURES, ArchSpec, architecture

__all__ = ["IMAGENET", "INCEPTION", "Init", "Normalisation", "Origin", "adapted", "normalisation"]

Origin = Literal["ours", "torchvision", "timm", "timm-tf"]
"""`timm-tf` are timm's models whose names begin with tf_, whose weights were trained in TensorFlow."""

TORCH_EPS, TENSORFLOW_EPS = 1e-5, 1e-3
_TORCHVISION_WITH_TORCH_EPS = {f"efficientnet_b{i}" for i in range(5)}
_INCEPTION: dict[Origin, set[str]] = {
    "torchvision": {"efficientnetv2_l"},
    "timm": {"efficientnet_b1"},
    "timm-tf": {f"efficientnetv2_{size}" for size in ("s", "m", "l", "xl", "b3")},
}


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """What is taken off pixel values, which go from 0 to 1, and what they are then divided by, for each channel."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    mean: Stats
    std: Stats

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise ValueError(f"Normalisation.{name} must be 3 numbers, got {values}")
        if min(self.std) <= 0:
            raise ValueError(f"Normalisation.std must be above 0, got {self.std}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`imagenet`, `inception` (0.5 and 0.5), or MEAN:STD, each one number or three with commas between."""
        named = {"imagenet": IMAGENET, "inception": INCEPTION}
        if text in named:
            return cls(mean=named[text].mean, std=named[text].std)
        number = r"\d+(?:\.\d+)?"
        if not re.fullmatch(rf"{number}(,{number},{number})?:{number}(,{number},{number})?", text):
            raise ValueError(f"a normalisation must be imagenet, inception or MEAN:STD (0.5:0.5), got {text!r}")
        mean, std = (_three([float(value) for value in part.split(",")]) for part in text.split(":"))
        return cls(mean=mean, std=std)

    def __str__(self) -> str:
        return ":".join(",".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))


def _three(values: list[float]) -> Stats:
    first, second, third = values if len(values) == 3 else values * 3
    return first, second, third


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
INCEPTION = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True, kw_only=True)
class Init:
    """The file of weights that a training starts from.

    Args:
        path: of the file. It is read until the training has its first checkpoint.
        sha256: of its bytes, in hex.
        origin: who trained it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    path: str
    sha256: str
    origin: Origin

    def __post_init__(self) -> None:
        if self.origin not in get_args(Origin):
            raise ValueError(f"Init.origin must be one of {', '.join(get_args(Origin))}, got {self.origin!r}")


def adapted(arch: ArchSpec, origin: Origin) -> ArchSpec:
    """`arch` with the epsilon and the padding of networks that come from there; of ours it is as it is."""
    match origin:
        case "timm-tf":
            return replace(arch, norm_eps=TENSORFLOW_EPS, padding="same")
        case "timm":
            return replace(arch, norm_eps=TORCH_EPS, padding="symmetric")
        case "torchvision":
            torchs = _name(arch) in _TORCHVISION_WITH_TORCH_EPS
            return replace(arch, norm_eps=TORCH_EPS if torchs else arch.norm_eps, padding="symmetric")
        case "ours":
            return arch


def normalisation(arch: ArchSpec, origin: Origin) -> Normalisation | None:
    """How the pixels were normalised that such weights saw (timm: those that it loads by default); None for ours."""
    if origin == "ours":
        return None
    return INCEPTION if _name(arch) in _INCEPTION[origin] else IMAGENET


def _name(arch: ArchSpec) -> str | None:
    """Of the published network that `arch` is, whatever its classes, epsilon and padding."""

    def key(arch: ArchSpec) -> str:
        return replace(arch.with_num_classes(1000), norm_eps=TENSORFLOW_EPS, padding="symmetric").key

    return next((name for name in ARCHITECTURES if key(architecture(name)) == key(arch)), None)
