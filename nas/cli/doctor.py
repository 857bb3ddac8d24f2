"""`nas doctor`."""

from collections import Counter
from dataclasses import asdict, dataclass

from nas.cli.console import print_json
from nas.cli.health import checks
from nas.text import printable

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Check this installation and this machine: versions, device, threads, disk, memory, open files, loopback, and
    that the five packages are this project's. Exit code 1 where something must be mended.

    Example: nas doctor
    """

    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Print every check and what to do; 1 where there is a problem."""
    made = []
    for check in checks():
        made.append(check)
        if not config.json:
            print(f"{check.status:<8} {check.name}: {printable(check.value)}", flush=True)
            if check.advice:
                print(f"{'':<8} -> {check.advice}")
    counts = Counter(check.status for check in made)
    worst = "problem" if counts["problem"] else "warning" if counts["warning"] else "ok"
    if config.json:
        print_json({"status": worst, "checks": [asdict(check) for check in made]})
    else:
        print(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems")
    return 1 if worst == "problem" else 0
