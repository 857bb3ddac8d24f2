"""What a network must keep to."""

import math
import operator
from dataclasses import dataclass
from typing import Any, ClassVar

from results.record import TrialResult

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a network must keep to, None for no limit. `max_step_time` is a ratio to the reference network's.

    The plain reward always prefers the smallest network of a space; a limit is how a user says what size is wanted.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    max_params: int | None = None
    min_params: int | None = None
    max_step_time: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_params", "min_params"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"Limits.{name} must be an integer of at least 1, got {value!r}")
        if self.max_params is not None and self.min_params is not None and self.min_params > self.max_params:
            raise ValueError(f"Limits.min_params must be at most max_params, {self.max_params}, got {self.min_params}")
        step_time, accuracy = self.max_step_time, self.min_accuracy
        if step_time is not None and not (math.isfinite(step_time) and step_time > 0):
            raise ValueError(f"Limits.max_step_time must be finite and above 0, got {step_time!r}")
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"Limits.min_accuracy must be a share from 0 to 1, got {accuracy!r}")

    def params_allow(self, params: int) -> bool:
        """Known before anything is built."""
        return (self.max_params is None or params <= self.max_params) and (
            self.min_params is None or params >= self.min_params
        )

    def step_time_allows(self, step_time_ratio: float) -> bool:
        """Known before anything is trained."""
        return self.max_step_time is None or step_time_ratio <= self.max_step_time

    def keep(self, *, accuracy: float, step_time_ratio: float, params: int) -> bool:
        """Whether what was measured of a network keeps to every limit."""
        accurate = self.min_accuracy is None or accuracy >= self.min_accuracy
        return accurate and self.params_allow(params) and self.step_time_allows(step_time_ratio)

    def allow(self, trial: TrialResult) -> bool:
        """Whether a trial was measured (status `ok`) and keeps to every limit."""
        if not trial.ok or trial.accuracy is None or trial.step_time_ratio is None:
            return False
        return self.keep(accuracy=trial.accuracy, step_time_ratio=trial.step_time_ratio, params=trial.params)

    def looser_than(self, searched: "Limits") -> tuple[str, ...]:
        """Names of the limits by which these allow networks that a search within `searched` never trained.

        Not `min_accuracy`: what falls short of it was trained, and is on record.
        """
        checks = (("max_params", operator.gt), ("min_params", operator.lt), ("max_step_time", operator.gt))
        return tuple(
            name
            for name, is_looser in checks
            if (limit := getattr(searched, name)) is not None
            and (getattr(self, name) is None or is_looser(getattr(self, name), limit))
        )
