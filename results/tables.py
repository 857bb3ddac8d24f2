"""Networks as a table, as CSV, and in words; and a run in a few figures."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from results.devices import by_device
from results.limits import Limits
from results.networks import Network, networks
from results.pareto import best_network, hypervolume, pareto_front
from results.record import TrialResult, TrialStatus
from results.reward import Objective
from search_space.spec import ArchSpec

__all__ = [
    "alone_text",
    "best_text",
    "csv_text",
    "front_columns",
    "front_csv",
    "front_text",
    "plain",
    "summarize",
    "text_table",
]

MAX_TOLD = 5
NESTED = ("alone", "inherited")
TRAINED = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "step_time_ratio",
    "reward",
    "reward_low",
    "reward_high",
    "num_trainings",
    "p_best",
    "tied",
)
"""What CSV holds of a network's trainings alone."""


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, left: Iterable[str] = ()) -> str:
    """Columns under their headers, right-aligned but for those named in `left`. Lines are not cut to a terminal."""
    cells = [tuple(headers), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    is_left = [header in set(left) for header in headers]
    lines = []
    for row in cells:
        columns = zip(row, widths, is_left, strict=True)
        aligned = (cell.ljust(width) if to_left else cell.rjust(width) for cell, width, to_left in columns)
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _half(value: float, low: float | None, high: float | None) -> float | None:
    """The wider half of an interval; None where it is not known."""
    return None if low is None or high is None else max(value - low, high - value)


def _accuracy_text(network: Network) -> str:
    half = _half(network.accuracy, network.accuracy_low, network.accuracy_high)
    return f"{100 * network.accuracy:.1f} %" + ("" if half is None else f" +- {100 * half:.1f}")


def _reward_text(network: Network) -> str:
    half = _half(network.reward, network.reward_low, network.reward_high)
    return f"{network.reward:.4f}" + ("" if half is None else f" +- {half:.4f}")


def _confirmed_text(network: Network) -> str:
    return f"{network.num_trainings} x" if network.confirmed else "-"


def _p_best_text(network: Network) -> str:
    if network.p_best is None:
        return "-"
    return "<0.01" if network.p_best < 0.01 else ">0.99" if network.p_best > 0.99 else f"{network.p_best:.2f}"


def front_columns(front: Sequence[Network]) -> dict[str, list[str]]:
    """Networks as text, by column; "+-" is the wider half of a 95 % interval. How often each was trained to be
    confirmed, and its probability to be the best, are columns where any is confirmed."""
    columns = {
        "trial": [str(network.trial) for network in front],
        "accuracy": [_accuracy_text(network) for network in front],
        "step time": [f"{network.step_time_ratio:.3f} x" for network in front],
        "params": [f"{network.params / 1e6:.3f} M" for network in front],
        "MACs": [f"{network.macs / 1e6:.2f} M" for network in front],
        "reward": [_reward_text(network) for network in front],
    }
    if any(network.confirmed for network in front):
        columns["confirmed"] = [_confirmed_text(network) for network in front]
        columns["P(best)"] = [_p_best_text(network) for network in front]
    columns["network"] = [str(network.arch) for network in front]
    return columns


def front_text(front: Sequence[Network]) -> str:
    """A table to read, of `front_columns`."""
    columns = front_columns(front)
    return text_table(tuple(columns), zip(*columns.values(), strict=True), left=("network",))


def alone_text(networks: Iterable[Network]) -> str:
    """A table of the networks that were trained alone after a supernet had judged them, best first; no text where none
    was."""
    trained = sorted((one for one in networks if one.alone), key=lambda one: _by_reward(one.final))
    if not trained:
        return ""
    columns = {
        "trial": [str(one.trial) for one in trained],
        "by the supernet": [_accuracy_text(one) for one in trained],
        "trained alone": [_accuracy_text(one.final) for one in trained],
        "from its weights": [_accuracy_text(one.inherited) if one.inherited else "-" for one in trained],
        "step time": [f"{one.final.step_time_ratio:.3f} x" for one in trained],
        "params": [f"{one.params / 1e6:.3f} M" for one in trained],
        "reward alone": [_reward_text(one.final) for one in trained],
        "confirmed": [_confirmed_text(one.final) for one in trained],
        "P(best)": [_p_best_text(one.final) for one in trained],
    }
    return text_table(tuple(columns), zip(*columns.values(), strict=True))


def best_text(networks: Sequence[Network]) -> str:
    """Which network has the best reward and how far that can be trusted, in one to four lines; no text where there is
    none."""
    best = best_network(networks)
    if best is None:
        return ""
    if not best.final.confirmed:
        return f"best reward: trial {best.trial}, not confirmed: the ranking rests on one accuracy of each network"
    if best.alone is not None:
        return _best_alone_text(best, networks)
    tied = sorted((one for one in networks if one.tied), key=_by_reward)
    lines = [_tied_text(tied) if tied else _confirmed_best_text(best, networks)]
    on_front = {network.trial for network in pareto_front(networks)}
    if off := [str(one.trial) for one in tied or [best] if one.trial not in on_front]:
        lines.append(f"not on the front: {_listed(off)}")
    above = sorted((one for one in networks if one.reward > best.reward), key=_by_reward)
    if above:
        told = _listed([f"{one.trial} ({one.reward:.4f})" for one in above])
        lines.append(f"trained once and not confirmed, of a higher reward: {told}")
    return "\n".join(lines)


def _best_alone_text(best: Network, networks: Sequence[Network]) -> str:
    alone = [one.alone for one in networks if one.alone]
    tied = sorted((one for one in alone if one.tied), key=_by_reward)
    lines = [f"{_tied_text(tied) if tied else _confirmed_best_text(best.final, alone)}; trained alone"]
    inherited = [one.inherited for one in networks if one.inherited]
    if inherited:
        first = min(inherited, key=_by_reward)
        lines.append(f"from the supernet's weights the best reward is trial {first.trial}'s ({first.reward:.4f})")
    judged = min(networks, key=_by_reward)
    lines.append(f"by the supernet's accuracy it is trial {judged.trial}'s ({judged.reward:.4f})")
    return "\n".join(lines)


def _by_reward(network: Network) -> tuple[float, int]:
    return -network.reward, network.trial


def _listed(trials: Sequence[str]) -> str:
    more = f" and {len(trials) - MAX_TOLD} more" if len(trials) > MAX_TOLD else ""
    return f"{'trial' if len(trials) == 1 else 'trials'} {', '.join(trials[:MAX_TOLD])}{more}"


def _tied_text(tied: Sequence[Network]) -> str:
    first, *others = tied
    told = [f"{first.trial} (P(best) {_p_best_text(first)})", *(f"{one.trial} ({_p_best_text(one)})" for one in others)]
    return f"tied for the best reward (95 %): {_listed(told)}"


def _confirmed_best_text(best: Network, networks: Sequence[Network]) -> str:
    trainings = "1 training" if best.num_trainings == 1 else f"{best.num_trainings} trainings"
    text = f"best reward: trial {best.trial}, confirmed by {trainings}"
    if best.p_best is not None:
        return f"{text}, P(best) {_p_best_text(best)}"
    if sum(one.confirmed for one in networks) == 1:
        return f"{text}; no other network is confirmed"
    return f"{text}, and no network by more: how far trainings differ is not known"


def front_csv(networks: Iterable[Network]) -> str:
    """CSV with a header, a line a network; what trainings alone say of one that a supernet judged has columns of its
    own. Text has no control signs, and a quote before it where it begins with neither a letter nor a digit, so that no
    cell can be a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [field.name for field in fields(Network) if field.name not in NESTED]
    networks = list(networks)
    nested = [name for name in NESTED if any(getattr(network, name) for network in networks)]
    writer.writerow([*names, *(f"{kind}_{name}" for kind in nested for name in TRAINED)])
    for network in networks:
        trained = (getattr(getattr(network, kind), name, None) for kind in nested for name in TRAINED)
        writer.writerow([*(_cell(getattr(network, name)) for name in names), *trained])
    return file.getvalue()


def plain(text: object) -> str:
    """`text` without control signs: what comes from a record may move a cursor, or hide what it says."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))


def csv_text(text: str) -> str:
    """`text` for a cell of CSV: plain, and a quote before it where it begins with neither a letter nor a digit, so that
    it can be no formula."""
    text = plain(text)
    return text if text[:1].isalnum() else f"'{text}"


def _cell(value: object) -> object:
    return csv_text(str(value)) if isinstance(value, str | ArchSpec) else value


def summarize(trials: Sequence[TrialResult], objective: Objective, limits: Limits | None = None) -> dict[str, Any]:
    """A run in a few figures, as plain data: how many trials ended how, what they cost, and for each device the best
    network, those that are tied with it, the front and its hypervolume."""
    counts = {str(status): sum(trial.status is status for trial in trials) for status in TrialStatus}
    return {
        "num_trials": len(trials),
        "num_by_status": {status: count for status, count in counts.items() if count},
        "device_seconds": sum(trial.device_seconds for trial in trials),
        "last_ended_s": max((trial.ended_s for trial in trials), default=0.0),
        "by_device": {device: _summarize_ok(ok, objective, limits) for device, ok in by_device(trials).items()},
    }


def _summarize_ok(trials: Sequence[TrialResult], objective: Objective, limits: Limits | None) -> dict[str, Any]:
    found = networks(trials, objective, limits)
    best = best_network(found)
    return {
        "num_ok": len(trials),
        "num_confirmed": sum(network.final.confirmed for network in found),
        "best": best.to_dict() if best else None,
        "tied": [network.trial for network in found if network.final.tied],
        "front": [network.trial for network in pareto_front(found)],
        "hypervolume": hypervolume(found, objective.reference_params),
    }
