"""`nas spaces`."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from nas.cli.console import print_json, short_count
from nas.text import printable
from results import text_table
from search_space import SPACES, Space, load_space
from search_space.ops import block_cost, conv_cost

__all__ = ["Config", "params_range", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The named search spaces; or one of them, or a file of your own, which is checked.

    Example: nas spaces my-space.yaml
    """

    space: Annotated[Positional[str | None], arg(metavar="[SPACE]")] = None
    """A named space, or a JSON or YAML file; all named spaces where not given."""
    yaml: bool = False
    """SPACE as a YAML file, to start one of your own from."""
    json: bool = False
    """One JSON document on stdout."""


def params_range(space: Space) -> tuple[int, int]:
    """Trainable parameters of the space's smallest and largest network: exact.

    A layer's parameters depend on the channels it meets and on nothing else before it, so the extremes are followed
    from stage to stage, for each number of channels on their own.
    """
    stem = conv_cost(3, space.stem.width, space.stem.kernel, 1).params
    ranges = {space.stem.width: (stem, stem)}
    for stage in space.stages:
        after: dict[int, tuple[int, int]] = {}
        for channels, (low, high) in ranges.items():
            found = [(channels, 0)] if 0 in stage.depth else []
            for op, kernel, expansion, se_ratio in stage.settings:
                for width in stage.width:
                    settings = (width, kernel, expansion)
                    first = block_cost(op, channels, *settings, stage.stride, se_ratio, 1).params
                    rest = block_cost(op, width, *settings, 1, se_ratio, 1).params
                    found += [(width, first + (depth - 1) * rest) for depth in stage.depth if depth]
            for width, params in found:
                known = after.get(width, (low + params, high + params))
                after[width] = (min(known[0], low + params), max(known[1], high + params))
        ranges = after
    totals = []
    for channels, extremes in ranges.items():
        head = conv_cost(channels, space.head.width, 1, 1).params if space.head.width else 0
        classifier = ((space.head.width or channels) + 1) * space.head.num_classes
        totals += [params + head + classifier for params in extremes]
    return min(totals), max(totals)


def _document(space: Space) -> dict[str, Any]:
    low, high = params_range(space)
    reference = space.reference
    return {
        "name": space.name,
        "size": space.size(),
        "num_stages": len(space.stages),
        "image_size": space.image_size,
        "batch_size": space.batch_size,
        "num_classes": space.head.num_classes,
        "params": [low, high],
        "reference": {
            "key": reference.key,
            "short": str(reference),
            "params": reference.params,
            "macs": reference.macs(space.image_size),
        },
        "decisions": [asdict(decision) for decision in space.decisions],
    }


def _overview(documents: list[dict[str, Any]]) -> str:
    headers = ("space", "networks", "stages", "decisions", "image size", "params", "reference: params", "MACs")
    cells = [
        (
            printable(document["name"]),
            f"{document['size']:.3g}" if document["size"] > 10**6 else f"{document['size']:,}",
            str(document["num_stages"]),
            str(len(document["decisions"])),
            f"{document['image_size']} px",
            " to ".join(map(short_count, document["params"])),
            short_count(document["reference"]["params"]),
            short_count(document["reference"]["macs"]),
        )
        for document in documents
    ]
    return text_table(headers, cells, left=("space",))


def _details(document: dict[str, Any]) -> str:
    lines = [_overview([document]), "", f"reference: {document['reference']['short']}", ""]
    cells = [(decision["name"], ", ".join(map(str, decision["values"]))) for decision in document["decisions"]]
    return "\n".join([*lines, text_table(("decision", "choices"), cells, left=("decision", "choices"))])


def _as_yaml(space: Space) -> str:
    import yaml

    return str(yaml.safe_dump(json.loads(space.to_json()), sort_keys=False, default_flow_style=None, width=120))


def run(config: Config) -> int:
    """Print the spaces.

    Raises:
        ValueError: for an unknown space, or a file that breaks a rule; each line names the field and the rule.
    """
    if config.yaml and (config.space is None or config.json):
        raise ValueError("--yaml takes a SPACE, and excludes --json")
    if config.space is not None and config.yaml:
        print(_as_yaml(load_space(config.space)), end="")
        return 0
    if config.space is not None:
        document = _document(load_space(config.space))
        if config.json:
            print_json(document)
        else:
            print(_details(document))
        return 0
    documents = [_document(load_space(name)) for name in SPACES]
    if config.json:
        print_json({"spaces": documents})
    else:
        print(_overview(documents))
        print("one in full, or a file of your own: nas spaces SPACE; as a file to start from: nas spaces SPACE --yaml")
    return 0
