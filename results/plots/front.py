"""Networks by the time of a training step and accuracy, the Pareto front before the others; or several runs' fronts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from results.limits import Limits
from results.networks import Network
from results.pareto import best_network, pareto_front
from results.plots.several import device_of_all
from results.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    VERMILION,
    axes_of,
    few_ticks,
    folded,
    is_narrow,
    look,
    plain_name,
    settle,
)
from results.question import Asked
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STEP_TIME", "front_title", "is_wide", "limit_lines", "plot_front"]

STEP_TIME = "time of a training step, ratio to the reference"
WIDE = 3.0
MANY = 1000
"""Points beyond which they are drawn as a picture within the picture: a paper's file stays small."""


def plot_front(
    runs: Run | Mapping[str, Run], *, ax: "Axes | None" = None, device: str | None = None, **asked: Unpack[Asked]
) -> "Axes":
    """A run's networks within its own limits, or as `asked` (see `results.Asked`): x the step time ratio, y held-out
    accuracy in %, area in proportion to params; bars are 95 % intervals, dotted lines the limits. The front is that of
    accuracy, step time and params, so that a network on it may look dominated here: it is smaller.

    Of several runs, by name, each one's front alone, as marks, with a line that tells the highest accuracy at no more
    than a step time.

    Raises:
        RunError: for a run of several devices where none is named.
        ValueError: for runs that do not compare, as `results.Run.compare`; for a limit that breaks a rule.
    """
    axes = axes_of(ax)
    if isinstance(runs, Run):
        _draw_one(axes, runs, device, asked)
    else:
        _draw_several(axes, runs, device_of_all(runs, device), asked)
    return axes


def _draw_one(axes: "Axes", run: Run, device: str | None, asked: Asked) -> None:
    found = run.networks(device=device, **asked) if run.ok else []
    front, best = pareto_front(found), best_network(found)
    on_front = {network.trial for network in front}
    dominated = [network for network in found if network.trial not in on_front]
    largest = max((network.params for network in found), default=1)
    scale = 0.45 if is_narrow(axes) else 1.0

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
    _draw_limits(axes, run.question.changed(**asked).limits)
    _finish(axes, [network.step_time_ratio for network in found], front_title(run, found, device))


def _draw_several(axes: "Axes", runs: Mapping[str, Run], device: str | None, asked: Asked) -> None:
    ratios: list[float] = []
    for number, (name, run) in enumerate(runs.items()):
        front = sorted(run.front(device=device, **asked), key=lambda network: network.step_time_ratio)
        places, accuracies = [one.step_time_ratio for one in front], [100 * one.accuracy for one in front]
        shown = look(number)
        axes.step(
            places, np.maximum.accumulate(accuracies or [0.0])[: len(front)], where="post", **shown | {"marker": ""}
        )
        axes.plot(places, accuracies, **shown | {"linestyle": ""})
        axes.plot([], [], label=f"{plain_name(name)} ({len(front)})", **shown)
        ratios += places
    limits = {run.question.changed(**asked).limits for run in runs.values()}
    _draw_limits(axes, limits.pop() if len(limits) == 1 else Limits())
    _finish(axes, ratios, "marks: fronts in accuracy, step time, params; lines: best accuracy up to a step time")


def _finish(axes: "Axes", ratios: Sequence[float], title: str) -> None:
    if is_wide(ratios):
        few_ticks(axes, ratios)
    of = "" if is_narrow(axes) else " of the search's trials"
    settle(axes, title=title, x=STEP_TIME, y=f"held-out accuracy{of}, %", loc="best")
    if not ratios:
        axes.text(0.5, 0.5, "no network was measured in full", ha="center", transform=axes.transAxes)


def front_title(run: Run, found: Sequence[Network], device: str | None) -> str:
    """Which networks of a run are shown, and what became of the others."""
    space = run.config.get("space")
    name = space.get("name") if isinstance(space, dict) else None
    told = [f"{name or run.folder.name}: {len(found)} networks"]
    outside = len(run.networks(device=device, no_limits=True)) - len(found) if run.ok else 0
    failed = len(run.trials) - len(run.ok)
    told += [f"{outside} outside the limits"] * (outside > 0)
    told += [f"{failed} trial{'s' if failed > 1 else ''} failed"] * (failed > 0)
    largest = max((network.params for network in found), default=0)
    return ", ".join(told) + (f"; area: params, up to {largest / 1e6:.2f} M" if found else "")


def is_wide(ratios: Sequence[float]) -> bool:
    """Whether step times lie so far apart that a logarithm shows them better."""
    return bool(ratios) and max(ratios) > WIDE * min(ratios)


def limit_lines(limits: Limits) -> Iterator[tuple[Literal["x", "y"] | None, float, str]]:
    """(axis that it crosses or None, where, words) of each limit; params are no axis."""
    if limits.max_step_time is not None:
        yield "x", limits.max_step_time, f"step time at most {limits.max_step_time:g} x"
    if limits.min_accuracy is not None:
        yield "y", 100 * limits.min_accuracy, f"accuracy at least {100 * limits.min_accuracy:g} %"
    for rule, params in (("at most", limits.max_params), ("at least", limits.min_params)):
        if params is not None:
            yield None, params, f"params {rule} {params / 1e6:.3g} M"


def _bars(axes: "Axes", network: Network) -> None:
    x, y = network.step_time_ratio, 100 * network.accuracy
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "alpha": 0.55}
    if network.accuracy_low is not None and network.accuracy_high is not None:
        axes.plot([x, x], [100 * network.accuracy_low, 100 * network.accuracy_high], **style)
    if network.step_time_ratio_low is not None and network.step_time_ratio_high is not None:
        axes.plot([network.step_time_ratio_low, network.step_time_ratio_high], [y, y], **style)


def _draw_limits(axes: "Axes", limits: Limits) -> None:
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.9, "linestyle": (0, (1, 2))}
    found = list(limit_lines(limits))
    for axis, place, _ in found:
        if axis is not None:
            (axes.axvline if axis == "x" else axes.axhline)(place, **style)
    if found:
        drawn = any(axis for axis, *_ in found)
        words = f"limits: {', '.join(words for *_, words in found)}"
        label = folded(axes, words, float(axes.xaxis.label.get_fontsize()))
        axes.plot([], [], label=label, **style | ({} if drawn else {"linestyle": ""}))
