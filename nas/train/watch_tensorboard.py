"""What TensorBoard shows of a training. No torch here."""

from pathlib import Path

from nas.events import EventFile
from nas.train.job import TrainResult
from nas.train.report import Metrics
from nas.train.watch import result_scalars, scalars

__all__ = ["TensorBoard"]


class TensorBoard:
    """A `Watcher` that writes scalars, on the disk when a call returns."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the training's."""
        self._file = EventFile(folder)

    def evaluated(self, metrics: Metrics) -> None:
        self._file.write(metrics.step, scalars(metrics))
        self._file.flush()

    def close(self, result: TrainResult | None) -> None:
        if result is not None:
            self._file.write(result.steps, result_scalars(result))
        self._file.close()
