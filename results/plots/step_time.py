"""Step time against what stands for it elsewhere, and against what was predicted of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from results.networks import Network
from results.plots.source import Source, trials_on
from results.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    MANY,
    VERMILION,
    caption,
    count_unit,
    empty,
    errors,
    finish,
    log_scale,
    marker_area,
    new_axes,
    plain,
)
from results.record import TrialResult
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Against", "plot_step_time", "plot_step_time_model"]

Against = Literal["macs", "params"]
NAMES: dict[Against, str] = {"macs": "MACs of one image", "params": "parameters"}
ALIKE = 1.05
"""Counts within this factor are called alike."""


class Pair(NamedTuple):
    """Two networks of like counts whose step times differ most."""

    slow: Network
    fast: Network

    @property
    def times(self) -> float:
        return self.slow.step_time_ratio / self.fast.step_time_ratio


def widest_pair(networks: Sequence[Network], against: Against) -> Pair | None:
    """Of the networks whose counts are within `ALIKE`, the two whose step times differ most; None for under two."""
    ordered = sorted(networks, key=lambda one: getattr(one, against))
    counts = np.array([getattr(one, against) for one in ordered], dtype=np.float64)
    found: Pair | None = None
    for first, end in enumerate(np.searchsorted(counts, ALIKE * counts, side="right")):
        near = ordered[first:end]
        pair = Pair(max(near, key=_time), min(near, key=_time))
        if len(near) > 1 and (found is None or pair.times > found.times):
            found = pair
    return found


def _time(network: Network) -> float:
    return network.step_time_ratio


def agreement(networks: Sequence[Network], against: Against) -> str:
    """How well the count ranks the networks by step time: Kendall's tau."""
    from scipy.stats import kendalltau

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal values alone there is no tau: it is NaN
        tau = float(kendalltau([getattr(one, against) for one in networks], [_time(one) for one in networks]).statistic)
    name = "MACs" if against == "macs" else "parameters"
    return "" if np.isnan(tau) else f"{name} rank step times with Kendall's tau {tau:.2f} (1: same order, 0: none)"


def plot_step_time(
    what: Run | Iterable[Network], *, ax: Axes | None = None, against: Against = "macs", device: str | None = None
) -> Axes:
    """Measured step time against MACs or parameters: why one measures. The two networks of like counts (5 %) that
    differ most are joined.

    Args:
        what: a run, or networks of one device.
        ax: axes to draw in; of a new figure where not given.
        against: `macs` (of one image's forward pass at the train size) or `params`.
        device: of a run of several, the one to draw.

    Raises:
        RunError: for a device that the run does not have, or None where it has several.
        ValueError: for networks of several devices, or another `against`.
    """
    if against not in get_args(Against):
        raise ValueError(f"against must be one of {', '.join(get_args(Against))}, got {against!r}")
    source, ax = Source.find(what, device), new_axes(ax)
    networks = source.networks
    unit = count_unit(max((getattr(one, against) for one in networks), default=0))
    ax.set_xlabel(f"{NAMES[against]}, {unit.name}")
    ax.set_ylabel("step time, times the reference's")
    if not networks:
        return empty(ax, source.nothing)
    places, times = [getattr(one, against) / unit.size for one in networks], [_time(one) for one in networks]
    many = len(networks) > MANY
    if not many:
        lows, highs = (one.step_time_ratio_low for one in networks), (one.step_time_ratio_high for one in networks)
        ax.errorbar(places, times, yerr=errors(times, lows, highs), fmt="none", ecolor=FAINT, elinewidth=0.7, alpha=0.7)
    ax.scatter(
        places,
        times,
        s=0.5 * marker_area(),
        color=BLUE,
        alpha=0.3 if many else 0.8,
        rasterized=many,
        label=f"a network ({len(networks)}); bar: 95 %",
        zorder=3,
    )
    log_scale(ax, "x", np.array(places))
    log_scale(ax, "y", np.array(times))
    pair = widest_pair(networks, against)
    if pair is not None and pair.times > 1:
        ax.plot(
            [getattr(one, against) / unit.size for one in pair],
            [_time(one) for one in pair],
            color=VERMILION,
            marker="s",
            markerfacecolor="none",
            label=f"counts within 5 %: {pair.times:.2f} times as slow",
            zorder=4,
        )
    caption(
        ax, "; ".join(part for part in (plain(source.of), agreement(networks, against), source.missing_text) if part)
    )
    return finish(ax)


def plot_step_time_model(
    what: Run | Iterable[TrialResult], *, ax: Axes | None = None, device: str | None = None
) -> Axes:
    """Calibration of the model of step times: what it predicted before anything of a trial was run, with its 95 %
    interval, against what was measured. Where the interval misses what was measured the mark is a hollow square.

    Args:
        what: a run, or trials of one.
        ax: axes to draw in; of a new figure where not given.
        device: of a run of several, the one to draw.

    Raises:
        RunError: for a device that the run does not have, or None where it has several.
    """
    if isinstance(what, Run):
        what.networks(device=device)  # refuses what step times of several devices would be mixed in
    trials = trials_on(what, device) if isinstance(what, Run) else list(what)
    # A network that is trained anew was measured before: no prediction is news of it.
    known = [trial for trial in trials if trial.step_time_predicted and trial.step_time_ratio and not trial.repeat]
    ax = new_axes(ax)
    ax.set_xlabel("measured step time, times the reference's")
    ax.set_ylabel("predicted, times the reference's")
    if not known:
        return empty(ax, "no step time was predicted: there was no calibration of the space on this device")
    measured = np.array([trial.step_time_ratio for trial in known], dtype=np.float64)
    predicted = np.array([trial.step_time_predicted for trial in known], dtype=np.float64)
    lows = np.array([trial.step_time_predicted_low for trial in known], dtype=np.float64)
    highs = np.array([trial.step_time_predicted_high for trial in known], dtype=np.float64)
    bars = errors(
        measured.tolist(),
        (trial.step_time_ratio_low for trial in known),
        (trial.step_time_ratio_high for trial in known),
    )
    held = (lows <= measured) & (measured <= highs)
    ends = [0.95 * min(measured.min(), lows.min()), 1.05 * max(measured.max(), highs.max())]
    ax.plot(ends, ends, color=BLACK, linewidth=0.8, linestyle=(0, (4, 2)), label="predicted = measured")
    for kept, colour, marker, label in (
        (held, BLUE, "o", "interval holds the measured"),
        (~held, VERMILION, "s", "interval misses it"),
    ):
        if kept.any():
            ax.errorbar(
                measured[kept],
                predicted[kept],
                xerr=bars[:, kept],
                yerr=[(predicted - lows)[kept], (highs - predicted)[kept]],
                fmt=marker,
                color=colour,
                markerfacecolor=colour if marker == "o" else "white",
                elinewidth=0.8,
                markersize=0.7 * marker_area() ** 0.5,
                label=f"{label} ({kept.sum()})",
                rasterized=len(known) > MANY,
            )
    log_scale(ax, "x", measured)
    log_scale(ax, "y", predicted)
    error = float(np.median(np.abs(predicted / measured - 1)))
    caption(
        ax,
        f"the 95 % interval holds {held.sum()} of {len(known)} ({100 * held.mean():.0f} %); "
        f"median error {100 * error:.1f} %",
    )
    return finish(ax)
