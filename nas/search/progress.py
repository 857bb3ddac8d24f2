"""What a search says while it runs: one live line on a terminal, one line a finished trial, plain lines otherwise.

All of it goes to stderr, so that a command's result stands alone on stdout.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nas.search.confirm import AloneConfirmation
from nas.search.loop import SearchLoop
from nas.terminal import begin_live, stderr_console
from nas.text import printable
from results import Network, TrialResult, TrialStatus, Weights, best_network, networks_by_device, pareto_front

__all__ = ["Progress"]

LONG_LOOK_S, RESTS_FOR = 0.1, 50
"""A look at fronts and best networks that takes longer is followed by so many times its length without one."""
ALONE = {Weights.OWN: "alone", Weights.INHERITED: "from the supernet's weights"}


class Progress:
    """A context manager; told of a run's events by the driver. `on_lost` is told why the process is about to end where
    Ray was lost and holds it; by default that is noted."""

    def __init__(self, console: Console | None = None, *, on_lost: Callable[[str], None] | None = None) -> None:
        self.on_lost = on_lost or self.note
        self._console = console or stderr_console()
        self._live: Live | None = None
        self._loop: SearchLoop | None = None
        self._now_s = 0.0
        self._told_of_interrupt = self._told_of_confirmation = False
        self._num_seen = self._num_failed = 0
        self._look_after = 0.0
        self._fronts: list[int] = []
        self._bests: list[Network] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_live()

    def note(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)

    def begin(self, loop: SearchLoop) -> None:
        """What stops `loop` is told from now on."""
        self._loop = loop

    def begin_live(self) -> None:
        """From now on the live line shows how the loop stands, where stderr is a terminal."""
        if self._live is None:
            self._live = begin_live(self, self._console)

    def end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tick(self, now_s: float) -> None:
        """The run's clock, for the budget that is left."""
        self._now_s = now_s
        if self._loop is not None and self._loop.interrupted and not self._told_of_interrupt:
            self._told_of_interrupt = True
            num_running = self._loop.num_running
            first = f"{num_running} running trials are finished first" if num_running else "it ends"
            self.note(f"interrupted: {first}; once more ends at once")

        confirmation = self._loop.confirmation if self._loop is not None else None
        if confirmation is not None and not self._told_of_confirmation:
            self._told_of_confirmation = True
            self.note(
                f"the search is over; confirming: the best {confirmation.num_networks} networks are trained "
                + ("alone, " if isinstance(confirmation, AloneConfirmation) else "anew, ")
                + f"{confirmation.num_trainings} trainings with other seeds"
            )

    def finished(self, loop: SearchLoop, result: TrialResult) -> None:
        self._now_s = max(self._now_s, result.ended_s)
        line = _trial_line(loop, result)
        if self._live is None:
            line += f"  [{_left(loop, self._now_s)} left]"
        self.note(line)

    def _look(self, loop: SearchLoop) -> None:
        """Fronts and best networks anew, where there are more trials: asked for only as often as the line is drawn."""
        trials = list(loop.writer.trials)
        if len(trials) == self._num_seen or time.monotonic() < self._look_after:
            return
        begun = time.thread_time()
        self._num_failed += sum(
            trial.status not in (TrialStatus.OK, TrialStatus.PRUNED) for trial in trials[self._num_seen :]
        )
        self._num_seen = len(trials)
        found = networks_by_device(trials, loop.objective, loop.writer.limits).values()
        self._fronts = [len(pareto_front(networks)) for networks in found]
        self._bests = [best for networks in found if (best := best_network(networks)) is not None]
        # Of thousands of trials a look takes a second, in which nothing is started.
        seconds = time.thread_time() - begun
        self._look_after = time.monotonic() + RESTS_FOR * seconds if seconds > LONG_LOOK_S else 0.0

    def __rich__(self) -> Text:
        loop = self._loop
        if loop is None:
            return Text("")
        self._look(loop)
        num_done = len(loop.writer.trials)
        parts = [f"{num_done} done", f"{loop.num_running} running", f"{self._num_failed} failed"]
        for best in self._bests:
            where = f" on {best.device}" if len(self._fronts) > 1 else ""
            how = ", confirmed" if best.final.confirmed else ""
            parts.append(f"best reward {best.final.reward:.4f} (trial {best.trial}{how}){where}")
        sizes = " + ".join(str(size) for size in self._fronts)
        parts += [f"front {sizes or 0}", f"{_left(loop, self._now_s)} left"]
        if loop.stop_reason:
            parts.append(f"ending: {loop.stop_reason}")
        return Text(printable(" | ".join(parts)), overflow="ellipsis", no_wrap=True)


def _left(loop: SearchLoop, now_s: float) -> str:
    return loop.keeper.budget.describe(loop.keeper.left(now_s))


def _trial_line(loop: SearchLoop, result: TrialResult) -> str:
    again = ""
    if result.repeat:
        first = next(trial for trial in loop.writer.trials if trial.key == result.key)
        how = "again" if first.weights is result.weights else ALONE[result.weights]
        again = f"trial {first.index} {how}  "
    head = f"trial {result.index:<4d} {result.status:<13s} {again}"
    if result.ok and result.accuracy is not None and result.step_time_ratio is not None:
        return (
            f"{head}accuracy {result.accuracy:.4f}  step {result.step_time_ratio:.2f}x  "
            f"params {result.params / 1e6:.3f}M  reward {loop.objective.reward(result):.4f}  {result.seconds:.1f} s"
        )
    reason = (result.reason or "").strip().splitlines() or [""]
    return f"{head}{reason[-1][:150]}"
