"""Learning curves as pictures, by matplotlib. Colours are Okabe and Ito's, which colour-blind people tell apart; lines
differ in their dashes too."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.text import printable
from nas.train.curves import Axis, Curves
from nas.train.job import TrainResult
from nas.train.report import Metrics
from results import RunError
from results.durable import replace_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "PICTURE", "CurvesPicture", "compare", "draw", "save"]

PICTURE = "curves.png"
FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
BANDS = ("#f2f2f2", "#e2e2e2")
LABELS: dict[Axis, str] = {"epochs": "epochs", "minutes": "wall-clock minutes"}
NARROW = 0.2
"""Share of an axis below which a phase's label would run into the next."""
ROOM_FOR_LABELS = 0.35
"""Of the height that the loss takes."""


class CurvesPicture:
    """A `Watcher` that draws curves.png at the end of a training, or where it is interrupted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def evaluated(self, metrics: Metrics) -> None:
        pass

    def close(self, result: TrainResult | None) -> None:
        try:
            curves = Curves.of(self._folder)
        except RunError:
            if result is not None:
                raise
            return  # interrupted before the first evaluation
        save(draw(curves), self._folder / PICTURE)


def draw(curves: Curves) -> Figure:
    """One training: its loss and its held-out accuracy against epochs and against minutes, phases in the back."""
    figure = _figure(10.5, 5.6)
    grid = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, axis in enumerate(LABELS):
        places = curves.along(axis)
        top, bottom = grid[0][column], grid[1][column]
        style = {"marker": "o", "markersize": _marker_size(len(places))}
        of_loss = curves.has_loss()
        top.plot(places[of_loss], curves.values("loss")[of_loss], color=COLOURS[-1], **style)
        bottom.plot(
            places,
            100 * curves.values("accuracy"),
            color=COLOURS[1],
            linestyle=DASHES[1],
            label="last weights",
            **style,
        )
        bottom.plot(places, 100 * curves.values("ema_accuracy"), color=COLOURS[0], label="averaged weights", **style)
        phases = curves.phases(axis)
        for panel in (top, bottom):
            for number, (begin, end, _) in enumerate(phases):
                panel.axvspan(begin, end, color=BANDS[number % 2], zorder=0, linewidth=0)
            panel.set_xlim(0, 1.015 * phases[-1][1])
        for begin, end, phase in phases:
            lines = [f"{phase.image_size} px"]
            if end - begin >= NARROW * phases[-1][1]:
                lines += [f"RandAug {phase.randaugment:.2g}", f"dropout {phase.dropout:.2g}"]
                lines += [f"mixup {phase.mixup:.2g}"] * (phase.mixup > 0)
            top.text((begin + end) / 2, 0.97, "\n".join(lines), **_LABEL, transform=top.get_xaxis_transform())
        bottom.set_xlabel(LABELS[axis])
    low, high = grid[0][0].get_ylim()
    grid[0][0].set_ylim(low, high + ROOM_FOR_LABELS * (high - low))
    grid[0][0].set_ylabel("training loss")
    grid[1][0].set_ylabel("held-out accuracy, %")
    grid[1][0].legend(loc="lower right", fontsize=8)
    for panel in grid.flat:
        _plain(panel)
    figure.suptitle(_title(curves), fontsize=10)
    return figure


_LABEL: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7.5, "color": "#444444", "linespacing": 1.25}


def compare(trainings: Sequence[Curves], axis: Axis, level: float) -> Figure:
    """Several trainings over each other, against epochs or minutes; marks where each reaches the accuracy `level`."""
    figure = _figure(8.0, 7.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for number, curves in enumerate(trainings):
        places = curves.along(axis)
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
        top.plot(places, 100 * curves.values("ema_accuracy"), label=_shown(curves), **style)
        of_loss = curves.has_loss()
        bottom.plot(places[of_loss], curves.values("loss")[of_loss], **style)
        reached = curves.first_at(level)
        if reached is not None:
            place = places[curves.evaluations.index(reached)]
            top.plot(place, 100 * reached.ema_accuracy, "o", color=style["color"], markersize=6, zorder=3)
    top.axhline(100 * level, color="#666666", linewidth=0.8)
    top.annotate(
        f"{100 * level:.1f} %, which all reach",
        (0, 100 * level),
        xycoords=("axes fraction", "data"),
        xytext=(3, 3),
        textcoords="offset points",
        fontsize=8,
        color="#444444",
    )
    top.set_ylabel("held-out accuracy, averaged weights, %")
    bottom.set_ylabel("training loss")
    bottom.set_xlabel(LABELS[axis])
    bottom.set_xlim(left=0)
    top.legend(loc="lower right", fontsize=8)
    for panel in (top, bottom):
        _plain(panel)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's name, whole or not at all.

    Raises:
        RunWriteError: where it cannot be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=130)
    replace_atomically(path, lambda file: file.write(content.getvalue()))


def _figure(width: float, height: float) -> Figure:
    # No pyplot: it keeps figures and looks for a screen.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _plain(panel: Axes) -> None:
    panel.grid(alpha=0.35, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _marker_size(count: int) -> float:
    return 3.5 if count <= 40 else 0.0


def _shown(curves: Curves) -> str:
    return printable(curves.name).replace("$", r"\$")


def _title(curves: Curves) -> str:
    result, last = curves.result, curves.evaluations[-1]
    job = curves.job
    params = f"{job.arch.params:,} parameters" if job.space is None else f"supernet of {job.space.name}"
    if result is None:
        end = f"not ended: after step {last.step:,}, {100 * last.ema_accuracy:.2f} % held-out accuracy"
    else:
        end = f"{100 * result.ema_accuracy:.2f} % test accuracy with averaged weights, {result.seconds / 60:.1f} min"
    return f"{_shown(curves)}: {params}, {end}"
