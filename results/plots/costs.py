"""Why a training step is timed: what MACs or params say of it, and what a model that knows its parts predicts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from results.plots.style import BLACK, BLUE, VERMILION, axes_of, few_ticks, settle
from results.record import TrialResult
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Cost", "first_trials", "plot_calibration", "plot_costs"]

Cost = Literal["macs", "params"]
SHOWN: dict[Cost, tuple[str, float]] = {
    "macs": ("multiply-adds, forward, one image, millions", 1e6),
    "params": ("trainable parameters, thousands", 1e3),
}
FEWEST = 3


def first_trials(run: Run, device: str | None) -> list[TrialResult]:
    """One trial of each network."""
    return [trial for trial in run.ok_on(device) if not trial.repeat] if run.ok else []


def plot_costs(run: Run, *, against: Cost = "macs", ax: "Axes | None" = None, device: str | None = None) -> "Axes":
    """Measured step time ratio of each network, with its 95 % interval, against its MACs or params (logarithmic), and
    Kendall's tau between the two: 1 would mean that nothing need be timed."""
    axes = axes_of(ax)
    trials = first_trials(run, device)
    label, unit = SHOWN[against]
    costs = [getattr(trial, against) / unit for trial in trials]
    ratios = [trial.step_time_ratio or 0.0 for trial in trials]
    axes.errorbar(
        costs, ratios, yerr=_errors(trials), fmt="o", markersize=3.5, color=BLUE, ecolor=BLACK, elinewidth=0.6
    )
    title = f"{len(trials)} networks"
    if len(trials) >= FEWEST:
        from scipy.stats import kendalltau

        title += f"; Kendall's tau {kendalltau(costs, ratios).statistic:.2f}"
        few_ticks(axes, costs)
    settle(axes, title=title, x=label, y="step time, ratio to the reference", legend=False)
    return axes


def _errors(trials: Sequence[TrialResult]) -> list[list[float]] | None:
    low, high = [], []
    for trial in trials:
        ratio = trial.step_time_ratio or 0.0
        low.append(ratio - (trial.step_time_ratio_low or ratio))
        high.append((trial.step_time_ratio_high or ratio) - ratio)
    return [low, high] if trials else None


def plot_calibration(run: Run, *, ax: "Axes | None" = None, device: str | None = None) -> "Axes":
    """Step time ratio as it was predicted before each trial (with the prediction's interval) against the measured one;
    the line is where they are equal. Says so where nothing was predicted (no table was made: `nas measure
    --calibrate`)."""
    axes = axes_of(ax, shape=0.75)
    trials = [trial for trial in first_trials(run, device) if trial.step_time_predicted is not None]
    title = "no step time was predicted in this run"
    if trials:
        measured = np.array([trial.step_time_ratio or 0.0 for trial in trials])
        predicted = np.array([trial.step_time_predicted or 0.0 for trial in trials])
        below = predicted - np.array([trial.step_time_predicted_low or 0.0 for trial in trials])
        above = np.array([trial.step_time_predicted_high or 0.0 for trial in trials]) - predicted
        ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
        axes.plot(ends, ends, color=VERMILION, linewidth=1, linestyle="--", label="equal", zorder=3)
        axes.errorbar(
            measured,
            predicted,
            yerr=[below, above],
            fmt="o",
            markersize=3.5,
            color=BLUE,
            ecolor=BLACK,
            elinewidth=0.5,
            label="a network, with the prediction's interval",
        )
        error = float(np.median(np.abs(predicted / measured - 1)))
        title = f"{len(trials)} networks; median error {100 * error:.1f} %"
    else:
        axes.text(0.5, 0.5, "nas measure --calibrate makes the table", ha="center", transform=axes.transAxes)
    settle(
        axes,
        title=title,
        x="measured step time, ratio to the reference",
        y="predicted step time, ratio",
        loc="upper left",
    )
    return axes
