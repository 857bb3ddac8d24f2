"""`nas describe ARCH`."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from nas.cli.arch import NamedArch, find_arch
from nas.cli.console import print_json
from nas.text import printable
from results import text_table
from search_space.spec import ArchSpec, check_integer
from search_space.stage_costs import HEADERS, Part, parts

__all__ = ["Config", "run"]


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
    size = document["image_size"]
    return "\n".join(
        [
            f"{printable(document['name'])}: {document['params']:,} parameters, {document['macs']:,} multiply-adds at "
            f"{size}x{size}, {document['num_layers']} layers in {len(document['stages'])} stages, "
            f"{document['num_classes']} classes",
            f"key {document['key']}",
            document["short"],
            "",
            text_table(HEADERS, [row.cells() for row in rows], left=("part", "op")),
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
