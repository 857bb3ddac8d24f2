"""The files of learning curves: what `results.plots.plot_learning` draws of trainings, side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from nas.train.curves import Axis, Curves
from nas.train.job import TrainResult
from nas.train.report import Metrics
from results import RunError
from results.durable import replace_atomically
from results.plots import plot_learning, style
from results.plots.style import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "PICTURE", "CurvesPicture", "compare", "draw", "save"]

PICTURE = "curves.png"
FORMATS = (".png", ".svg", ".pdf")


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
    """One training: its loss and its held-out accuracy against epochs and against minutes, stages in the back."""
    with style("notebook"):
        figure = _figure(10.5, 5.6)
        grid = figure.subplots(2, 2, sharex="col")
        for column, against in enumerate(get_args(Axis)):
            plot_learning(curves, of="loss", against=against, ax=grid[0][column]).label_outer()
            plot_learning(curves, against=against, ax=grid[1][column]).label_outer()
        figure.suptitle(_title(curves), fontsize=10)
    return figure


def compare(trainings: Mapping[str, Curves], against: Axis, level: float) -> Figure:
    """Several trainings over each other, against epochs or minutes; marks where each reaches the accuracy `level`."""
    with style("notebook"):
        figure = _figure(8.0, 7.0)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        plot_learning(trainings, against=against, level=level, ax=top).label_outer()
        plot_learning(trainings, of="loss", against=against, ax=bottom)
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


def _title(curves: Curves) -> str:
    result, last = curves.result, curves.evaluations[-1]
    job = curves.job
    params = f"{job.arch.params:,} parameters" if job.space is None else f"supernet of {job.space.name}"
    if result is None:
        end = f"not ended: after step {last.step:,}, {100 * last.ema_accuracy:.2f} % held-out accuracy"
    else:
        end = f"{100 * result.ema_accuracy:.2f} % test accuracy with averaged weights, {result.seconds / 60:.1f} min"
    return f"{plain(curves.name)}: {params}, {end}"
