"""The same pictures to look around in, by plotly: what a point is appears where the mouse is. Needs plotly, which the
extra `notebook` brings.

    from results.plots import interactive
    interactive.front(run)

Every text of a run is escaped: plotly takes hover texts for HTML.
"""

from collections.abc import Sequence
from html import escape
from types import ModuleType
from typing import TYPE_CHECKING, Any, Unpack

from results.networks import Network
from results.pareto import best_network, pareto_front
from results.plots.costs import SHOWN, Cost, first_trials
from results.plots.front import STEP_TIME, front_title, is_wide, limit_lines
from results.plots.importance import SHOWN as FIGURES
from results.plots.importance import Figure, importance
from results.plots.progress import WHERE, Against, Course
from results.plots.style import BLACK, BLUE, FAINT, GREY, VERMILION, reward_text
from results.question import Asked
from results.record import TrialResult
from results.store import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

__all__ = ["choices", "costs", "front", "progress"]

LARGEST, SMALLEST = 26.0, 7.0


def _plotly() -> ModuleType:
    try:
        from plotly import graph_objects
    except ImportError:
        raise ImportError(
            "interactive plots need plotly: pip install 'trainaware-nas[notebook]'; those of results.plots do not"
        ) from None
    return graph_objects  # type: ignore[no-any-return]


def front(run: Run, *, device: str | None = None, **asked: Unpack[Asked]) -> "PlotlyFigure":
    """As `results.plots.plot_front` of one run; a point tells its network, params, MACs and reward.

    Raises:
        RunError: for a run of several devices where none is named.
        ValueError: for a limit that breaks a rule.
    """
    graph = _plotly()
    found = run.networks(device=device, **asked) if run.ok else []
    shown, best = pareto_front(found), best_network(found)
    on_front = {network.trial for network in shown}
    dominated = [network for network in found if network.trial not in on_front]
    largest = max((network.params for network in found), default=1)
    figure = graph.Figure()
    for networks, name, colour, symbol in (
        (dominated, "dominated", FAINT, "circle"),
        (shown, "front", BLUE, "diamond"),
        ([best] if best else [], "best reward", VERMILION, "circle-open"),
    ):
        if not networks:
            continue
        figure.add_scatter(
            x=[network.step_time_ratio for network in networks],
            y=[100 * network.accuracy for network in networks],
            mode="markers",
            name=f"{name} ({len(networks)})" if name != "best reward" else name,
            text=[_network_text(network) for network in networks],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": colour,
                "symbol": symbol,
                "size": [SMALLEST + (LARGEST - SMALLEST) * (network.params / largest) ** 0.5 for network in networks],
                "opacity": 0.5 if name == "dominated" else 1.0,
                "line": {"width": 2 if name == "best reward" else 0},
            },
            error_x=_bars(networks, "step_time_ratio", 1.0) if name == "front" else None,
            error_y=_bars(networks, "accuracy", 100.0) if name == "front" else None,
        )
    title = front_title(run, found, device)
    for axis, place, words in limit_lines(run.question.changed(**asked).limits):
        if axis is None:
            title += f"; limit: {words}"
        else:
            add_line = figure.add_vline if axis == "x" else figure.add_hline
            line = {"color": BLACK, "width": 1.5, "dash": "dot"}
            # No annotation: plotly puts one of a logarithmic axis at ten to the power of its place.
            add_line(place, line=line, name=f"limit: {words}", showlegend=True)
    if is_wide([network.step_time_ratio for network in found]):
        figure.update_xaxes(type="log")
    return _settled(figure, title, STEP_TIME, "held-out accuracy of the search's trials, %")


def _bars(networks: Sequence[Network], name: str, unit: float) -> dict[str, Any]:
    above, below = [], []
    for network in networks:
        value = getattr(network, name)
        low, high = getattr(network, f"{name}_low"), getattr(network, f"{name}_high")
        above.append(unit * ((value if high is None else high) - value))
        below.append(unit * (value - (value if low is None else low)))
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "color": BLACK}


def _network_text(network: Network) -> str:
    lines = [
        f"<b>trial {network.trial}</b>",
        escape(str(network.arch)),
        f"accuracy {100 * network.accuracy:.2f} %, step time {network.step_time_ratio:.3f} x",
        f"{network.params / 1e6:.3f} M params, {network.macs / 1e6:.2f} M MACs, reward {network.reward:.4f}",
    ]
    if network.final.confirmed:
        final = network.final
        lines.append(f"confirmed by {final.num_trainings} trainings: {100 * final.accuracy:.2f} %, {final.reward:.4f}")
    return "<br>".join(lines)


def progress(run: Run, *, against: Against = "trials") -> "PlotlyFigure":
    """As `results.plots.plot_progress`; a trial that failed tells why."""
    graph = _plotly()
    course = Course(run, against)
    figure = graph.Figure()
    anew = [trial for trial in course.ended if trial.ok and trial.repeat]
    for trials, name, colour, symbol in (
        (course.searched(), "the search's trials", BLUE, "circle"),
        (anew, "trained anew or alone", VERMILION, "square"),
    ):
        figure.add_scatter(
            x=course.places(trials),
            y=course.rewards(trials),
            mode="markers",
            name=name,
            text=[_trial_text(trial) for trial in trials],
            hovertemplate="%{text}<br>reward %{y:.4f}<extra></extra>",
            marker={"color": colour, "symbol": symbol},
        )
    places, best = course.best()
    figure.add_scatter(
        x=places,
        y=best,
        mode="lines",
        name="best so far",
        line={"shape": "hv", "color": BLUE, "width": 1.5},
        hoverinfo="skip",
    )
    failed = [trial for trial in course.ended if not trial.ok]
    figure.add_scatter(
        x=course.places(failed),
        y=[0] * len(failed),
        yaxis="y2",
        mode="markers",
        name=f"failed or left out ({len(failed)})",
        text=[_trial_text(trial) for trial in failed],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": GREY, "symbol": "x"},
    )
    figure.update_layout(yaxis2={"overlaying": "y", "range": [-0.02, 1], "visible": False, "fixedrange": True})
    return _settled(figure, f"{len(run.trials)} trials; {reward_text(run.objective)}", WHERE[against], "reward")


def _trial_text(trial: TrialResult) -> str:
    reason = escape((trial.reason or "").strip().splitlines()[-1][:200]) if (trial.reason or "").strip() else ""
    return "<br>".join(
        [f"<b>trial {trial.index}</b>, {trial.status}", escape(str(trial.arch)), *([reason] if reason else [])]
    )


def costs(run: Run, *, against: Cost = "macs", device: str | None = None) -> "PlotlyFigure":
    """As `results.plots.plot_costs`."""
    graph = _plotly()
    trials = first_trials(run, device)
    label, unit = SHOWN[against]
    figure = graph.Figure()
    figure.add_scatter(
        x=[getattr(trial, against) / unit for trial in trials],
        y=[trial.step_time_ratio for trial in trials],
        mode="markers",
        name="a network",
        text=[_trial_text(trial) for trial in trials],
        hovertemplate="%{text}<br>step time %{y:.3f} x<extra></extra>",
        marker={"color": BLUE},
    )
    figure.update_xaxes(type="log")
    return _settled(figure, f"{len(trials)} networks", label, "step time, ratio to the reference")


def choices(run: Run, of: Figure = "reward", *, device: str | None = None, seed: int = 0) -> "PlotlyFigure":
    """As `results.plots.plot_importance`, of all choices.

    Raises:
        ValueError: as `results.plots.importance`.
    """
    graph = _plotly()
    found = importance(run, of, device=device, seed=seed)[::-1]
    figure = graph.Figure()
    figure.add_bar(
        x=found.importance,
        y=[escape(name) for name in found.choice],
        orientation="h",
        marker={"color": BLUE},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": found.high - found.importance,
            "arrayminus": found.importance - found.low,
            "color": BLACK,
        },
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    x = "share of the variance no longer explained where the choice is shuffled (bar: 95 %)"
    return _settled(figure, f"which choices matter for {FIGURES[of]}", x, "")


def _settled(figure: "PlotlyFigure", title: str, x: str, y: str) -> "PlotlyFigure":
    figure.update_layout(
        title={"text": "<br>".join(escape(part) for part in title.split("; ")), "font": {"size": 14}},
        template="simple_white",
        legend={"orientation": "h", "y": -0.25},
        margin={"l": 60, "r": 20, "t": 70, "b": 60},
    )
    figure.update_xaxes(title_text=x, showgrid=True)
    figure.update_yaxes(title_text=y, showgrid=True, selector={"overlaying": None})
    return figure
