"""`nas pareto RUN`."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from nas.cli.console import print_json, print_note
from nas.cli.runs import open_run
from nas.text import printable
from results import Run, front_csv, front_rows, front_text

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The Pareto front of a run: the networks that no other beats in accuracy, step time and parameters at once.

    Example: nas pareto my-run --format csv > front.csv
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, or its name below runs/."""
    format: Literal["table", "csv", "json"] = "table"
    """How to print it."""
    json: bool = False
    """One JSON document on stdout; the same as --format json."""


def _document(opened: Run) -> dict[str, object]:
    return {
        "run": opened.folder.absolute().name,
        "objective": asdict(opened.objective),
        "limits": asdict(opened.limits),
        "num_trials": len(opened.trials),
        "num_by_status": dict(Counter(str(trial.status) for trial in opened.trials)),
        "hypervolume": opened.hypervolume(),
        "front": [row.to_dict() for row in front_rows(opened.front(), opened.objective)],
        "notes": list(opened.notes),
    }


def run(config: Config) -> int:
    """Print the front.

    Raises:
        ValueError: for no such run, a damaged one, or two formats at once.
    """
    if config.json and config.format == "csv":
        raise ValueError("--json and --format csv exclude each other")
    opened = open_run(config.run)
    for note in opened.notes:
        print_note(f"note: {note}")
    rows = front_rows(opened.front(), opened.objective)
    if config.json or config.format == "json":
        print_json(_document(opened))
    elif config.format == "csv":
        print(front_csv(rows), end="")
    else:
        name = printable(opened.folder.absolute().name)
        print(f"{name}: {len(opened.trials)} trials, {len(opened.ok)} measured in full, {len(rows)} on the front")
        if rows:
            print(front_text(rows))
            best = max(rows, key=lambda row: (row.reward, -row.trial))
            print(f"best reward: trial {best.trial}; see it with: nas describe {printable(config.run)}:{best.trial}")
    return 0
