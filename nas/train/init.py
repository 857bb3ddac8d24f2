"""The weights that a training starts from: read from a file that may come from anybody, and fitted to a network."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.text import printable
from nas.train.checkpoint import DAMAGE
from nas.train.origin import Init
from nas.train.weight_file import check_archive, read_weight_file
from results.durable import RunError, first_line
from search_space import ArchSpec
from search_space.convert import Library, library_of, rename_tensors

__all__ = ["Weights", "finite_floats", "initial_weights", "read_tensors", "read_weights"]

RUNNING_VARIANCE = "running_var"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file's tensors by the names that they have there, whose names these are, and the sha256 of its bytes."""

    tensors: Mapping[str, Tensor]
    library: Library
    sha256: str

    def fit(self, arch: ArchSpec) -> dict[str, Tensor]:
        """The tensors by the names that `build_network(arch)` has for them, float32; the classifier may have another
        number of classes.

        Raises:
            ValueError: for the first stage, layer or tensor that does not fit, and for what is not finite.
        """
        return finite_floats(rename_tensors(self.tensors, arch))


def finite_floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in float32, counters as they are.

    Raises:
        ValueError: for a tensor (counters apart) that holds no floating-point numbers, what is not finite, or a
            variance below 0.
    """
    found = {}
    for name, tensor in tensors.items():
        if tensor.ndim and not tensor.is_floating_point():
            raise ValueError(f"{name} must hold floating-point numbers, got {tensor.dtype}")
        found[name] = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        if not torch.isfinite(found[name]).all():
            raise ValueError(f"{name} must be finite, but holds NaN or infinity")
        if name.endswith(RUNNING_VARIANCE) and (found[name] < 0).any():
            raise ValueError(f"{name} must be at least 0, got {found[name].min():g}")
    return found


def read_weights(path: Path, *, follow_links: bool = False) -> Weights:
    """A network's state dict, as `read_tensors` reads it.

    Raises:
        RunError: naming the file, which cannot be read or holds anything else.
    """
    state, sha256 = read_tensors(path, follow_links=follow_links)
    try:
        library = library_of(state)
    except ValueError as error:
        raise RunError(f"{printable(str(path))}: {error}") from None
    return Weights(tensors=state, library=library, sha256=sha256)


def read_tensors(path: Path, *, follow_links: bool = False) -> tuple[dict[str, Tensor], str]:
    """A state dict, and the sha256 of the file: safetensors, or what torch.save wrote, read as `read_weight_file` does.
    Of a checkpoint of ours, the averaged weights.

    Raises:
        RunError: naming the file, which cannot be read or holds anything else.
    """
    content = read_weight_file(path, follow_links=follow_links)
    try:
        state = _tensors(_safetensors(content) if path.suffix == ".safetensors" else _torch(content))
        if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > len(content):
            raise ValueError(f"must hold no more numbers than its {len(content):,} bytes")
    except ValueError as error:
        raise RunError(f"{printable(str(path))}: {error}") from None
    return state, hashlib.sha256(content).hexdigest()


def initial_weights(init: Init, arch: ArchSpec) -> dict[str, Tensor]:
    """What `build_network(arch)` takes over of the file that is on record: all, or all but the classifier's tensors
    where the number of classes is another.

    Raises:
        RunError: where the file is not there, is another by now, or does not fit.
    """
    weights = read_weights(Path(init.path), follow_links=True)
    if weights.sha256 != init.sha256:
        raise RunError(
            f"{printable(init.path)}: must be the file that the training began with (sha256 {init.sha256[:12]}...), "
            f"got another ({weights.sha256[:12]}...)"
        )
    try:
        found = weights.fit(arch)
    except ValueError as error:
        raise RunError(f"{printable(init.path)}: {error}") from None
    if len(found["classifier.weight"]) != arch.head.num_classes:
        del found["classifier.weight"], found["classifier.bias"]
    return found


def _safetensors(content: bytes) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, KeyError) as error:  # the latter for a dtype that torch has not
        raise ValueError(f"is no safetensors file, or is damaged: {first_line(error)}") from None


def _torch(content: bytes) -> Any:
    check_archive(content)
    try:
        found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # whose message tells how to load it all the same
        raise ValueError("must hold tensors alone, in torch's format; it holds something else, or is damaged") from None
    except DAMAGE as error:
        raise ValueError(f"is no file of torch's, or is damaged: {first_line(error)}") from None
    # A checkpoint of a training of ours.
    return found["average"] if isinstance(found, dict) and isinstance(found.get("average"), dict) else found


def _tensors(found: Any) -> dict[str, Tensor]:
    if not isinstance(found, dict) or not found:
        what = "an empty one" if found == {} else type(found).__name__
        raise ValueError(f"must hold a state dict (tensors by name), got {what}")
    for name, tensor in found.items():
        plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
        if not isinstance(name, str) or not plain or tensor.is_meta:
            what = "no dense tensor" if isinstance(tensor, Tensor) and isinstance(name, str) else type(tensor).__name__
            raise ValueError(f"must hold a state dict (tensors by name), but {name!r} is {what}")
    return found
