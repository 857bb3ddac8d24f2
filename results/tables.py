"""A front as rows: for a terminal, as CSV, as JSON; and a run in a few figures."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from results.devices import by_device
from results.pareto import Limits, accuracy_interval, hypervolume, pareto_front
from results.record import TrialResult, TrialStatus
from results.reward import Objective
from results.store import best_trial
from search_space.spec import ArchSpec

__all__ = ["FrontRow", "front_csv", "front_rows", "front_text", "summarize", "text_table"]


@dataclass(frozen=True, kw_only=True)
class FrontRow:
    """One network of a front. Accuracies are shares, their interval Wilson's of 95 %; step times are ratios to the
    reference network; MACs are at the train size."""

    trial: int
    device: str
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    step_time_ratio: float
    step_time_ratio_low: float | None
    step_time_ratio_high: float | None
    params: int
    macs: int
    reward: float
    seed: int
    key: str
    arch: ArchSpec

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def front_rows(front: Iterable[TrialResult], objective: Objective) -> list[FrontRow]:
    """One row a trial, in the order given; each must have the status `ok`."""
    rows = []
    for trial in front:
        reward = objective.reward(trial)
        assert trial.accuracy is not None, "a trial with a reward has an accuracy"
        assert trial.step_time_ratio is not None, "a trial with a reward has a step time"
        low, high = accuracy_interval(trial) or (None, None)
        rows.append(
            FrontRow(
                trial=trial.index,
                device=trial.device,
                accuracy=trial.accuracy,
                accuracy_low=low,
                accuracy_high=high,
                step_time_ratio=trial.step_time_ratio,
                step_time_ratio_low=trial.step_time_ratio_low,
                step_time_ratio_high=trial.step_time_ratio_high,
                params=trial.params,
                macs=trial.macs,
                reward=reward,
                seed=trial.seed,
                key=trial.key,
                arch=trial.arch,
            )
        )
    return rows


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


def _accuracy_text(row: FrontRow) -> str:
    share = f"{100 * row.accuracy:.1f} %"
    if row.accuracy_low is None or row.accuracy_high is None:
        return share
    half = max(row.accuracy - row.accuracy_low, row.accuracy_high - row.accuracy)
    return f"{share} +- {100 * half:.1f}"


def front_text(rows: Sequence[FrontRow]) -> str:
    """A table to read; "+-" is the wider half of Wilson's 95 % interval over the held-out images."""
    headers = ("trial", "accuracy", "step time", "params", "MACs", "reward", "network")
    cells = [
        (
            str(row.trial),
            _accuracy_text(row),
            f"{row.step_time_ratio:.3f} x",
            f"{row.params / 1e6:.3f} M",
            f"{row.macs / 1e6:.2f} M",
            f"{row.reward:.4f}",
            str(row.arch),
        )
        for row in rows
    ]
    return text_table(headers, cells, left=("network",))


def front_csv(rows: Sequence[FrontRow]) -> str:
    """CSV with a header, a line a row. Text has no control signs, and a quote before it where it begins with neither a
    letter nor a digit, so that no cell can be a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [field.name for field in fields(FrontRow)]
    writer.writerow(names)
    for row in rows:
        writer.writerow(_cell(getattr(row, name)) for name in names)
    return file.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str | ArchSpec):
        return value
    text = "".join(sign if sign.isprintable() else "?" for sign in str(value))
    return text if text[:1].isalnum() else f"'{text}"


def summarize(trials: Sequence[TrialResult], objective: Objective, limits: Limits | None = None) -> dict[str, Any]:
    """A run in a few figures, as plain data: how many trials ended how, what they cost, and for each device the best
    trial, the front and its hypervolume."""
    counts = {str(status): sum(trial.status is status for trial in trials) for status in TrialStatus}
    return {
        "num_trials": len(trials),
        "num_by_status": {status: count for status, count in counts.items() if count},
        "device_seconds": sum(trial.device_seconds for trial in trials),
        "last_ended_s": max((trial.ended_s for trial in trials), default=0.0),
        "by_device": {device: _summarize_ok(ok, objective, limits) for device, ok in by_device(trials).items()},
    }


def _summarize_ok(trials: Sequence[TrialResult], objective: Objective, limits: Limits | None) -> dict[str, Any]:
    best = best_trial(trials, objective, limits)
    return {
        "num_ok": len(trials),
        "best": front_rows([best], objective)[0].to_dict() if best else None,
        "front": [trial.index for trial in pareto_front(trials, limits)],
        "hypervolume": hypervolume(trials, objective.reference_params),
    }
