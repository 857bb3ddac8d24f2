"""What a network is: frozen values, checked where they are made, with one canonical form and one key.

An `ArchSpec` is a stem, stages and a head. Its JSON is what runs, families and exports store; its `key` is equal for
two descriptions exactly where they describe the same network, layer by layer.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

from search_space.ops import OPS, Cost, block_cost, conv_cost, output_size

__all__ = ["Activation", "ArchSpec", "BlockSpec", "HeadSpec", "Padding", "StageSpec", "StemSpec"]

Activation = Literal["silu", "relu", "relu6"]
"""Of a whole network."""
Padding = Literal["symmetric", "same"]
"""At strides above 1; `same` is TensorFlow's, with the odd pixel to the right and below."""
_ACTIVATIONS: tuple[str, ...] = get_args(Activation)
_PADDINGS: tuple[str, ...] = get_args(Padding)

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}
_NEUTRAL: dict[str, float] = {"kernel": 1, "expansion": 1, "se_ratio": 0.0}
MAX_WIDTH = 1 << 16
MAX_DEPTH = 1 << 10


def check_integer(owner: str, name: str, value: object, low: int, high: int, *, odd: bool = False) -> None:
    """Raise the one form of error: the rule and the value."""
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not fits or (odd and int(value) % 2 == 0):  # type: ignore[call-overload]
        kind = "an odd integer" if odd else "an integer"
        raise ValueError(f"{owner}.{name} must be {kind} from {low} to {high}, got {value!r}")


def check_number(owner: str, name: str, value: object, low: float, high: float) -> None:
    """As `check_integer`, for any finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{owner}.{name} must be a number from {low:g} to {high:g}, got {value!r}")


def check_choice(owner: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{owner}.{name} must be one of {', '.join(choices)}, got {value!r}")


def check_block_settings(owner: str, op: str, kernel: int, expansion: int, se_ratio: float) -> None:
    """The rules that a stage's and a space's block choices share."""
    check_choice(owner, "op", op, tuple(OPS))
    check_integer(owner, "kernel", kernel, 1, 31, odd=True)
    check_integer(owner, "expansion", expansion, 1, 64)
    if isinstance(se_ratio, bool) or not isinstance(se_ratio, int | float) or not 0 <= se_ratio <= 1:
        raise ValueError(f"{owner}.se_ratio must be a number from 0 (no squeeze-and-excitation) to 1, got {se_ratio!r}")
    given = {"kernel": kernel, "expansion": expansion, "se_ratio": se_ratio}
    for name, neutral in _NEUTRAL.items():
        if name not in OPS[op].settings and given[name] != neutral:
            raise ValueError(
                f"{owner}.{name} has no meaning for op {op!r} and must be {neutral:g}, got {given[name]!r}"
            )


@dataclass(frozen=True, kw_only=True)
class StemSpec:
    """The first convolution: RGB images to `width` channels, kernel x kernel, with norm and activation."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    width: int
    kernel: int = 3
    stride: int = 2

    def __post_init__(self) -> None:
        check_integer("StemSpec", "width", self.width, 1, MAX_WIDTH)
        check_integer("StemSpec", "kernel", self.kernel, 1, 31, odd=True)
        check_integer("StemSpec", "stride", self.stride, 1, 8)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """`depth` layers of one op at one output `width`; the first layer has the stage's `stride`, the others 1.

    `expansion` is of the layer's input channels; `se_ratio` is of the *block's input* channels, 0 for none.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    op: str
    width: int
    depth: int
    stride: int = 1
    kernel: int = 3
    expansion: int = 1
    se_ratio: float = 0.0

    def __post_init__(self) -> None:
        check_block_settings("StageSpec", self.op, self.kernel, self.expansion, self.se_ratio)
        check_integer("StageSpec", "width", self.width, 1, MAX_WIDTH)
        check_integer("StageSpec", "depth", self.depth, 1, MAX_DEPTH)
        check_integer("StageSpec", "stride", self.stride, 1, 8)
        object.__setattr__(self, "se_ratio", float(self.se_ratio) + 0.0)  # -0.0 is 0.0, also in the key

    @property
    def layer(self) -> tuple[str, int, int, int, float]:
        """What its layers are, however many and at whatever stride."""
        return self.op, self.width, self.kernel, self.expansion, self.se_ratio

    def __str__(self) -> str:
        op = OPS[self.op]
        kernel = str(self.kernel) if "kernel" in op.settings else ""
        expansion = f"e{self.expansion}" if "expansion" in op.settings else ""
        stride = f"s{self.stride}" if self.stride > 1 else ""
        squeeze = f"se{self.se_ratio:g}" if self.se_ratio else ""
        return f"{op.letter}{kernel}{expansion}-{self.width}x{self.depth}{stride}{squeeze}"


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A 1x1 convolution to `width` channels (0: none), global average pooling, dropout, a linear classifier."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    width: int
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_integer("HeadSpec", "width", self.width, 0, MAX_WIDTH)
        check_integer("HeadSpec", "num_classes", self.num_classes, 1, 1_000_000)


class BlockSpec(NamedTuple):
    """One layer as it is built: what a stage says, with the input channels that the layer meets."""

    op: str
    in_channels: int
    width: int
    kernel: int
    expansion: int
    stride: int
    se_ratio: float

    @property
    def keeps_shape(self) -> bool:
        return self.stride == 1 and self.in_channels == self.width

    @property
    def is_nothing(self) -> bool:
        """An identity where the shape does not change: no layer at all."""
        return self.op == "identity" and self.keeps_shape


@dataclass(frozen=True, kw_only=True)
class ArchSpec:
    """A whole network, of RGB images to class logits. `norm_eps` is batch norm's epsilon; `padding` is `symmetric`
    (torch's) or `same` (TensorFlow's, for weights that were trained there)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    head: HeadSpec
    activation: Activation = "silu"
    norm_eps: float = 1e-3
    padding: Padding = "symmetric"

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("ArchSpec.stages must hold at least one stage, got none")
        check_choice("ArchSpec", "activation", self.activation, _ACTIVATIONS)
        check_choice("ArchSpec", "padding", self.padding, _PADDINGS)
        if not isinstance(self.norm_eps, float) or not 0 < self.norm_eps < 1:
            raise ValueError(f"ArchSpec.norm_eps must be a float between 0 and 1, got {self.norm_eps!r}")

    def blocks(self) -> Iterator[tuple[BlockSpec, int]]:
        """The layers in order, as (layer, how many times it stands in a row)."""
        channels = self.stem.width
        for stage in self.stages:
            op, width, kernel, expansion, se_ratio = (
                stage.op,
                stage.width,
                stage.kernel,
                stage.expansion,
                stage.se_ratio,
            )
            yield BlockSpec(op, channels, width, kernel, expansion, stage.stride, se_ratio), 1
            if stage.depth > 1:
                yield BlockSpec(op, width, width, kernel, expansion, 1, se_ratio), stage.depth - 1
            channels = width

    @property
    def layers(self) -> list[BlockSpec]:
        """The layers in order, one entry each."""
        return [block for block, times in self.blocks() for _ in range(times)]

    def cost(self, image_size: int) -> Cost:
        """Trainable parameters, and MACs of one forward pass of an `image_size` x `image_size` image."""
        check_integer("cost", "image_size", image_size, 1, 1 << 14)
        size = output_size(image_size, self.stem.stride)
        params, macs = conv_cost(3, self.stem.width, self.stem.kernel, size)
        channels = self.stem.width
        for stage in self.stages:
            shape = (stage.width, stage.kernel, stage.expansion)
            first = block_cost(stage.op, channels, *shape, stage.stride, stage.se_ratio, size)
            channels, size = stage.width, output_size(size, stage.stride)
            rest = block_cost(stage.op, channels, *shape, 1, stage.se_ratio, size)
            params += first[0] + (stage.depth - 1) * rest[0]
            macs += first[1] + (stage.depth - 1) * rest[1]
        if self.head.width:
            head = conv_cost(channels, self.head.width, 1, size)
            params, macs, channels = params + head[0], macs + head[1], self.head.width
        classifier = channels * self.head.num_classes
        return Cost(params + classifier + self.head.num_classes, macs + classifier)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.cost(1).params

    def macs(self, image_size: int) -> int:
        """MACs of one forward pass of an `image_size` x `image_size` image."""
        return self.cost(image_size).macs

    def canonical(self) -> "ArchSpec":
        """The one description of this network: layers that do nothing left out, equal neighbours joined.

        Two stages are one where the second changes neither width nor resolution and has the first one's op and
        settings (up to the deepest stage there may be). A network that is left without a stage keeps its last one.
        """
        stages: list[StageSpec] = []
        channels = self.stem.width
        for stage in self.stages:
            if stage.op == "identity":
                if stage.stride == 1 and stage.width == channels:
                    continue
                if stage.depth > 1:
                    stage = replace(stage, depth=1)
            channels = stage.width
            if stages and stage.stride == 1 and stages[-1].layer == stage.layer:
                depth = stages[-1].depth + stage.depth
                stages[-1] = replace(stages[-1], depth=min(depth, MAX_DEPTH))
                if depth > MAX_DEPTH:
                    stages.append(replace(stage, depth=depth - MAX_DEPTH))
            else:
                stages.append(stage)
        found = tuple(stages) or (replace(self.stages[-1], depth=1),)
        return self if found == self.stages else replace(self, stages=found)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        parts = {"stem": {**vars(self.stem)}, "stages": [{**vars(each)} for each in self.stages]}
        return {**own, **parts, "head": {**vars(self.head)}}

    def to_json(self) -> str:
        """This description on one line, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote (or a person did).

        Raises:
            ValueError: for text that is no JSON, an unknown or missing field, or a value that breaks a rule; the
                message names the field, the rule and the value.
        """
        from search_space.files import parse_json

        return parse_json(cls, text)

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON, in hex: equal exactly where the networks are."""
        return hashlib.sha256(self.canonical().to_json().encode()).hexdigest()

    def with_num_classes(self, num_classes: int) -> "ArchSpec":
        return replace(self, head=replace(self.head, num_classes=num_classes))

    def __str__(self) -> str:
        stem = f"stem{self.stem.kernel}-{self.stem.width}s{self.stem.stride}"
        return " ".join([stem, *map(str, self.stages), f"head-{self.head.width}"])
