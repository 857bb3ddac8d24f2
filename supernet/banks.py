"""Which weights the networks of a space share: one bank for each place that a layer can stand at.

A bank is a layer as large as any at its place. A smaller one takes the leading channels of each of its tensors, the
leading expanded channels and the centre of its kernels. Layers have banks of their own where the same numbers would
have to mean different things (docs/decisions/0013):

* each stage, and each position in it: depth takes the leading positions;
* each op, since a depthwise and a dense kernel share no shape;
* expansion 1 and more than 1: at 1 the depthwise kernels work on the input's own channels, and a fused layer is
  another convolution altogether;
* each stream that can arrive: behind a stage that has vanished a layer meets other channels, at another resolution.

A stream is what residuals add to: it begins at the layer that last changed width or resolution.
"""

from collections.abc import Iterator
from typing import NamedTuple

from search_space import ArchSpec, BlockSpec, Space, StageSpec

__all__ = ["Bank", "Place", "banks_of", "places_of"]

STEM = 0


class Bank(NamedTuple):
    """A place for a layer: `stage` counts from 1, `position` in it from 0; `stream` is the stage that began what
    arrives, 0 for the stem."""

    stage: int
    position: int
    op: str
    expands: bool
    stream: int

    def __str__(self) -> str:
        expanded = "expanded" if self.expands else "plain"
        return f"stage{self.stage}_{self.position}_{self.op}_{expanded}_from{self.stream}"


class Place(NamedTuple):
    """A layer of a network, and the bank that its weights are in."""

    bank: Bank
    layer: BlockSpec


def _places(number: int, stage: StageSpec, channels: int, stream: int) -> Iterator[Place]:
    """The layers of a stage that do something."""
    for position in range(stage.depth):
        stride = stage.stride if position == 0 else 1
        layer = BlockSpec(stage.op, channels, stage.width, stage.kernel, stage.expansion, stride, stage.se_ratio)
        if not layer.is_nothing:
            yield Place(Bank(number, position, stage.op, stage.expansion > 1, stream), layer)
            stream = stream if layer.keeps_shape else number
        channels = stage.width


def _behind(stream: int, places: list[Place]) -> int:
    """The stream behind these layers."""
    return next((bank.stage for bank, layer in reversed(places) if not layer.keeps_shape), stream)


def places_of(space: Space, arch: ArchSpec) -> tuple[tuple[Place, ...], int]:
    """The layers of a network in order, those that do nothing left out, and the stream that the head meets. Two
    descriptions of one network have the same.

    Raises:
        ValueError: where the network is not in the space.
    """
    found: list[Place] = []
    channels, stream = space.stem.width, STEM
    for number, stage in enumerate(space.chosen(space.encode(arch)), start=1):
        if stage is not None:
            places = list(_places(number, stage, channels, stream))
            found += places
            channels, stream = stage.width, _behind(stream, places)
    return tuple(found), stream


def _larger(one: BlockSpec, other: BlockSpec) -> BlockSpec:
    """As large as both; of one op and stride."""
    numbers = {name: max(getattr(one, name), getattr(other, name)) for name in BlockSpec._fields if name != "op"}
    larger = BlockSpec(op=one.op, **numbers)
    # Of 4 to 6 and 6 to 4 channels it would be 6 to 6, which needs no weights, as those two do.
    return larger._replace(width=larger.width + 1) if larger.is_nothing else larger


def banks_of(space: Space) -> tuple[dict[Bank, BlockSpec], dict[int, int]]:
    """Every bank, as large as its largest layer; and each stream that the head can meet, with its largest width."""
    banks: dict[Bank, BlockSpec] = {}
    points = {(STEM, space.stem.width)}
    for number, choices in enumerate(space.stages, start=1):
        behind = set(points) if 0 in choices.depth else set()
        for stream, channels in sorted(points):
            for settings in choices.settings:
                for width in choices.width:
                    stage = StageSpec(
                        **settings._asdict(), width=width, depth=max(choices.depth), stride=choices.stride
                    )
                    places = list(_places(number, stage, channels, stream))
                    for bank, layer in places:
                        banks[bank] = _larger(layer, banks.get(bank, layer))
                    behind.add((_behind(stream, places), width))
        points = behind
    heads: dict[int, int] = {}
    for stream, width in points:
        heads[stream] = max(width, heads.get(stream, 0))
    return banks, heads
