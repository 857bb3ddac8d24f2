"""A network part by part: what each part's layers cost, and what they leave."""

from dataclasses import asdict, dataclass
from typing import Any

from search_space.ops import Cost, block_cost, conv_cost, output_size
from search_space.spec import ArchSpec

__all__ = ["HEADERS", "Part", "parts"]

HEADERS = ("part", "op", "kernel", "expansion", "width", "depth", "stride", "SE", "output", "params", "MACs")
"""Of a table of parts."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Stem, a stage or head of a network: `depth` layers that leave `width` channels of `size` x `size` pixels.
    Parameters and MACs of one image's forward pass are of all its layers."""

    part: str
    op: str
    width: int
    depth: int
    stride: int
    kernel: int
    expansion: int
    se_ratio: float
    output_size: int
    params: int
    macs: int

    def cells(self) -> tuple[str, ...]:
        """Its row of a table."""
        return (
            self.part,
            self.op,
            str(self.kernel),
            str(self.expansion),
            str(self.width),
            str(self.depth),
            str(self.stride),
            f"{self.se_ratio:g}" if self.se_ratio else "-",
            f"{self.output_size}x{self.output_size}",
            f"{self.params:,}",
            f"{self.macs:,}",
        )


def _times(cost: Cost, count: int) -> Cost:
    return Cost(count * cost.params, count * cost.macs)


def parts(arch: ArchSpec, image_size: int) -> list[Part]:
    """Stem, stages and head in order; their parameters and MACs add up to `arch.cost(image_size)`."""
    neutral: dict[str, Any] = {"expansion": 1, "se_ratio": 0.0}
    stem, head = arch.stem, arch.head
    size = output_size(image_size, stem.stride)
    shape: dict[str, Any] = {"width": stem.width, "depth": 1, "stride": stem.stride, "kernel": stem.kernel}
    cost = conv_cost(3, stem.width, stem.kernel, size)
    rows = [Part(part="stem", op="conv", output_size=size, **shape, **neutral, **cost._asdict())]
    channels = stem.width
    for number, stage in enumerate(arch.stages, start=1):
        settings = (stage.width, stage.kernel, stage.expansion)
        cost = block_cost(stage.op, channels, *settings, stage.stride, stage.se_ratio, size)
        channels, size = stage.width, output_size(size, stage.stride)
        rest = block_cost(stage.op, channels, *settings, 1, stage.se_ratio, size)
        cost = cost + _times(rest, stage.depth - 1)
        rows.append(Part(part=str(number), output_size=size, **asdict(stage), **cost._asdict()))
    one = {"depth": 1, "stride": 1, "kernel": 1, **neutral}
    if head.width:
        cost = conv_cost(channels, head.width, 1, size)
        rows.append(Part(part="head", op="conv", width=head.width, output_size=size, **one, **cost._asdict()))
        channels = head.width
    weights = channels * head.num_classes
    cost = Cost(weights + head.num_classes, weights)
    rows.append(Part(part="classes", op="linear", width=head.num_classes, output_size=1, **one, **cost._asdict()))
    return rows
