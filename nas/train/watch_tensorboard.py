"""TensorBoard's event files in a training's folder, by tensorboardX. No torch here."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.train.job import TrainResult
from nas.train.report import Metrics
from nas.train.watch import result_scalars, scalars
from results import RunWriteError

__all__ = ["TENSORBOARD", "TensorBoard"]

TENSORBOARD = "tensorboard"


class TensorBoard:
    """A `Watcher` that writes scalars, on the disk when a call returns.

    Each session of a training has a file of its own, whose first event says that it starts at its first step: what
    earlier files hold of that step and later ones, TensorBoard forgets (its `purge_step`). tensorboardX's SummaryWriter
    is not used: its thread ends without a word where the disk is full, and the caller waits for it for ever.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is the training's."""
        self._folder = folder / TENSORBOARD
        self._file: Any = None

    def evaluated(self, metrics: Metrics) -> None:
        self._write(metrics.step, scalars(metrics))

    def close(self, result: TrainResult | None) -> None:
        if result is not None:
            self._write(result.steps, result_scalars(result))
        if self._file is not None:
            self._file.close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if self._file is None:
            self._file = self._open(step)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._file.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._file.flush()

    def _open(self, step: int) -> Any:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        if self._folder.is_symlink():
            raise RunWriteError(f"{self._folder}: is a symbolic link")
        self._folder.mkdir(exist_ok=True)
        # The name has the second that it was made at: two sessions of one second differ by the step.
        file = EventsWriter(str(self._folder / "events"), f".{step}")
        start = SessionLog(status=SessionLog.START)
        file.write_event(Event(wall_time=time.time(), step=step, session_log=start))
        return file
