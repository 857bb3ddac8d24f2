"""All that a final training is watched by: the line on the terminal, the files in its folder, trackers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from nas.cli.training_line import TrainingLine
from nas.train import read_job
from nas.train.picture import CurvesPicture
from nas.train.watch import Watched, Watcher
from nas.train.watch_tensorboard import TensorBoard
from nas.train.watch_trackers import TRACKERS, TrackerName

__all__ = ["watched"]


@contextmanager
def watched(folder: Path, log_to: Sequence[TrackerName]) -> Iterator[Watched]:
    """The `Progress` of the training in `folder`."""
    watchers: dict[str, Callable[[], Watcher]] = {
        "tensorboard": partial(TensorBoard, folder),
        **{name: partial(_tracker, name, folder) for name in log_to},
        "curves.png": partial(CurvesPicture, folder),
    }
    with TrainingLine() as line, Watched(line, watchers) as progress:
        yield progress


def _tracker(name: TrackerName, folder: Path) -> Watcher:
    return TRACKERS[name](folder, read_job(folder))
