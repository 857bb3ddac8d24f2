"""Weights of torchvision's and timm's networks in ours, layer by layer.

Nothing is matched by resemblance. Each library's layout is written out below as module names; every tensor of the model
is used exactly once, every one of ours is filled, and what no weight shows (strides, padding, groups, activations,
residuals) is compared too. The other libraries are not imported: their modules are read as they come.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from search_space.network import Network, build_network
from search_space.spec import ArchSpec, Padding
from search_space.weight_copy import Parts, Squeeze, Unit, WeightCopy, find_module, type_of

__all__ = ["from_timm", "from_torchvision"]


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
    features, blocks = getattr(model, "features", None), list(arch.stages)
    if not isinstance(features, nn.Sequential) or len(features) < 3:
        raise ValueError(f"from_torchvision.model must be its EfficientNet or MobileNetV2, got {type_of(model)}")
    last = len(features) - 1
    if isinstance(features[1], nn.Sequential):
        parts: Parts = _torchvision_efficientnet_parts
        stages = [[f"features.{i}.{j}" for j in range(len(features[i]))] for i in range(1, last)]  # type: ignore[arg-type]
    else:
        parts = _torchvision_mobilenet_parts
        # Its layers stand in one row, so the architecture says where a stage ends, and the last takes what is left.
        names = [f"features.{i}" for i in range(1, last)]
        starts = [sum(stage.depth for stage in blocks[:i]) for i in range(len(blocks))]
        stages = [names[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    layout = _Layout(
        stem=Unit("features.0.0", "features.0.1", "features.0.2"),
        stages=stages,
        head=Unit(f"features.{last}.0", f"features.{last}.1", f"features.{last}.2"),
        classifier="classifier.1",
        parts=parts,
    )
    return _convert(model, arch, layout)


def from_timm(model: nn.Module, arch: ArchSpec) -> Network:
    """A network with the weights of a timm `EfficientNet`, of which its V2 (`tf_` or not) and `mobilenetv2_*` are.

    Arguments, result and errors as in `from_torchvision`.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential) or not all(isinstance(stage, nn.Sequential) for stage in blocks):
        raise ValueError(f"from_timm.model must be its EfficientNet, got {type_of(model)}")
    layout = _Layout(
        stem=Unit("conv_stem", "bn1", "bn1.act"),
        stages=[[f"blocks.{i}.{j}" for j in range(len(stage))] for i, stage in enumerate(blocks)],  # type: ignore[arg-type]
        head=Unit("conv_head", "bn2", "bn2.act"),
        classifier="classifier",
        parts=_timm_parts,
    )
    return _convert(model, arch, layout)


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
    copy = WeightCopy(model, network)
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
    network.load_state_dict(copy.finished(), strict=True, assign=True)
    return network.train(model.training)


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
