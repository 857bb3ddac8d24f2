"""Copying another library's weights into ours, pair of modules by pair, and knowing what was left over."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_space.blocks import Conv2d, ConvNormAct, SqueezeExcite

__all__ = ["Parts", "Squeeze", "TensorCopy", "Unit", "WeightCopy", "find_module", "type_of"]

# Leaf modules that hold no tensor and do nothing in eval mode, or stand where ours calls a function.
_HARMLESS = {"AdaptiveAvgPool2d", "DropPath", "Dropout", "Flatten", "Identity", "Sigmoid", "StochasticDepth"}


class Unit(NamedTuple):
    """A model's names of what a `ConvNormAct` holds."""

    conv: str
    norm: str
    act: str


class Squeeze(NamedTuple):
    """A model's names of what a `SqueezeExcite` holds."""

    reduce: str
    act: str
    expand: str


# From the model's name of a layer and our names of its parts to the model's names of them; None for no counterpart.
Parts = Callable[[str, tuple[str, ...]], list[Unit | Squeeze] | None]


def type_of(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__name__}"


def find_module(model: nn.Module, name: str) -> nn.Module | None:
    """The module of that name; None where there is none or it does nothing."""
    try:
        module = model.get_submodule(name)
    except AttributeError:
        return None
    return None if isinstance(module, nn.Identity) else module


class TensorCopy:
    """Copies the tensors of a state dict, module by module of ours, and knows what is left over. What no tensor shows
    (strides, residuals, activations) is the network's.

    Attributes:
        names: of each tensor copied so far, ours and theirs.
    """

    def __init__(self, theirs: Mapping[str, Tensor], network: nn.Module, *, called: str = "the state dict") -> None:
        self._theirs, self._network, self._called = theirs, network, called
        self.names: dict[str, str] = {}
        self._left = dict.fromkeys(theirs)

    def layer(self, where: str, ours: str, theirs: str, parts: Parts) -> None:
        """One layer, part by part in the order in which they run."""
        block = find_module(self._network, ours)
        children = () if block is None else block.named_children()
        own = tuple(name for name, part in children if isinstance(part, ConvNormAct | SqueezeExcite))
        names = parts(theirs, own) if own else None
        if names is None:
            raise ValueError(f"{where}: the architecture's layer has no counterpart in {self._called}")
        for part, unit in zip(own, names, strict=True):
            self.unit(f"{where}, {part}", f"{ours}.{part}", unit)
        left = next((name for name in self._left if name.startswith(f"{theirs}.")), None)
        if left is not None:
            raise ValueError(f"{where}: the model's tensor {left!r} has no place in the architecture")

    def unit(self, where: str, ours: str, theirs: Unit | Squeeze) -> None:
        for name, their_name in theirs._asdict().items():
            self.pair(where, f"{ours}.{name}", their_name)

    def pair(self, where: str, ours: str, theirs: str) -> None:
        """One module's tensors."""
        module = find_module(self._network, ours)
        for name, tensor in {} if module is None else module.state_dict().items():
            self._tensor(where, f"{ours}.{name}", f"{theirs}.{name}", tensor.shape)

    def _tensor(self, where: str, ours: str, theirs: str, shape: torch.Size) -> None:
        if theirs not in self._theirs:
            raise ValueError(f"{where}: the model has no tensor {theirs!r}")
        tensor = self._theirs[theirs]
        if tensor.shape != shape:
            raise ValueError(f"{where}: {theirs!r} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")
        del self._left[theirs]
        self.names[ours] = theirs

    def finished(self) -> dict[str, Tensor]:
        """Every tensor of the network; an error where the model has something that was not used."""
        if self._left:
            raise ValueError(f"the model's tensor {next(iter(self._left))!r} has no place in the architecture")
        return {ours: self._theirs[theirs].detach().clone() for ours, theirs in self.names.items()}


class WeightCopy(TensorCopy):
    """Copies the tensors of a model pair of modules by pair, and compares what no tensor shows."""

    def __init__(self, model: nn.Module, network: nn.Module) -> None:
        super().__init__(model.state_dict(), network, called=type_of(model))
        self._model = model
        self._paired: set[str] = set()

    def layer(self, where: str, ours: str, theirs: str, parts: Parts) -> None:
        their_block = find_module(self._model, theirs)
        if their_block is None:
            raise ValueError(f"{where}: the architecture's layer has no counterpart in {self._called}")
        super().layer(where, ours, theirs, parts)
        # torchvision's and timm's names of the same flag.
        residual = getattr(their_block, "use_res_connect", getattr(their_block, "has_skip", None))
        expected = getattr(find_module(self._network, ours), "drop_path", None) is not None
        if residual is not expected:
            raise ValueError(
                f"{where}: the model's {theirs!r} has residual {residual}, the architecture asks for {expected}"
            )

    def pair(self, where: str, ours: str, theirs: str) -> None:
        """One module with its tensors, or none on either side."""
        module, their_module = find_module(self._network, ours), find_module(self._model, theirs)
        if module is None and their_module is None:
            return
        if their_module is None:
            raise ValueError(f"{where}: the model has no {theirs!r}")
        if module is None:
            raise ValueError(f"{where}: the model's {theirs!r} has no place in the architecture")
        kind = next((kind for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear) if isinstance(module, kind)), type(module))
        if not isinstance(their_module, kind):
            raise ValueError(
                f"{where}: the model's {theirs!r} must be a {kind.__name__}, got {type(their_module).__name__}"
            )
        settings = ("in_channels", "out_channels", "kernel_size", "stride", "groups", "dilation", "padding_mode")
        for setting in settings if isinstance(module, Conv2d) else ():
            value, wanted = getattr(their_module, setting), getattr(module, setting)
            if value != wanted:
                raise ValueError(f"{where}: {setting} of the model's {theirs!r} must be {wanted}, got {value}")
        super().pair(where, ours, theirs)
        self._paired.add(theirs)

    def finished(self) -> dict[str, Tensor]:
        copied = super().finished()
        for name, module in self._model.named_modules():
            leaf = next(module.children(), None) is None
            if leaf and name not in self._paired and type(module).__name__ not in _HARMLESS:
                raise ValueError(f"the model's {name!r} ({type(module).__name__}) has no place in the architecture")
        return copied
