"""What `nas train` says while it runs: a live line on a terminal, a line an evaluation. All of it goes to stderr."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nas.terminal import begin_live, stderr_console
from nas.text import printable
from nas.train.report import Metrics, Now

__all__ = ["TrainingLine", "work_left"]

RATE_OVER_S = 5.0


def work_left(now: Now) -> float:
    """Steps that are left, in steps of the present image and batch size: a step's work grows with its pixels."""
    left, before = 0.0, 0
    for phase in now.phases:
        done = min(max(now.step - before, 0), phase.steps)
        pixels = phase.batch_size * phase.image_size**2
        left += (phase.steps - done) * pixels / (now.phase.batch_size * now.phase.image_size**2)
        before += phase.steps
    return left


class TrainingLine:
    """A context manager, and a `Progress`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or stderr_console()
        self._live: Live | None = None
        self._now: Now | None = None
        self._metrics: Metrics | None = None
        self._marks: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        self._live = begin_live(self, self._console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begins(self) -> None:
        pass

    def note(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)

    def step(self, now: Now) -> None:
        if self._now is None or now.phase != self._now.phase:
            self._marks = []
        self._now = now
        mark = (time.monotonic(), now.step)
        if not self._marks or mark[0] - self._marks[-1][0] >= RATE_OVER_S:
            self._marks = [*self._marks[-1:], mark]

    def evaluated(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._marks = []
        self.note(
            f"step {metrics.step:<6d} phase {metrics.phase + 1}  {metrics.image_size:>3d} px  loss {metrics.loss:.4f}  "
            f"accuracy {metrics.accuracy:.4f}  averaged {metrics.ema_accuracy:.4f}  "
            f"{metrics.images_per_s:.0f} images/s  {metrics.seconds:.1f} s"
        )

    def _steps_per_s(self) -> float | None:
        if self._now is None or not self._marks:
            return None
        seconds, steps = time.monotonic() - self._marks[0][0], self._now.step - self._marks[0][1]
        return steps / seconds if steps and seconds > 0 else None

    def __rich__(self) -> Text:
        now = self._now
        if now is None:
            return Text("getting ready")
        parts = [
            f"step {now.step}/{now.total_steps}",
            f"phase {now.phase.index + 1}/{len(now.phases)}",
            f"{now.phase.image_size} px",
            f"loss {now.loss:.3f}",
        ]
        if self._metrics is not None:
            parts.append(f"accuracy {self._metrics.ema_accuracy:.4f}")
        rate = self._steps_per_s()
        if rate is not None:
            parts += [f"{rate * now.batch_size:.0f} images/s", f"{_duration(work_left(now) / rate)} left"]
        return Text(" | ".join(parts), overflow="ellipsis", no_wrap=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
