"""Learning curves of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from results.plots.style import BLACK, BLUE, COLOURS, DASHES, MARKERS, VERMILION, finish, marker_area, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Along", "Training", "TrainingPhase", "Value", "compare_trainings", "plot_learning", "training_figure"]

Along = Literal["epochs", "minutes"]
Value = Literal["ema_accuracy", "accuracy", "loss"]
LABELS: dict[Along, str] = {"epochs": "epochs", "minutes": "wall-clock minutes"}
VALUES: dict[Value, str] = {
    "ema_accuracy": "held-out accuracy, averaged weights, %",
    "accuracy": "held-out accuracy, last weights, %",
    "loss": "training loss",
}
BANDS = ("#f2f2f2", "#e2e2e2")
NARROW = 0.2
"""Share of an axis below which a phase's label would run into the next."""
ROOM_FOR_LABELS = 0.35
"""Of the height that the loss takes."""
_LABEL: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7.5, "color": "#444444", "linespacing": 1.25}


class TrainingPhase(Protocol):
    """A part of a training with settings of its own."""

    @property
    def image_size(self) -> int: ...
    @property
    def randaugment(self) -> float: ...
    @property
    def dropout(self) -> float: ...
    @property
    def mixup(self) -> float: ...


class Training(Protocol):
    """A training as it is on record; `nas.train.curves.Curves` is one."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    def along(self, axis: Along) -> NDArray[np.float64]: ...
    def values(self, name: str) -> NDArray[np.float64]: ...
    def has_loss(self) -> NDArray[np.bool_]: ...
    def phases(self, axis: Along) -> Sequence[tuple[float, float, TrainingPhase]]: ...


def plot_learning(
    trainings: Training | Sequence[Training],
    *,
    ax: Axes | None = None,
    along: Along = "epochs",
    value: Value = "ema_accuracy",
    level: float | None = None,
) -> Axes:
    """Accuracy or loss of one training or several over each other.

    Args:
        trainings: of them.
        ax: axes to draw in; of a new figure where not given.
        along: `epochs`, or `minutes` of wall-clock time.
        value: `ema_accuracy` (of the averaged weights), `accuracy` (of the last ones) or `loss` (training).
        level: an accuracy, as a share: a line, and a mark where each reaches it.

    Raises:
        ValueError: for another `along` or `value`.
    """
    for name, known, given in (("along", LABELS, along), ("value", VALUES, value)):
        if given not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {given!r}")
    ax = new_axes(ax)
    mark = marker_area() ** 0.5
    several = list(trainings) if isinstance(trainings, Sequence) else [trainings]
    for number, training in enumerate(several):
        shown = training.has_loss() if value == "loss" else np.ones(len(training.along(along)), dtype=np.bool_)
        places, values = training.along(along)[shown], training.values(value)[shown]
        colour = COLOURS[number % len(COLOURS)]
        ax.plot(
            places,
            values if value == "loss" else 100 * values,
            color=colour,
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            markevery=max(1, len(places) // 8),
            markersize=0.7 * mark,
            label=plain(training.name),
        )
        if level is not None and (values >= level).any():
            first = int(np.argmax(values >= level))
            ax.plot(
                places[first],
                100 * values[first],
                "o",
                color=colour,
                markersize=1.4 * mark,
                markeredgecolor=BLACK,
                zorder=3,
            )
    if level is not None:
        ax.axhline(
            100 * level, color="#666666", linewidth=0.8, label=f"{100 * level:.1f} %, ringed where first reached"
        )
    ax.set_xlim(left=0)
    ax.set_xlabel(LABELS[along])
    ax.set_ylabel(VALUES[value])
    return finish(ax)


def compare_trainings(trainings: Sequence[Training], along: Along, level: float) -> Figure:
    """Several trainings over each other, accuracy above loss; marks where each reaches the accuracy `level`."""
    figure = _figure(8.0, 7.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    plot_learning(trainings, ax=top, along=along, level=level)
    plot_learning(trainings, ax=bottom, along=along, value="loss")
    top.set_xlabel("")
    legend = top.get_legend()
    assert legend is not None, "each training has a name"
    legend.remove()
    return figure


def training_figure(training: Training) -> Figure:
    """One training: its loss and its held-out accuracy against epochs and against minutes, phases in the back."""
    figure = _figure(10.5, 5.6)
    grid = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, along in enumerate(LABELS):
        places = training.along(along)
        top, bottom = grid[0][column], grid[1][column]
        size: dict[str, Any] = {"markersize": 3.5 if len(places) <= 40 else 0.0}
        of_loss = training.has_loss()
        top.plot(places[of_loss], training.values("loss")[of_loss], color=BLACK, marker="o", **size)
        last = {"color": VERMILION, "linestyle": DASHES[1], "marker": "s", "label": "last weights"}
        bottom.plot(places, 100 * training.values("accuracy"), **last, **size)
        averaged = {"color": BLUE, "marker": "o", "label": "averaged weights"}
        bottom.plot(places, 100 * training.values("ema_accuracy"), **averaged, **size)
        _draw_phases(top, bottom, training.phases(along))
        bottom.set_xlabel(LABELS[along])
        for panel in (top, bottom):
            finish(panel, legend=False)
    low, high = grid[0][0].get_ylim()
    grid[0][0].set_ylim(low, high + ROOM_FOR_LABELS * (high - low))
    grid[0][0].set_ylabel("training loss")
    grid[1][0].set_ylabel("held-out accuracy, %")
    grid[1][0].legend(loc="lower right", fontsize=8)
    figure.suptitle(plain(training.title), fontsize=10)
    return figure


def _draw_phases(top: Axes, bottom: Axes, phases: Sequence[tuple[float, float, TrainingPhase]]) -> None:
    end_of_all = phases[-1][1]
    for panel in (top, bottom):
        for number, (begin, end, _) in enumerate(phases):
            panel.axvspan(begin, end, color=BANDS[number % 2], zorder=0, linewidth=0)
        panel.set_xlim(0, 1.015 * end_of_all)
    for begin, end, phase in phases:
        lines = [f"{phase.image_size} px"]
        if end - begin >= NARROW * end_of_all:
            lines += [f"RandAug {phase.randaugment:.2g}", f"dropout {phase.dropout:.2g}"]
            lines += [f"mixup {phase.mixup:.2g}"] * (phase.mixup > 0)
        top.text((begin + end) / 2, 0.97, "\n".join(lines), **_LABEL, transform=top.get_xaxis_transform())


def _figure(width: float, height: float) -> Figure:
    # No pyplot: a training that draws its curves at its end must not keep figures or look for a screen.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
