"""`nas report RUN`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from nas.cli.console import print_json, print_note
from nas.cli.runs import open_run
from nas.text import printable
from results.objects import is_url

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """A search as one HTML file that opens in any browser and needs no network: the answer, what was asked, the front
    to point at and to click, each network with its drawing, its numbers and the command that trains it, tables to
    sort, curves, failures, environment. Also of a search that is going on.

    Example: nas report my-run --html my-run.html
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, its name below runs/, or the URL of a mirror."""
    html: Annotated[Path | None, arg(metavar="FILE")] = None
    """Where it is written. Only a report is overwritten there. Where not given, report.html in the run's folder; of a
    mirror NAME.html here."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Write it, and print where it lies.

    Raises:
        ValueError: for no such run, a damaged run, or a FILE that is something else.
    """
    from results.report import default_path, write_report

    opened = open_run(config.run)
    for note in opened.notes:
        print_note(f"note: {note}")
    path = config.html or (Path(f"{opened.folder.name}.html") if is_url(config.run) else default_path(opened))
    num_bytes = write_report(opened, path, config.run)
    if config.json:
        document = {"run": opened.folder.absolute().name, "html": str(path), "num_bytes": num_bytes}
        print_json({**document, "num_trials": len(opened.trials), "notes": list(opened.notes)})
    else:
        print(f"{printable(str(path))}: {num_bytes / 1e6:.2f} MB, {len(opened.trials)} trials; open it in a browser")
    return 0
