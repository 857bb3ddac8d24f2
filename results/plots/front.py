"""Networks by the time of a training step and accuracy, the Pareto front before the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from results.networks import Network
from results.pareto import best_network, pareto_front
from results.plots.style import BLACK, BLUE, FAINT, VERMILION, Width, axes_of, few_ticks, settle
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STEP_TIME", "is_wide", "plot_front"]

STEP_TIME = "time of a training step, ratio to the reference"
WIDE = 3.0
MANY = 1000
"""Points beyond which they are drawn as a picture within the picture: a paper's file stays small."""


def plot_front(run: Run, *, ax: "Axes | None" = None, device: str | None = None, width: Width = "notebook") -> "Axes":
    """The run's networks: x the step time ratio, y held-out accuracy in %, area in proportion to params; bars are 95 %
    intervals, dotted lines the run's limits. The front is that of accuracy, step time and params, so that a network on
    it may look dominated here: it is smaller.

    Raises:
        RunError: for a run of several devices where none is named.
    """
    axes = axes_of(ax, width)
    found = run.networks(device=device) if run.ok else []
    front, best = pareto_front(found), best_network(found)
    on_front = {network.trial for network in front}
    dominated = [network for network in found if network.trial not in on_front]
    largest = max((network.params for network in found), default=1)
    scale = 0.45 if width == "column" else 1.0

    def area(network: Network) -> float:
        return scale * (12 + 110 * network.params / largest)

    def scatter(networks: list[Network], colour: str, alpha: float, label: str, marker: str) -> None:
        axes.scatter(
            [network.step_time_ratio for network in networks],
            [100 * network.accuracy for network in networks],
            s=[area(network) for network in networks],
            color=colour,
            alpha=alpha,
            marker=marker,
            linewidths=0,
            label=f"{label} ({len(networks)})",
            rasterized=len(networks) > MANY,
        )

    if dominated:
        scatter(dominated, FAINT, 0.55, "dominated", "o")
    for network in front:
        _bars(axes, network)
    if front:
        scatter(front, BLUE, 1.0, "front", "D")
    if best is not None:
        axes.scatter(
            best.step_time_ratio,
            100 * best.accuracy,
            s=3 * area(best) + 40 * scale,
            facecolors="none",
            edgecolors=VERMILION,
            linewidths=1.4,
            label=f"best reward: trial {best.trial}" + (", confirmed" if best.final.confirmed else ""),
        )
    _limits(axes, run)
    if is_wide(ratios := [network.step_time_ratio for network in found]):
        few_ticks(axes, ratios)
    failed = len(run.trials) - len(run.ok)
    title = f"{_space(run)}: {len(found)} networks"
    if failed:
        title += f", {failed} trial{'s' if failed > 1 else ''} failed"
    settle(
        axes,
        title=f"{title}; area: params, up to {largest / 1e6:.2f} M" if found else title,
        x=STEP_TIME,
        y=("held-out accuracy, %" if width == "column" else "held-out accuracy of the search's trials, %"),
        loc="lower right",
    )
    if not found:
        axes.text(0.5, 0.5, "no network was measured in full", ha="center", transform=axes.transAxes)
    return axes


def is_wide(ratios: Sequence[float]) -> bool:
    """Whether step times lie so far apart that a logarithm shows them better."""
    return bool(ratios) and max(ratios) > WIDE * min(ratios)


def _bars(axes: "Axes", network: Network) -> None:
    x, y = network.step_time_ratio, 100 * network.accuracy
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "alpha": 0.55}
    if network.accuracy_low is not None and network.accuracy_high is not None:
        axes.plot([x, x], [100 * network.accuracy_low, 100 * network.accuracy_high], **style)
    if network.step_time_ratio_low is not None and network.step_time_ratio_high is not None:
        axes.plot([network.step_time_ratio_low, network.step_time_ratio_high], [y, y], **style)


def _limits(axes: "Axes", run: Run) -> None:
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.9, "linestyle": (0, (1, 2))}
    if run.limits.max_step_time is not None:
        axes.axvline(run.limits.max_step_time, **style)
    if run.limits.min_accuracy is not None:
        axes.axhline(100 * run.limits.min_accuracy, **style)


def _space(run: Run) -> str:
    space = run.config.get("space")
    name = space.get("name") if isinstance(space, dict) else None
    return str(name or run.folder.name)
