"""The numbers that the page draws: networks and trials of each device, packed as columns and rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from results.networks import Network
from results.pareto import best_network, pareto_front
from results.record import TrialResult
from results.report.commands import commands
from results.store import Run
from results.tables import plain
from search_space.stage_costs import Part, parts

__all__ = ["report_data"]

FILE_IMAGE_SIZE = 224
"""Pixels, of a run that does not say its own: what `nas describe` takes then."""
ESTIMATES = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "step_time_ratio",
    "step_time_ratio_low",
    "step_time_ratio_high",
    "reward",
    "reward_low",
    "reward_high",
    "num_trainings",
    "confirmed",
    "p_best",
    "tied",
)
OF_FIRST_TRIAL = (
    "seconds",
    "step_time_s",
    "step_time_reference_s",
    "peak_memory_bytes",
    "max_batch_size",
)
OF_TRIAL = ("ended_s", "repeat", "step_time_ratio", "step_time_predicted")
NESTED = ("alone", "inherited")


class _Parts:
    """Parts of networks, each different one kept once: thousands of networks share them."""

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size
        self._numbers: dict[Part, int] = {}

    def numbers(self, network: Network) -> list[int]:
        return [self._numbers.setdefault(part, len(self._numbers)) for part in parts(network.arch, self._image_size)]

    def packed(self) -> dict[str, Any]:
        return _packed([vars(part) for part in self._numbers])


def report_data(run: Run, shown_as: str) -> dict[str, Any]:
    """Plain data for JSON, `shown_as` being what is typed for the run: floats to six digits, text without control
    signs."""
    size = run.config.get("image_size")
    known = size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else FILE_IMAGE_SIZE
    shared = _Parts(known)
    devices = [_device(run, device, shared) for device in run.devices]
    return {
        "commands": [command._asdict() for command in commands(run, shown_as)],
        "image_size": known,
        "devices": devices,
        "parts": shared.packed(),
    }


def _device(run: Run, device: str, shared: _Parts) -> dict[str, Any]:
    found = run.networks(device=device)
    trials = run.ok_on(device)
    by_index = {trial.index: trial for trial in trials}
    front = {network.trial for network in pareto_front(found)}
    best = best_network(found)
    return {
        "name": plain(device),
        "networks": _packed(
            [
                _network(network, by_index[network.trial], shared)
                | {"front": network.trial in front, "best": network is best}
                for network in found
            ]
        ),
        "trials": _packed([_trial(run, trial) for trial in trials]),
    }


def _network(network: Network, first: TrialResult, shared: _Parts) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(network, name) for name in ("trial", "params", "macs")}
    row |= {name: getattr(network, name) for name in ESTIMATES}
    row |= {name: getattr(first, name) for name in OF_FIRST_TRIAL}
    row |= {"key": network.key[:12], "short": str(network.arch), "parts": shared.numbers(network)}
    for kind in NESTED:
        nested = getattr(network, kind)
        row |= {f"{kind}_{name}": getattr(nested, name, None) for name in ESTIMATES}
    return row


def _trial(run: Run, trial: TrialResult) -> dict[str, Any]:
    row = {name: getattr(trial, name) for name in OF_TRIAL}
    reward, allowed = run.objective.reward(trial), run.limits.allow(trial)
    return {"trial": trial.index, "weights": str(trial.weights), "reward": reward, "allowed": allowed} | row


def _packed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows of the same names, these said once; a column without any value is left out."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] is not None for row in rows)]
    return {"columns": names, "rows": [[_short(row[name]) for name in names] for row in rows]}


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value
