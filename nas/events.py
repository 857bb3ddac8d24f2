"""TensorBoard's event files, by tensorboardX. No torch here."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from results import RunWriteError

__all__ = ["TENSORBOARD", "EventFile"]

TENSORBOARD = "tensorboard"


class EventFile:
    """The scalars of one session of a run, in a file of its own below RUN/tensorboard.

    Its first event says that the session starts at its first step: what earlier files hold of that step and later
    ones, TensorBoard forgets (its `purge_step`). tensorboardX's SummaryWriter is not used: its thread ends without a
    word where the disk is full, and the caller waits for it for ever.
    """

    def __init__(self, run: Path) -> None:
        """`run` is the run's folder. Nothing is made before the first `write`."""
        self._folder = run / TENSORBOARD
        self._file: Any = None

    def write(self, step: int, values: Mapping[str, float], *, wall_time: float | None = None) -> None:
        """Add the values by tag, as of `wall_time` (seconds since 1970; None: now).

        Raises:
            RunWriteError: where the folder is a symbolic link.
            OSError: where the disk does not take it.
        """
        with _torch_left_out():
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.proto.summary_pb2 import Summary

        at = time.time() if wall_time is None else wall_time
        if self._file is None:
            self._file = self._open(step, at)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._file.write_event(Event(wall_time=at, step=step, summary=summary))

    def flush(self) -> None:
        """What was written is on the disk when this returns."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, step: int, at: float) -> Any:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        if self._folder.is_symlink():
            raise RunWriteError(f"{self._folder}: is a symbolic link")
        self._folder.mkdir(exist_ok=True)
        # The name has the second that it was made at: two sessions of one second differ by the step.
        file = EventsWriter(str(self._folder / "events"), f".{step}")
        start = SessionLog(status=SessionLog.START)
        file.write_event(Event(wall_time=at, step=step, session_log=start))
        return file


@contextlib.contextmanager
def _torch_left_out() -> Iterator[None]:
    """tensorboardX imports torch where it finds one, for what is not used here: seconds, and 480 MB, of a driver."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
