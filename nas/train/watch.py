"""Who watches a training besides the terminal. A watcher may fail; the training may not fail because of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from nas.train.job import TrainResult
from nas.train.report import Metrics, Now, Progress

__all__ = ["Watched", "Watcher", "result_scalars", "scalars"]


class Watcher(Protocol):
    """Told of what is on record. It may raise anything: then it is told nothing more."""

    def evaluated(self, metrics: Metrics) -> None:
        """An evaluation is done. Of a training that goes on after a crash, a step may come again."""

    def close(self, result: TrainResult | None) -> None:
        """The training has ended with `result`, or was interrupted (None)."""


class Watched:
    """A context manager, and a `Progress`: all goes to `shown`, what is on record to the watchers too."""

    def __init__(self, shown: Progress, watchers: Mapping[str, Callable[[], Watcher]]) -> None:
        """`watchers` makes each, by name, when the training begins."""
        self._shown, self._makers = shown, watchers
        self._watchers: dict[str, Watcher] = {}
        self._result: TrainResult | None = None

    def begins(self) -> None:
        self._shown.begins()
        for name, make in self._makers.items():
            with self._dropped_where_it_fails(name):
                self._watchers[name] = make()

    def note(self, text: str) -> None:
        self._shown.note(text)

    def step(self, now: Now) -> None:
        self._shown.step(now)

    def evaluated(self, metrics: Metrics) -> None:
        self._shown.evaluated(metrics)
        for name, watcher in tuple(self._watchers.items()):
            with self._dropped_where_it_fails(name):
                watcher.evaluated(metrics)

    def ended(self, result: TrainResult) -> None:
        """What came of the training, for the watchers' end."""
        self._result = result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, watcher in tuple(self._watchers.items()):
            with self._dropped_where_it_fails(name):
                watcher.close(self._result)

    @contextmanager
    def _dropped_where_it_fails(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a tracker's client, a network or a disk comes up with
            self._watchers.pop(name, None)
            self._shown.note(f"{name} failed and is told nothing more: {type(error).__name__}: {error}")


def scalars(metrics: Metrics) -> dict[str, float]:
    """An evaluation by the names that watchers show it under; its step goes beside it."""
    return {
        "train/loss": metrics.loss,
        "train/lr": metrics.lr,
        "train/images_per_s": metrics.images_per_s,
        "train/epoch": metrics.epoch,
        "train/phase": metrics.phase,
        "train/image_size": metrics.image_size,
        "holdout/accuracy": metrics.accuracy,
        "holdout/ema_accuracy": metrics.ema_accuracy,
    }


def result_scalars(result: TrainResult) -> dict[str, float]:
    """Of a training's end, likewise."""
    return {"test/accuracy": result.accuracy, "test/ema_accuracy": result.ema_accuracy}
