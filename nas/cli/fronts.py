"""The fronts of a run as commands show them: one a device, since step times of different devices do not compare."""

from collections.abc import Sequence
from typing import Any

from nas.text import printable
from results import Run, by_device, front_rows, front_text

__all__ = ["fronts_document", "fronts_text"]


def fronts_document(run: Run, devices: Sequence[str]) -> dict[str, Any]:
    """Plain data for JSON: what was found on each of `devices`."""
    return {device: _found_on(run, device) for device in devices}


def _found_on(run: Run, device: str) -> dict[str, Any]:
    best = run.best(device=device)
    return {
        "num_ok": len(by_device(run.trials)[device]),
        "best": best.index if best else None,
        "hypervolume": run.hypervolume(device=device),
        "front": [row.to_dict() for row in front_rows(run.front(device=device), run.objective)],
    }


def fronts_text(run: Run, devices: Sequence[str], *, shown_as: str) -> str:
    """How many trials there are, then a table for each of `devices`, under its name where the run has several.

    Args:
        shown_as: what a user types for the run.
    """
    fronts = {device: front_rows(run.front(device=device), run.objective) for device in devices}
    counts = f"{len(run.trials)} trials, {len(run.ok)} measured in full"
    groups = by_device(run.trials)
    is_split = len(groups) > 1
    if is_split:
        counts += f" on {len(groups)} devices; step times of different devices do not compare: a front for each"
    else:
        counts += f", {sum(len(rows) for rows in fronts.values())} on the front"
    lines = [counts]
    for device, rows in fronts.items():
        if is_split:
            lines += ["", f"{printable(device)}: {len(groups[device])} measured in full, {len(rows)} on the front"]
        lines.append(front_text(rows) if rows else "no network keeps to the limits")
        best = run.best(device=device)
        if best is not None:
            trial = f"{printable(shown_as)}:{best.index}"
            lines.append(f"best reward: trial {best.index}; see it with: nas describe {trial}")
    return "\n".join(lines)
