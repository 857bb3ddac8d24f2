"""Pictures to look at with the mouse, by plotly: hovering tells which network a mark is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from results.networks import Network
from results.pareto import best_network, pareto_front
from results.plots.importance_plot import MOST, said, shown
from results.plots.permutation import Importance, Matter, importance
from results.plots.reward_curve import Course, Over
from results.plots.source import Source
from results.plots.step_time import NAMES, Against, agreement
from results.plots.style import BLUE, FAINT, ORANGE, VERMILION, count_unit, errors, time_unit
from results.record import TrialResult
from results.store import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["look_at_front", "look_at_importance", "look_at_reward", "look_at_step_time"]


def look_at_front(what: Run | Iterable[Network], *, device: str | None = None) -> Figure:
    """`plot_front` to look at.

    Raises:
        ImportError: where plotly is not installed.
        RunError, ValueError: see `plot_front`.
    """
    source = Source.find(what, device)
    front = pareto_front(source.networks)
    on_front = {network.trial for network in front}
    dominated = [network for network in source.networks if network.trial not in on_front]
    best = best_network(source.networks)
    figure = _figure(
        [source.of, source.nothing if best is None else source.missing_text],
        x="training step time, times the reference network's",
        y="held-out accuracy, %",
    )
    for networks, name, look, bars in (
        (dominated, "dominated", {"color": FAINT, "symbol": "circle-open", "opacity": 0.6}, False),
        (front, "front", {"color": BLUE, "symbol": "circle"}, True),
        ([best] if best else [], "best reward", {"color": ORANGE, "symbol": "star", "size": 14}, False),
    ):
        if networks:
            ratios, accuracies = [one.step_time_ratio for one in networks], [one.accuracy for one in networks]
            marks = _marks(ratios, [100 * accuracy for accuracy in accuracies], f"{name} ({len(networks)})", look)
            if bars:
                lows, highs = (one.accuracy_low for one in networks), (one.accuracy_high for one in networks)
                marks["error_y"] = _bars(errors(accuracies, lows, highs, scale=100))
                lows, highs = (
                    (one.step_time_ratio_low for one in networks),
                    (one.step_time_ratio_high for one in networks),
                )
                marks["error_x"] = _bars(errors(ratios, lows, highs))
            figure.add_scatter(**marks, hovertext=[_told(one) for one in networks])
    for limit, draw in (
        (source.limits.max_step_time, figure.add_vline),
        (100 * source.limits.min_accuracy if source.limits.min_accuracy else None, figure.add_hline),
    ):
        if limit is not None:
            draw(limit, line={"dash": "dash", "width": 1.5}, annotation_text=f"limit {limit:g}")
    return figure


def look_at_reward(run: Run, *, over: Over = "trials", device: str | None = None) -> Figure:
    """`plot_reward` of one run to look at.

    Raises:
        ImportError: where plotly is not installed.
        RunError, ValueError: see `plot_reward`.
    """
    course, source = Course.of(run, device), Source.find(run, device)
    unit = time_unit(course.along(over)[-1] if course.trials else 0.0)
    scale = 1.0 if over == "trials" else unit.size
    known = ~np.isnan(course.rewards)
    figure = _figure(
        [source.of, source.missing_text.replace("drawn", "measured") if known.any() else source.nothing],
        x="trials ended" if over == "trials" else f"time since the search began, {unit.name}",
        y="reward (higher is better)",
    )
    if not known.any():
        return figure
    places = course.along(over) / scale
    for chosen, name, look in (
        (known & ~course.repeats, "a trial", {"color": FAINT, "symbol": "circle-open"}),
        (known & course.repeats, "a confirming training", {"color": VERMILION, "symbol": "diamond-open", "size": 8}),
    ):
        if chosen.any():
            marks = _marks(places[chosen], course.rewards[chosen], f"{name} ({chosen.sum()})", look)
            trials = [trial for trial, keep in zip(course.trials, chosen, strict=True) if keep]
            figure.add_scatter(**marks, hovertext=[_told_trial(trial, run) for trial in trials])
    line = {"shape": "hv", "color": BLUE}
    figure.add_scatter(x=places, y=course.best, mode="lines", line=line, name="highest so far", hoverinfo="skip")
    return figure


def look_at_step_time(what: Run | Iterable[Network], *, against: Against = "macs", device: str | None = None) -> Figure:
    """`plot_step_time` to look at.

    Raises:
        ImportError: where plotly is not installed.
        RunError, ValueError: see `plot_step_time`.
    """
    if against not in NAMES:
        raise ValueError(f"against must be one of {', '.join(NAMES)}, got {against!r}")
    source = Source.find(what, device)
    networks = source.networks
    unit = count_unit(max((getattr(one, against) for one in networks), default=0))
    figure = _figure(
        [source.of, *([agreement(networks, against), source.missing_text] if networks else [source.nothing])],
        x=f"{NAMES[against]}, {unit.name}",
        y="step time, times the reference's",
    )
    if networks:
        times = [one.step_time_ratio for one in networks]
        places = [getattr(one, against) / unit.size for one in networks]
        marks = _marks(places, times, f"a network ({len(networks)})", {"color": BLUE, "opacity": 0.8})
        lows, highs = (one.step_time_ratio_low for one in networks), (one.step_time_ratio_high for one in networks)
        bars = _bars(errors(times, lows, highs))
        figure.add_scatter(**marks, error_y=bars, hovertext=[_told(one) for one in networks])
    return figure


def look_at_importance(
    what: Run | Importance, of: Matter = "accuracy", *, most: int = MOST, device: str | None = None
) -> Figure:
    """`plot_importance` to look at.

    Raises:
        ImportError: where plotly is not installed.
        RunError, ValueError: see `importance`.
    """
    found = importance(what, of, device=device) if isinstance(what, Run) else what
    figure = _figure([said(found)], x="prediction lost without it, % of variance", y="")
    for clear, name, look in (
        (True, "clear: 95 % interval above 0", {"color": BLUE, "symbol": "circle", "size": 9}),
        (False, "not clear: interval holds 0", {"color": FAINT, "symbol": "circle-open", "size": 9}),
    ):
        choices = [choice for choice in found.choices[:most] if choice.is_clear is clear]
        if choices:
            shares = [choice.share for choice in choices]
            lows, highs = [choice.low for choice in choices], [choice.high for choice in choices]
            marks = _marks([100 * share for share in shares], [shown(one.decision) for one in choices], name, look)
            told = [f"{shown(one.decision)}: {100 * one.low:.1f} to {100 * one.high:.1f} %" for one in choices]
            figure.add_scatter(**marks, error_x=_bars(errors(shares, lows, highs, scale=100)), hovertext=told)
    figure.update_yaxes(autorange="reversed", categoryorder="array")
    figure.update_yaxes(categoryarray=[shown(choice.decision) for choice in found.choices[:most]])
    return figure


def _figure(told: Sequence[str], *, x: str, y: str) -> Figure:
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        raise ImportError(
            "plotly must be installed for pictures to look at: pip install 'trainaware-nas[notebook]'"
        ) from None
    title = "<br>".join(_escaped(text) for text in told if text)
    return Figure(
        layout={
            "template": "simple_white",
            "title": {"text": title, "font": {"size": 13}},
            "xaxis": {"title": x, "showgrid": True},
            "yaxis": {"title": y, "showgrid": True},
            "legend": {"orientation": "h", "y": -0.2},
        }
    )


def _escaped(text: object) -> str:
    """As plotly shows it letter by letter: it reads some HTML, and mathematics between dollars."""
    shown_text = "".join(sign if sign.isprintable() else "?" for sign in str(text))
    return escape(shown_text).replace("$", "&#36;")


def _marks(x: Any, y: Any, name: str, look: dict[str, Any]) -> dict[str, Any]:
    return {"x": x, "y": y, "mode": "markers", "marker": look, "name": name, "hoverinfo": "text"}


def _bars(lengths: Any) -> dict[str, Any]:
    below, above = lengths
    return {"type": "data", "array": above, "arrayminus": below, "thickness": 1, "width": 2}


def _told(network: Network) -> str:
    confirmed = f", confirmed {network.num_trainings} x" if network.confirmed else ""
    lines = [
        f"trial {network.trial}{confirmed}",
        f"accuracy {100 * network.accuracy:.2f} %, step time {network.step_time_ratio:.3f} x",
        f"{network.params / 1e6:.3f} M params, {network.macs / 1e6:.2f} M MACs, reward {network.reward:.4f}",
        str(network.arch),
    ]
    return "<br>".join(map(_escaped, lines))


def _told_trial(trial: TrialResult, run: Run) -> str:
    lines = [f"trial {trial.index}, reward {run.objective.reward(trial):.4f}", str(trial.arch)]
    return "<br>".join(map(_escaped, lines))
