"""The picture of a training's learning curves, as a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from nas.train.curves import Curves
from nas.train.job import TrainResult
from nas.train.report import Metrics
from results import RunError
from results.durable import replace_atomically
from results.plots import training_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "PICTURE", "CurvesPicture", "save"]

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
        save(training_figure(curves), self._folder / PICTURE)


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's name, whole or not at all.

    Raises:
        RunWriteError: where it cannot be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=130)
    replace_atomically(path, lambda file: file.write(content.getvalue()))
