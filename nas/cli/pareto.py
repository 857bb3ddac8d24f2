"""`nas pareto RUN`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from nas.cli.console import print_json, print_note
from nas.cli.fronts import fronts_document, fronts_text
from nas.cli.runs import open_run
from nas.text import printable
from results import Run, front_csv, front_rows

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The Pareto front of a run: the networks that no other beats in accuracy, step time and parameters at once.

    Step times of different devices do not compare: a run of several has a front for each.

    Example: nas pareto my-run --format csv > front.csv
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, or its name below runs/."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """Show the trials of one device only."""
    format: Literal["table", "csv", "json"] = "table"
    """How to print it."""
    json: bool = False
    """One JSON document on stdout; the same as --format json."""


def _document(opened: Run, devices: Sequence[str]) -> dict[str, object]:
    return {
        "run": opened.folder.absolute().name,
        "objective": asdict(opened.objective),
        "limits": asdict(opened.limits),
        "num_trials": len(opened.trials),
        "num_by_status": dict(Counter(str(trial.status) for trial in opened.trials)),
        "by_device": fronts_document(opened, devices),
        "notes": list(opened.notes),
    }


def run(config: Config) -> int:
    """Print the front.

    Raises:
        ValueError: for no such run or device, a damaged run, or two formats at once.
    """
    if config.json and config.format == "csv":
        raise ValueError("--json and --format csv exclude each other")
    opened = open_run(config.run)
    for note in opened.notes:
        print_note(f"note: {note}")
    devices = opened.devices if config.device is None else [config.device]
    fronts = [opened.front(device=device) for device in devices]
    if config.json or config.format == "json":
        print_json(_document(opened, devices))
    elif config.format == "csv":
        print(front_csv([row for front in fronts for row in front_rows(front, opened.objective)]), end="")
    else:
        name = printable(opened.folder.absolute().name)
        print(f"{name}: {fronts_text(opened, devices, shown_as=config.run)}")
    return 0
