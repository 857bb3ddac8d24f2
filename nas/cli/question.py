"""What a run is asked afterwards: another reward, other limits. Nothing is trained for it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from results import Limits, Objective, Run

__all__ = ["Question"]

_WORSE = {"max_params": "larger", "min_params": "smaller", "max_step_time": "slower"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What networks of a run are ranked by, and what they must keep to."""

    objective: Objective
    limits: Limits

    @classmethod
    def of(cls, run: Run, typed: Mapping[str, float | None], *, no_limits: bool) -> "Question":
        """The run's own question with what was typed in its place: `w`, `v` and limits by name, None for what was not.
        `no_limits` drops the run's own limits first.

        Raises:
            ValueError: naming the flag, the rule and the value.
        """
        given: dict[str, Any] = {name: value for name, value in typed.items() if value is not None}
        weights = {name: given.pop(name) for name in ("w", "v") if name in given}
        kept = Limits() if no_limits else run.limits
        try:
            objective, _ = replace(run.objective, **weights), Limits(**given)
        except ValueError as error:
            raise ValueError(_of_flags(error)) from None
        try:
            return cls(objective=objective, limits=replace(kept, **given))
        except ValueError as error:
            raise ValueError(f"{_of_flags(error)}; one of them is the run's own, which --no-limits drops") from None

    def told(self, run: Run) -> str | None:
        """On one line, what is asked and what the run was asked; None where that is the same."""
        own = Question(objective=run.objective, limits=run.limits)
        if self == own:
            return None
        return f"asked anew: {self}; the search was asked: {own}"

    def __str__(self) -> str:
        limits = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in self._set()]
        return f"w {self.objective.w:g}, v {self.objective.v:g}, {', '.join(limits) or 'no limits'}"

    def _set(self) -> list[tuple[str, float]]:
        return [(name, value) for name, value in asdict(self.limits).items() if value is not None]

    def never_trained(self, run: Run) -> str | None:
        """Which networks these limits allow and the search did not train; None where there are none."""
        looser = self.limits.looser_than(run.limits)
        if not looser:
            return None
        ran = " and ".join(f"{name} {getattr(run.limits, name)}" for name in looser)
        worse = " or ".join(_WORSE[name] for name in looser)
        return f"the search ran under {ran}: networks that are {worse} were never trained and cannot be shown"


def _of_flags(error: ValueError) -> str:
    """An error of the values, told of the flags that they were typed by."""
    return re.sub(r"(Limits|Objective)\.(\w+)", lambda found: f"--{found[2].replace('_', '-')}", str(error))
