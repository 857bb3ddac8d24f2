"""`nas describe ARCH`."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from nas.cli.arch import NamedArch, find_arch
from nas.cli.console import print_json
from nas.text import printable
from results import text_table
from search_space.ops import Cost, block_cost, conv_cost, output_size
from search_space.spec import ArchSpec, check_integer

__all__ = ["Config", "Part", "parts", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """A network stage by stage: ops, output sizes, trainable parameters and multiply-adds (each counted once).

    Example: nas describe efficientnetv2_s --image-size 384
    """

    arch: Annotated[Positional[str], arg(metavar="ARCH")]
    """A name of the catalog, a JSON file, or RUN:TRIAL (a run and a trial's number)."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Side of the images in pixels; the network's own where not given."""
    num_classes: Annotated[int | None, arg(metavar="N")] = None
    """Classes of the classifier; the network's own where not given."""
    json: bool = False
    """One JSON document on stdout."""


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


def _document(named: NamedArch, arch: ArchSpec, image_size: int) -> dict[str, Any]:
    rows = parts(arch, image_size)
    cost = arch.cost(image_size)
    return {
        "name": named.name,
        "key": arch.key,
        "params": cost.params,
        "macs": cost.macs,
        "image_size": image_size,
        "num_classes": arch.head.num_classes,
        "num_layers": sum(stage.depth for stage in arch.stages),
        "short": str(arch),
        "stages": [asdict(row) for row in rows if row.part.isdigit()],
        "parts": [asdict(row) for row in rows],
        "arch": asdict(arch),
    }


def _text(document: dict[str, Any], rows: list[Part]) -> str:
    headers = ("part", "op", "kernel", "expansion", "width", "depth", "stride", "SE", "output", "params", "MACs")
    cells = [
        (
            row.part,
            row.op,
            str(row.kernel),
            str(row.expansion),
            str(row.width),
            str(row.depth),
            str(row.stride),
            f"{row.se_ratio:g}" if row.se_ratio else "-",
            f"{row.output_size}x{row.output_size}",
            f"{row.params:,}",
            f"{row.macs:,}",
        )
        for row in rows
    ]
    size = document["image_size"]
    return "\n".join(
        [
            f"{printable(document['name'])}: {document['params']:,} parameters, {document['macs']:,} multiply-adds at "
            f"{size}x{size}, {document['num_layers']} layers in {len(document['stages'])} stages, "
            f"{document['num_classes']} classes",
            f"key {document['key']}",
            document["short"],
            "",
            text_table(headers, cells, left=("part", "op")),
        ]
    )


def run(config: Config) -> int:
    """Print the network.

    Raises:
        ValueError: for no such network, or a size that is none.
    """
    named = find_arch(config.arch)
    arch = named.arch if config.num_classes is None else named.arch.with_num_classes(config.num_classes)
    image_size = named.image_size if config.image_size is None else config.image_size
    check_integer("describe", "image_size", image_size, 1, 1 << 14)
    document = _document(named, arch, image_size)
    if config.json:
        print_json(document)
    else:
        print(_text(document, parts(arch, image_size)))
    return 0
