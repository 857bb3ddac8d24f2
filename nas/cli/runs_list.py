"""`nas runs [FOLDER]`."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from nas.cli.console import print_json
from nas.cli.listed import Listed, list_runs
from nas.cli.runs import RUNS
from nas.duration import UNITS, told
from nas.text import printable
from results import text_table

__all__ = ["Config", "run"]

HEADERS = ("run", "state", "trials", "best", "written", "size", "kind", "why", "network")
LEFT = ("run", "state", "kind", "why", "network")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Runs, the last written first: searches, validations, trainings, supernets, families; which are running, which
    have ended and why, and the best that each has found.

    Example: nas runs

    A training's best is its accuracy: on test images where it has ended, on held-out ones before.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")] = RUNS
    """Where they lie."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Print the list; a run that is damaged is one of it.

    Raises:
        ValueError: for no such folder.
    """
    folder = config.folder
    if not folder.is_dir() and folder != RUNS:
        raise ValueError(f"FOLDER must be a folder, got {str(folder)!r}")
    found = list_runs(folder) if folder.is_dir() else []
    if config.json:
        print_json({"folder": str(folder), "runs": [asdict(each) for each in found]})
    elif not found:
        print(f"{printable(folder)} holds no run")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(_text(found, now=time.time(), width=width))
    return 0


def _text(found: Sequence[Listed], *, now: float, width: int | None) -> str:
    """A table, what counts most on the left: a terminal of so many columns (None: no terminal) cuts its lines."""
    rows = [
        (
            printable(each.name),
            each.state,
            "-" if each.num_trials is None else str(each.num_trials),
            _best(each),
            f"{_age(now - each.changed)} ago",
            _size(each.num_bytes),
            each.kind or "-",
            printable(each.reason or "-"),
            printable(each.network or "-"),
        )
        for each in found
    ]
    lines = text_table(HEADERS, rows, left=LEFT).splitlines()
    return "\n".join(line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def _best(listed: Listed) -> str:
    if listed.reward is not None:
        return f"reward {listed.reward:.4f}"
    return "-" if listed.accuracy is None else f"{100 * listed.accuracy:.2f} %"


def _age(seconds: float) -> str:
    days = seconds / UNITS["d"]
    return f"{days:.0f}d" if days >= 2 else told(round(max(seconds, 0.0)))


def _size(num_bytes: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 1024:.0f} KiB"
