"""Weights of torchvision's and timm's networks in ours, layer by layer, and ours in torchvision's.

Nothing is matched by resemblance. Each library's layout is written out below as module names; every tensor of the model
is used exactly once, every one of ours is filled, and what no weight shows (strides, padding, groups, activations,
residuals) is compared too. The other libraries are not imported: their modules are read as they come.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from search_space.network import Network, build_network
from search_space.spec import ArchSpec, Padding
from search_space.weight_copy import Parts, Squeeze, TensorCopy, Unit, WeightCopy, find_module, type_of

__all__ = ["Library", "from_timm", "from_torchvision", "library_of", "rename_tensors", "to_torchvision"]

Library = Literal["ours", "torchvision", "timm"]
"""Whose names a state dict's tensors have."""

_STEMS: dict[Library, str] = {"ours": "stem.conv", "torchvision": "features.0.0", "timm": "conv_stem"}
_CLASSIFIERS: dict[Library, str] = {"ours": "classifier", "torchvision": "classifier.1", "timm": "classifier"}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where a model keeps what we keep in a network; `parts` gives the names inside a layer, in our layer's order."""

    stem: Unit
    stages: list[list[str]]
    head: Unit
    classifier: str
    parts: Parts


def from_torchvision(model: nn.Module, arch: ArchSpec) -> Network:
    """A network with the weights of torchvision's `EfficientNet` (V1 or V2) or `MobileNetV2`, copied.

    Args:
        model: the model; its mode, dtype and device are taken over.
        arch: its architecture; batch norm's epsilon, the padding and the number of classes are taken from the model
            instead.

    Returns:
        A network with equal logits in eval mode, without dropout and stochastic depth, batch norm momentum 0.1.

    Raises:
        ValueError: names the first stage, layer or tensor of the model that does not fit the architecture.
    """
    return _convert(model, arch, _layout_of_torchvision(model, arch))


def to_torchvision(network: Network, model: nn.Module) -> dict[str, Tensor]:
    """The inverse of `from_torchvision`: a state dict with which `model` has the network's logits in eval mode.

    Args:
        network: ours.
        model: torchvision's of the same architecture; its weights are not looked at, and may be on the meta device.

    Returns:
        Copies of the network's tensors, by the names that the model has for them.

    Raises:
        ValueError: names the first setting, stage, layer or tensor of the model that is not the network's.
    """
    layout = _layout_of_torchvision(model, network.arch)
    adapted = _adapt(network.arch, model, layout.classifier)
    for setting, wanted, found in (
        ("classes", network.arch.head.num_classes, adapted.head.num_classes),
        ("norm_eps", network.arch.norm_eps, adapted.norm_eps),
        ("padding", network.arch.padding, adapted.padding),
    ):
        if wanted != found:
            raise ValueError(f"the model's {setting} must be {wanted}, got {found}")
    copy = WeightCopy(model, network)
    _copied(copy, network.arch, layout)
    tensors = network.state_dict()
    return {theirs: tensors[ours].detach().clone() for ours, theirs in copy.names.items()}


def from_timm(model: nn.Module, arch: ArchSpec) -> Network:
    """A network with the weights of a timm `EfficientNet`, of which its V2 (`tf_` or not) and `mobilenetv2_*` are.

    Arguments, result and errors as in `from_torchvision`.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential) or not all(isinstance(stage, nn.Sequential) for stage in blocks):
        raise ValueError(f"from_timm.model must be its EfficientNet, got {type_of(model)}")
    return _convert(model, arch, _timm([len(stage) for stage in blocks]))  # type: ignore[arg-type]


def library_of(names: Iterable[str]) -> Library:
    """Whose names these of a state dict are, by the name of the first convolution.

    Raises:
        ValueError: for anybody else's.
    """
    found = set(names)
    for library in get_args(Library):
        if f"{_STEMS[library]}.weight" in found:
            return library  # type: ignore[no-any-return]
    stems = ", ".join(f"{stem}.weight ({library})" for library, stem in _STEMS.items())
    some = next(iter(sorted(found)), None)
    raise ValueError(f"a state dict must have one of the tensors {stems}, but has others, {some!r} first")


def rename_tensors(state: Mapping[str, Tensor], arch: ArchSpec) -> dict[str, Tensor]:
    """The tensors of a state dict, copied, by the names that they have in `build_network(arch)`.

    Strides, residuals and activations, which no tensor shows, are taken to be the architecture's, as are batch norm's
    epsilon and the padding.

    Args:
        state: of our network, torchvision's `EfficientNet` or `MobileNetV2`, or timm's `EfficientNet`; its number of
            classes may be another.

    Raises:
        ValueError: names the first stage, layer or tensor that does not fit the architecture, with both shapes.
    """
    library = library_of(state)
    weight = state.get(f"{_CLASSIFIERS[library]}.weight")
    if weight is None or weight.ndim != 2:
        raise ValueError(f"a state dict must have the classifier's {_CLASSIFIERS[library]}.weight, of 2 axes")
    with torch.device("meta"):
        network = build_network(arch.with_num_classes(weight.shape[0]))
    depths = [stage.depth for stage in arch.stages]
    match library:
        case "ours":
            copy = TensorCopy(state, network)
            for name, module in network.named_modules():
                if next(module.children(), None) is None:
                    copy.pair(name, name, name)
            return copy.finished()
        case "timm":
            layout = _timm(depths)
        case "torchvision" if any(name.startswith("features.1.conv.") for name in state):
            layout = _torchvision_mobilenet(arch, 1 + sum(depths))
        case "torchvision":
            layout = _torchvision_efficientnet(depths)
    return _copied(TensorCopy(state, network), network.arch, layout)


def _layout_of_torchvision(model: nn.Module, arch: ArchSpec) -> _Layout:
    features = getattr(model, "features", None)
    if not isinstance(features, nn.Sequential) or len(features) < 3:
        raise ValueError(f"the model must be torchvision's EfficientNet or MobileNetV2, got {type_of(model)}")
    last = len(features) - 1
    if isinstance(features[1], nn.Sequential):
        return _torchvision_efficientnet([len(features[i]) for i in range(1, last)])  # type: ignore[arg-type]
    return _torchvision_mobilenet(arch, last)


def _torchvision_efficientnet(depths: list[int]) -> _Layout:
    stages = [[f"features.{i}.{j}" for j in range(depth)] for i, depth in enumerate(depths, start=1)]
    return _torchvision(stages, 1 + len(depths), _torchvision_efficientnet_parts)


def _torchvision_mobilenet(arch: ArchSpec, last: int) -> _Layout:
    """Its layers stand in one row up to `last`, so the architecture says where a stage ends, and the last takes what is
    left."""
    names = [f"features.{i}" for i in range(1, last)]
    starts = [sum(stage.depth for stage in arch.stages[:i]) for i in range(len(arch.stages))]
    stages = [names[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return _torchvision(stages, last, _torchvision_mobilenet_parts)


def _torchvision(stages: list[list[str]], last: int, parts: Parts) -> _Layout:
    return _Layout(
        stem=Unit("features.0.0", "features.0.1", "features.0.2"),
        stages=stages,
        head=Unit(f"features.{last}.0", f"features.{last}.1", f"features.{last}.2"),
        classifier=_CLASSIFIERS["torchvision"],
        parts=parts,
    )


def _timm(depths: list[int]) -> _Layout:
    return _Layout(
        stem=Unit("conv_stem", "bn1", "bn1.act"),
        stages=[[f"blocks.{i}.{j}" for j in range(depth)] for i, depth in enumerate(depths)],
        head=Unit("conv_head", "bn2", "bn2.act"),
        classifier=_CLASSIFIERS["timm"],
        parts=_timm_parts,
    )


def _torchvision_efficientnet_parts(layer: str, ours: tuple[str, ...]) -> list[Unit | Squeeze]:
    return [
        Squeeze(f"{layer}.block.{i}.fc1", f"{layer}.block.{i}.activation", f"{layer}.block.{i}.fc2")
        if part == "squeeze_excite"
        else Unit(f"{layer}.block.{i}.0", f"{layer}.block.{i}.1", f"{layer}.block.{i}.2")
        for i, part in enumerate(ours)
    ]


def _torchvision_mobilenet_parts(layer: str, ours: tuple[str, ...]) -> list[Unit | Squeeze] | None:
    if "depthwise" not in ours or "squeeze_excite" in ours:
        return None
    last = len(ours) - 1
    units = [Unit(f"{layer}.conv.{i}.0", f"{layer}.conv.{i}.1", f"{layer}.conv.{i}.2") for i in range(last)]
    return [*units, Unit(f"{layer}.conv.{last}", f"{layer}.conv.{last + 1}", f"{layer}.conv.{last + 2}")]


# Our layer's parts without squeeze-and-excitation, and timm's names of each one's convolution and norm.
_TIMM_PARTS = {
    ("expand", "depthwise", "project"): {  # InvertedResidual
        "expand": ("conv_pw", "bn1"),
        "depthwise": ("conv_dw", "bn2"),
        "project": ("conv_pwl", "bn3"),
    },
    ("depthwise", "project"): {  # DepthwiseSeparableConv
        "depthwise": ("conv_dw", "bn1"),
        "project": ("conv_pw", "bn2"),
    },
    ("expand", "project"): {  # EdgeResidual
        "expand": ("conv_exp", "bn1"),
        "project": ("conv_pwl", "bn2"),
    },
    ("project",): {  # ConvBnAct
        "project": ("conv", "bn1"),
    },
}


def _timm_parts(layer: str, ours: tuple[str, ...]) -> list[Unit | Squeeze] | None:
    names = _TIMM_PARTS.get(tuple(part for part in ours if part != "squeeze_excite"))
    if names is None:
        return None
    return [
        Squeeze(f"{layer}.se.conv_reduce", f"{layer}.se.act1", f"{layer}.se.conv_expand")
        if part == "squeeze_excite"
        else Unit(f"{layer}.{names[part][0]}", f"{layer}.{names[part][1]}", f"{layer}.{names[part][1]}.act")
        for part in ours
    ]


def _convert(model: nn.Module, arch: ArchSpec, layout: _Layout) -> Network:
    arch = _adapt(arch, model, layout.classifier)
    with torch.device("meta"):
        network = build_network(arch)
    network.load_state_dict(_copied(WeightCopy(model, network), arch, layout), strict=True, assign=True)
    return network.train(model.training)


def _copied(copy: TensorCopy, arch: ArchSpec, layout: _Layout) -> dict[str, Tensor]:
    copy.unit("the stem", "stem", layout.stem)
    if len(layout.stages) != len(arch.stages):
        raise ValueError(f"the model has {len(layout.stages)} stages, the architecture {len(arch.stages)}")
    for i, (stage, names) in enumerate(zip(arch.stages, layout.stages, strict=True)):
        if len(names) != stage.depth:
            raise ValueError(f"stage {i + 1} has {len(names)} layers in the model, {stage.depth} in the architecture")
        for j, name in enumerate(names):
            copy.layer(f"stage {i + 1} ({stage}), layer {j + 1}", f"stages.{i}.{j}", name, layout.parts)
    copy.unit("the head", "head", layout.head)
    copy.pair("the classifier", "classifier", layout.classifier)
    return copy.finished()


def _adapt(arch: ArchSpec, model: nn.Module, classifier: str) -> ArchSpec:
    """`arch` with the epsilon, padding and number of classes that the model has."""
    linear = find_module(model, classifier)
    if not isinstance(linear, nn.Linear):
        raise ValueError(f"the model must have a linear layer {classifier!r}, got {type(linear).__name__}")
    epsilons = {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    if len(epsilons) != 1:
        raise ValueError(f"the model's batch norms must have one epsilon, got {sorted(epsilons)}")
    paddings = {_padding(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    paddings -= {None}
    if len(paddings) > 1:
        raise ValueError("the model's convolutions must all be padded alike, got symmetric and same")
    padding = paddings.pop() if paddings else arch.padding
    assert padding is not None
    return replace(arch.with_num_classes(linear.out_features), norm_eps=epsilons.pop(), padding=padding)


def _padding(name: str, conv: nn.Conv2d) -> Padding | None:
    """None where both kinds are the same."""
    symmetric = tuple((side - 1) // 2 for side in conv.kernel_size)
    # timm's class of this name pads in its forward, where no attribute shows it.
    if type(conv).__name__ == "Conv2dSame":
        return "same"
    if conv.padding != symmetric:
        raise ValueError(f"the model's {name} must be padded by {symmetric} or as TensorFlow does, got {conv.padding}")
    return None if conv.stride == (1, 1) or conv.kernel_size == (1, 1) else "symmetric"
