"""The fronts of a run as commands show them: one a device, since step times of different devices do not compare."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.text import printable
from results import (
    Network,
    Objective,
    Run,
    alone_text,
    best_network,
    best_text,
    by_device,
    front_text,
    hypervolume,
    pareto_front,
)

__all__ = ["fronts_document", "fronts_text"]

Found = Mapping[str, Sequence[Network]]


def fronts_document(run: Run, found: Found, objective: Objective) -> dict[str, Any]:
    """Plain data for JSON: what was found on each device, `found` being the networks of each."""
    groups = by_device(run.trials)
    return {
        device: {"num_ok": len(groups[device])} | _found_on(networks, objective) for device, networks in found.items()
    }


def _found_on(networks: Sequence[Network], objective: Objective) -> dict[str, Any]:
    best = best_network(networks)
    confirmed = sorted((one for one in networks if one.final.confirmed), key=lambda one: (-one.final.reward, one.trial))
    return {
        "best": best.trial if best else None,
        "hypervolume": hypervolume(networks, objective.reference_params),
        "front": [network.to_dict() for network in pareto_front(networks)],
        "confirmed": [network.to_dict() for network in confirmed],
    }


def fronts_text(run: Run, found: Found, *, shown_as: str) -> str:
    """How many trials there are, then a table for each device of `found`, under its name where the run has several.

    Args:
        found: the networks of each device.
        shown_as: what a user types for the run.
    """
    fronts = {device: pareto_front(networks) for device, networks in found.items()}
    counts = f"{len(run.trials)} trials, {len(run.ok)} measured in full"
    groups = by_device(run.trials)
    is_split = len(groups) > 1
    if is_split:
        counts += f" on {len(groups)} devices; step times of different devices do not compare: a front for each"
    else:
        counts += f", {sum(len(front) for front in fronts.values())} on the front"
    lines = [counts]
    for device, front in fronts.items():
        if is_split:
            lines += ["", f"{printable(device)}: {len(groups[device])} measured in full, {len(front)} on the front"]
        best = best_network(found[device])
        if best is None:
            lines.append("no network keeps to the limits")
            continue
        lines.append(front_text(front))
        if alone := alone_text(found[device]):
            lines += ["", "trained alone, best first:", alone]
        lines.append(best_text(found[device]))
        lines.append(f"see it with: nas describe {printable(shown_as)}:{best.trial}")
    return "\n".join(lines)
