"""From an `ArchSpec` to a torch module."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from search_space.blocks import BLOCKS, BuildOptions, ConvNormAct
from search_space.spec import ArchSpec, BlockSpec

__all__ = ["Network", "build_network"]


class Network(nn.Module):
    """The network that `arch` describes: [N, 3, H, W] float images -> [N, num_classes] logits.

    Attributes:
        arch: what was built.
        stem: the first convolution.
        stages: one `Sequential` of layers for each stage of `arch`, in its order; layers that do nothing are left out.
        head: the 1x1 convolution before pooling, None where `arch.head.width` is 0.
        dropout: of the pooled features; a trainer may change its `p`.
        classifier: the linear layer.
    """

    def __init__(self, arch: ArchSpec, options: BuildOptions, *, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.arch = arch
        stem, head = arch.stem, arch.head
        self.stem = ConvNormAct(3, stem.width, stem.kernel, options, stride=stem.stride)
        # Layers that do nothing do not count, so that two descriptions of one network (one key) drop alike.
        num_layers = sum(not spec.is_nothing for spec in arch.layers)
        stages, index = [], 0
        for layers in _layers_by_stage(arch):
            blocks = []
            for spec in layers:
                if not spec.is_nothing:
                    blocks.append(BLOCKS[spec.op](spec, options, drop_path * index / num_layers))
                    index += 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        channels = arch.stages[-1].width
        self.head = ConvNormAct(channels, head.width, 1, options) if head.width else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = Classifier(head.width or channels, head.num_classes, options.generator)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.stages(self.stem(images)))

    def forward_head(self, x: Tensor) -> Tensor:
        """From the last stage's output, [N, width, h, w], to logits."""
        if self.head is not None:
            x = self.head(x)
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits


class Classifier(nn.Linear):
    """A linear layer with weights from U(-1/sqrt(out), 1/sqrt(out)) and biases 0."""

    def __init__(self, in_features: int, out_features: int, generator: torch.Generator | None) -> None:
        super().__init__(in_features, out_features)
        bound = out_features**-0.5
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.bias)

    def reset_parameters(self) -> None:
        """Nothing: torch's own constructor would draw weights here, from the global generator, only to be replaced."""


def _layers_by_stage(arch: ArchSpec) -> Iterator[list[BlockSpec]]:
    layers = iter(arch.layers)
    for stage in arch.stages:
        yield [next(layers) for _ in range(stage.depth)]


def build_network(
    arch: ArchSpec,
    *,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    norm_momentum: float = 0.1,
    generator: torch.Generator | None = None,
) -> Network:
    """Build the network that `arch` describes, with fresh weights.

    Weights are drawn as in EfficientNet's released code: convolutions N(0, sqrt(2 / fan_out)), where a depthwise one
    has fan_out kernel^2; the classifier U(-1/sqrt(out), 1/sqrt(out)); biases 0; norms 1 and 0.

    Args:
        arch: the architecture.
        dropout: probability of dropping a pooled feature before the classifier, in [0, 1).
        drop_path: stochastic depth: layer i of N is skipped by a sample with probability `drop_path` * i / N, i from
            0, in training and where the layer has a residual; in [0, 1).
        norm_momentum: the batch norms' share of the new batch in their running statistics, in (0, 1]: torch's
            convention, 1 minus TensorFlow's. The paper's 0.99 is 0.01 here, its released code's 0.9 is 0.1.
        generator: draws the weights; equal seeds give equal weights and the global generator stays as it was. None
            draws from the global one.

    Raises:
        ValueError: for a probability or a momentum out of its range.
    """
    for name, probability in (("dropout", dropout), ("drop_path", drop_path)):
        if not 0 <= probability < 1:
            raise ValueError(f"build_network.{name} must be a number from 0 to below 1, got {probability!r}")
    options = BuildOptions(
        activation=arch.activation,
        norm_eps=arch.norm_eps,
        norm_momentum=norm_momentum,
        padding=arch.padding,
        generator=generator,
    )
    return Network(arch, options, dropout=dropout, drop_path=drop_path)
