"""A network as the parts that a block table holds: stem, layers, head. No torch here.

A part's time depends on what it is and on the size of its input, so the networks of a space share few of them: some
hundred for hundreds of millions of networks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from search_space import ArchSpec, BlockSpec, Space, output_size

__all__ = ["Part", "network_parts", "space_parts"]

STEM, HEAD = "stem", "head"


class Part(NamedTuple):
    """A layer with the side in pixels of its input. The stem is a layer of op `stem`, the head (1x1 convolution,
    pooling, classifier) one of op `head`; `num_classes` is 0 for every other."""

    layer: BlockSpec
    size: int
    num_classes: int = 0

    @property
    def name(self) -> str:
        """One name a part: the key of a table on disk."""
        layer = self.layer
        classes = f" c{self.num_classes}" if self.num_classes else ""
        se_ratio = repr(layer.se_ratio).removesuffix(".0")
        return (
            f"{layer.op} {layer.in_channels}-{layer.width} k{layer.kernel} e{layer.expansion} s{layer.stride} "
            f"se{se_ratio} @{self.size}{classes}"
        )


def _stem(arch: ArchSpec | Space, image_size: int) -> Part:
    stem = arch.stem
    return Part(BlockSpec(STEM, 3, stem.width, stem.kernel, 1, stem.stride, 0.0), image_size)


def _head(arch: ArchSpec | Space, in_channels: int, size: int) -> Part:
    return Part(BlockSpec(HEAD, in_channels, arch.head.width, 1, 1, 1, 0.0), size, arch.head.num_classes)


def network_parts(arch: ArchSpec, image_size: int) -> Counter[Part]:
    """How often each part stands in a network whose images have `image_size` pixels a side."""
    found = Counter([_stem(arch, image_size)])
    size = output_size(image_size, arch.stem.stride)
    for layer, times in arch.blocks():
        if not layer.is_nothing:
            found[Part(layer, size)] += times
        size = output_size(size, layer.stride)
    found[_head(arch, arch.stages[-1].width, size)] += 1
    return found


def space_parts(space: Space, image_size: int) -> list[Part]:
    """Every part that a network of the space can have, each once."""
    found = dict.fromkeys([_stem(space, image_size)])
    states = {(space.stem.width, output_size(image_size, space.stem.stride))}
    for stage in space.stages:
        after = states if 0 in stage.depth else set()
        for channels, size in sorted(states):
            for settings in stage.settings:
                for width in stage.width:
                    layer = BlockSpec(
                        settings.op,
                        channels,
                        width,
                        settings.kernel,
                        settings.expansion,
                        stage.stride,
                        settings.se_ratio,
                    )
                    out_size = output_size(size, stage.stride)
                    rest = [layer._replace(in_channels=width, stride=1)] if max(stage.depth) > 1 else []
                    found |= dict.fromkeys(_real([(layer, size), *((again, out_size) for again in rest)]))
                    after = after | {(width, out_size)}
        states = after
    found |= dict.fromkeys(_head(space, channels, size) for channels, size in sorted(states))
    return list(found)


def _real(layers: Iterable[tuple[BlockSpec, int]]) -> Iterator[Part]:
    return (Part(layer, size) for layer, size in layers if not layer.is_nothing)
