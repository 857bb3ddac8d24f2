"""How much a search may spend, and whether one more trial fits.

A budget is a number of trials, wall-clock time, or device time (devices held x seconds). A trial is admitted only
where it is expected to end within the budget; what runs is always finished. So a budget is overrun by at most what
one trial takes longer than it was expected to.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, Self

from nas.duration import UNITS, number_and_unit

__all__ = ["Budget", "BudgetKeeper"]

BudgetKind = Literal["trials", "wall", "gpu", "cpu"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """`amount` is trials for kind `trials`, seconds of wall clock for `wall`, device-seconds for `gpu` and `cpu`."""

    kind: BudgetKind
    amount: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """`40` trials; `90s`, `30m`, `8h`, `2d` wall clock; `6gpu-h`, `6cpu-h` (also -m, -s, -d) of device time."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:(gpu|cpu)-)?(s|m|min|h|d)?", text.strip().lower())
        rule = f"a budget must be trials (40), time (30m, 8h, 2d) or device time (6gpu-h, 6cpu-h), got {text!r}"
        if match is None:
            raise ValueError(rule)
        number, device, unit = match.groups()
        if unit is None:
            if device or not number.isdigit():
                raise ValueError(rule)
            kind: BudgetKind = "trials"
            amount = float(number)
        else:
            kind = "gpu" if device == "gpu" else "cpu" if device == "cpu" else "wall"
            amount = float(number) * UNITS[unit]
        if not 0 < amount < 1e9:
            raise ValueError(f"a budget must be above 0, and under 1e9 trials or seconds, got {text!r}")
        return cls(kind=kind, amount=amount)

    def describe(self, amount: float) -> str:
        """`amount` of this kind of budget, for a person."""
        if self.kind == "trials":
            return f"{amount:.0f} trial{'' if round(amount) == 1 else 's'}"
        number, unit = number_and_unit(amount)
        return f"{number}{unit}" if self.kind == "wall" else f"{number}{self.kind}-{unit}"


class BudgetKeeper:
    """Keeps the books of one run: what was spent, what runs, and whether another trial fits.

    All times are seconds on the run's own clock, which the caller reads and which goes on where an interrupted
    session stopped. `devices` is how many of the budget's devices one trial holds (1 where the kind has none).
    """

    def __init__(self, budget: Budget, *, devices: float = 1.0, expected_s: float = 0.0) -> None:
        self.budget = budget
        self.devices = devices
        self._expected_s = expected_s
        self._longest_s = 0.0
        self._running: dict[int, tuple[float, float | None]] = {}
        self._finished = 0
        self._device_seconds = 0.0

    @property
    def expected_s(self) -> float:
        """How long a trial is expected to take of which nothing is known: as the longest so far, or what was estimated
        beforehand."""
        return self._longest_s or self._expected_s

    def expect(self, seconds: float) -> None:
        """An estimate of a trial's seconds, in force until one has finished."""
        self._expected_s = seconds

    def start(self, index: int, now_s: float, expected_s: float | None = None) -> None:
        self._running[index] = now_s, expected_s

    def _or_longest(self, expected_s: float | None) -> float:
        return self.expected_s if expected_s is None else expected_s

    def finish(self, index: int, *, seconds: float, typical: bool) -> None:
        """Trial `index` ended. `typical`: it ran its full course, so its length says how long others will take."""
        self._running.pop(index, None)
        self._finished += 1
        self._device_seconds += seconds * self.devices
        if typical:
            self._longest_s = max(self._longest_s, seconds)

    def forget(self, index: int) -> None:
        """Trial `index` was started and will not end: it is as if it had not been."""
        self._running.pop(index, None)

    @property
    def running(self) -> int:
        return len(self._running)

    def _committed(self, now_s: float) -> float:
        """Spent, and what the running ones are still expected to spend."""
        if self.budget.kind == "trials":
            return self._finished + len(self._running)
        if self.budget.kind == "wall":
            return now_s
        ahead = sum(
            max(self._or_longest(expected_s), now_s - started_s) for started_s, expected_s in self._running.values()
        )
        return self._device_seconds + ahead * self.devices

    def admits(self, now_s: float, expected_s: float | None = None, *, share: float = 1.0) -> bool:
        """Whether one more trial, started now, is expected to end within that share of the budget; `expected_s` is what
        is known of its length."""
        match self.budget.kind:
            case "trials":
                needed = 1.0
            case "wall":
                needed = self._or_longest(expected_s)
            case "gpu" | "cpu":
                needed = self._or_longest(expected_s) * self.devices
        return self._committed(now_s) + needed <= self._part(share)

    def _part(self, share: float) -> float:
        """That share of the budget; 0.3 of 10 trials are 3 of them, which floating point alone does not say."""
        part = self.budget.amount * share
        return round(part, 6) if self.budget.kind == "trials" else part

    def room(self, now_s: float, seconds: float, *, at_once: int, share: float) -> int:
        """How many trials of so many seconds, `at_once` at a time, fit into what is left, or into that share of the
        whole (a part of a trial is one) where it is less."""
        left, part = self.budget.amount - self._committed(now_s), self._part(share)
        match self.budget.kind:
            case "trials":
                fit = min(left, math.ceil(part))
            case "wall":
                fit = min(left, part) / seconds * at_once
            case "gpu" | "cpu":
                fit = min(left, part) / (seconds * self.devices)
        return max(0, int(fit))

    def left(self, now_s: float) -> float:
        """What is not yet spent, in the budget's unit, at least 0."""
        match self.budget.kind:
            case "trials":
                spent = float(self._finished)
            case "wall":
                spent = now_s
            case "gpu" | "cpu":
                running = sum(now_s - started_s for started_s, _ in self._running.values())
                spent = self._device_seconds + running * self.devices
        return max(0.0, self.budget.amount - spent)
