"""The Pareto front of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from results.networks import Network
from results.pareto import best_network, pareto_front
from results.plots.source import Source
from results.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    MANY,
    ORANGE,
    VERMILION,
    caption,
    empty,
    errors,
    finish,
    log_scale,
    marker_area,
    new_axes,
    plain,
)
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front"]

SMALLEST, LARGEST = 0.6, 5.0
"""Area of a mark, in times the usual one's, of a network without parameters and of the largest drawn."""


def plot_front(what: Run | Iterable[Network], *, ax: Axes | None = None, device: str | None = None) -> Axes:
    """Held-out accuracy against step time: the front over accuracy, step time and params with 95 % intervals, dominated
    networks faint, the best and what is tied with it; the area of a mark grows with params, the run's limits are lines.

    Args:
        what: a run, or networks of one device.
        ax: axes to draw in; of a new figure where not given.
        device: of a run of several, the one to draw.

    Raises:
        RunError: for a device that the run does not have, or None where it has several.
        ValueError: for networks of several devices.
    """
    source, ax = Source.find(what, device), new_axes(ax)
    ax.set_xlabel("training step time, times the reference network's")
    ax.set_ylabel("held-out accuracy, %")
    if not source.networks:
        return empty(ax, source.nothing)
    front = pareto_front(source.networks)
    on_front = {network.trial for network in front}
    dominated = [network for network in source.networks if network.trial not in on_front]
    largest = max(network.params for network in source.networks)
    if dominated:
        _scatter(ax, dominated, largest, label=f"dominated ({len(dominated)})", edgecolors=FAINT, alpha=0.5, zorder=1)
    for confirmed, marker, colour in ((False, "o", BLUE), (True, "D", VERMILION)):
        if drawn := [network for network in front if network.confirmed is confirmed]:
            kind = "front, confirmed" if confirmed else "front, trained once"
            _bars(ax, drawn, colour)
            _scatter(ax, drawn, largest, label=f"{kind} ({len(drawn)})", marker=marker, color=colour, zorder=3)
    _mark_best(ax, source.networks)
    _draw_limits(ax, source)
    log_scale(ax, "x", np.array([network.step_time_ratio for network in source.networks]))
    smallest = min(network.params for network in source.networks)
    caption(
        ax,
        "; ".join(
            [plain(source.of)] * bool(source.of)
            + [f"area: params ({smallest / 1e6:.3g} M to {largest / 1e6:.3g} M)", "bars: 95 %"]
            + [source.missing_text] * bool(source.missing_text)
        ),
    )
    return finish(ax)


def _scatter(ax: Axes, networks: Sequence[Network], largest: int, **look: Any) -> None:
    if "color" not in look:
        look["facecolors"] = "none"
    ax.scatter(
        [network.step_time_ratio for network in networks],
        [100 * network.accuracy for network in networks],
        s=[marker_area() * (SMALLEST + (LARGEST - SMALLEST) * network.params / largest) for network in networks],
        linewidths=0.8,
        rasterized=len(networks) > MANY,
        **look,
    )


def _bars(ax: Axes, networks: Sequence[Network], colour: str) -> None:
    ratios, accuracies = [one.step_time_ratio for one in networks], [one.accuracy for one in networks]
    ax.errorbar(
        ratios,
        [100 * accuracy for accuracy in accuracies],
        xerr=errors(
            ratios, (one.step_time_ratio_low for one in networks), (one.step_time_ratio_high for one in networks)
        ),
        yerr=errors(
            accuracies, (one.accuracy_low for one in networks), (one.accuracy_high for one in networks), scale=100
        ),
        fmt="none",
        ecolor=colour,
        elinewidth=0.8,
        alpha=0.6,
        zorder=2,
    )


def _mark_best(ax: Axes, networks: Sequence[Network]) -> None:
    best = best_network(networks)
    assert best is not None, "there are networks"
    tied = [network for network in networks if network.tied and network.trial != best.trial]
    area = marker_area()
    if tied:
        places = [one.step_time_ratio for one in tied], [100 * one.accuracy for one in tied]
        label = f"tied with the best ({len(tied)})"
        ax.scatter(
            *places, s=5 * area, linewidths=0.7, facecolors="none", edgecolors=BLACK, marker="s", label=label, zorder=4
        )
    label = f"best reward {best.reward:.3f} (trial {best.trial})"
    place = best.step_time_ratio, 100 * best.accuracy
    ax.scatter(*place, s=4 * area, marker="*", color=ORANGE, edgecolors=BLACK, linewidths=0.7, label=label, zorder=5)


def _draw_limits(ax: Axes, source: Source) -> None:
    limits = source.limits
    look: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "linestyle": (0, (4, 2))}
    if limits.max_step_time is not None:
        ax.axvline(limits.max_step_time, label=f"limit: step time at most {limits.max_step_time:g} x", **look)
    if limits.min_accuracy is not None:
        ax.axhline(100 * limits.min_accuracy, label=f"limit: accuracy at least {100 * limits.min_accuracy:g} %", **look)
    if limits.max_params is not None:
        ax.plot([], [], " ", label=f"limit: params at most {limits.max_params / 1e6:g} M")
    if limits.min_params is not None:
        ax.plot([], [], " ", label=f"limit: params at least {limits.min_params / 1e6:g} M")
