"""Under which conditions runs were made: which must be the same for two to compare, and in what else they differ."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from results.durable import RunError
from results.record import Weights
from results.tables import plain
from search_space.files import parse_json
from search_space.space import Space
from search_space.spec import ArchSpec

if TYPE_CHECKING:
    from results.store import Run

__all__ = ["check_comparable", "common_device", "other_settings"]

PER_PLACE = ("data", "data_root", "download", "address")
"""Fields of a search that say where it ran, not what it did."""
MAX_SHOWN = 80


def check_comparable(a: "Run", b: "Run") -> None:
    """Raise ValueError where data, image size, batch size, dtype, reference network or kind of accuracy differ."""
    of_a, of_b = _conditions(a), _conditions(b)
    against = [f"{name} {of_a[name][1]} and {of_b[name][1]}" for name in of_a if of_a[name][0] != of_b[name][0]]
    if against:
        raise ValueError(f"runs must be of the same conditions to be compared, got {'; '.join(against)}")


def _conditions(run: "Run") -> dict[str, tuple[object, str]]:
    """What must be the same, and how it is told."""
    space = run.config.get("space")
    data, compute = (run.config[part] if isinstance(run.config.get(part), dict) else {} for part in ("data", "compute"))
    accuracy = _kind_of_accuracy(run)
    reference = None if space is None else _reference(run)
    return {
        "data": (data.get("fingerprint"), _shown(data.get("summary"))),
        **{name: (value := run.config.get(name), _shown(value)) for name in ("image_size", "batch_size")},
        "dtype": (compute.get("dtype"), _shown(compute.get("dtype"))),
        "reference network": (
            (run.objective.reference_params, reference and reference.key),
            f"{reference or 'unknown'} ({run.objective.reference_params:,} parameters)",
        ),
        "accuracy": (accuracy, f"of {accuracy} weights"),
    }


def _kind_of_accuracy(run: "Run") -> Weights:
    """Whether a search's short trainings began with random weights or a supernet's, or there were none."""
    if run.config.get("supernet") is None:
        return Weights.OWN
    return Weights.INHERITED if run.config.get("train_steps") else Weights.SUPERNET


def _reference(run: "Run") -> ArchSpec:
    try:
        return parse_json(Space, json.dumps(run.config["space"])).reference
    except ValueError as error:
        raise RunError(f"{run.folder / 'config.json'}: space: {error}") from None


def common_device(a: "Run", b: "Run", asked: str | None) -> str:
    """The device that both have trials of (and that is `asked`, where one is); ValueError where it is not one."""
    common = [device for device in a.devices if device in b.devices and asked in (None, device)]
    if len(common) == 1:
        return common[0]
    rule = "choose one with device" if common else "step times of different devices do not compare"
    of_a, of_b = (", ".join(map(repr, run.devices)) or "none" for run in (a, b))
    told = "" if asked is None else f" for device {asked!r}"
    raise ValueError(f"runs must have one device in common to be compared ({rule}), got {of_a} and {of_b}{told}")


def other_settings(a: "Run", b: "Run") -> Iterator[tuple[str, str, str]]:
    """What else differs in the two records: (name, of a, of b)."""
    of_a, of_b = (dict(_recorded(run.config)) for run in (a, b))
    for name in dict.fromkeys([*of_a, *of_b]):
        if of_a.get(name) != of_b.get(name):
            yield plain(name), _shown(of_a.get(name)), _shown(of_b.get(name))


def _recorded(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a run was made with, by name."""
    yield "train_steps", config.get("train_steps")
    environment = config.get("environment")
    parts = {
        "search": config.get("search"),
        "compute": config.get("compute"),
        "version of": environment.get("versions") if isinstance(environment, dict) else None,
    }
    for part, values in parts.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            if name not in PER_PLACE:
                yield name if part == "search" else f"{part} {name}", value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
