"""How long a training's steps wait for images."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from nas.device import Compute

if TYPE_CHECKING:
    import torch

__all__ = ["DataWatch"]

WARN_SHARE = 0.2
LEAST_STEPS, LEAST_SECONDS = 20, 10.0
"""Of a phase, before anything is said of it."""
UNCOUNTED = 3
"""First steps of a phase, in which workers start and memory is taken."""

Item = TypeVar("Item")


class _Count:
    """Of whole steps: seconds waited for images, and seconds of all; on CUDA, seconds that the device computed."""

    def __init__(self) -> None:
        self.steps, self.waited, self.all, self.computed = 0, 0.0, 0.0, 0.0

    def share(self, is_cuda: bool) -> float:
        """The share of the time in which the device stood still for want of images."""
        if self.all <= 0:
            return 0.0
        # Python runs ahead of a CUDA device: while that computes, waiting for images costs nothing.
        idle = self.all - self.computed if is_cuda else self.all
        return min(1.0, max(0.0, min(self.waited, idle) / self.all))


class DataWatch:
    """Passes batches on, and reads the clock before and after each. What happens after `restart` in a step, as an
    evaluation, is in no figure."""

    def __init__(self, compute: Compute, *, note: Callable[[str], None], advice: str) -> None:
        """`note` is told once a phase where waiting takes more than a fifth, with `advice`."""
        self._compute = compute
        self._note, self._advice = note, advice
        self._interval = _Count()
        self._counted = True
        self._events: deque[tuple[_Count, _Count, torch.cuda.Event, torch.cuda.Event]] = deque()

    def share(self) -> float:
        """Of the time since `restart` (or the start), the share in which the step waited."""
        self._collect()
        return self._interval.share(self._compute.is_cuda)

    def restart(self) -> None:
        """Begin a new interval; the step that runs is not counted."""
        self._interval = _Count()
        self._counted = False

    def timed(self, batches: Iterator[Item], *, batch_size: int) -> Iterator[Item]:
        """The batches of a phase, of so many images each."""
        phase, number, told = _Count(), 0, False
        while True:
            asked = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            given = time.perf_counter()
            begin = self._event()
            self._counted = True
            yield batch
            number += 1
            if self._counted and number > UNCOUNTED:
                end = self._event()
                for count in (self._interval, phase):
                    count.steps += 1
                    count.waited += given - asked
                    count.all += time.perf_counter() - asked
                if begin is not None and end is not None:
                    self._events.append((self._interval, phase, begin, end))
                    self._collect()
                told = told or self._warned(phase, batch_size)

    def _event(self) -> "torch.cuda.Event | None":
        if not self._compute.is_cuda:
            return None
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _collect(self) -> None:
        """Add up what the device has computed by now, without waiting for it."""
        while self._events and self._events[0][3].query():
            interval, phase, begin, end = self._events.popleft()
            seconds = begin.elapsed_time(end) / 1000
            interval.computed += seconds
            phase.computed += seconds

    def _warned(self, phase: _Count, batch_size: int) -> bool:
        if phase.steps < LEAST_STEPS or phase.all < LEAST_SECONDS:
            return False
        share = phase.share(self._compute.is_cuda)
        if share <= WARN_SHARE:
            return False
        given = batch_size * phase.steps / phase.all
        could = f"{given / (1 - share):.0f}" if share < 1 else "more"
        self._note(
            f"the step waits for images {100 * share:.0f} % of the time: the loader gives {given:.0f} images/s, the "
            f"step could take {could}; {self._advice}"
        )
        return True
