"""The reward of a search: one number from accuracy, the cost of a training step, and size."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from results.record import TrialResult, check_count

__all__ = ["Objective", "reward"]


def reward(
    accuracy: float, step_time_ratio: float, params_ratio: float, *, w: float = -0.07, v: float = -0.05
) -> float:
    """A * S^w * P^v: the weighted product of EfficientNetV2 (arXiv 2104.00298, section 3.3).

    A is the accuracy as a share, S the time of a training step and P the number of parameters, both divided by the
    reference network's, so that the reward of the reference is its accuracy. With the paper's exponents a network
    with twice the step time needs 5 % (2^0.07) more accuracy for the same reward, one with twice the parameters 3.5 %.

    >>> reward(0.8, 1.0, 1.0)
    0.8
    >>> round(reward(0.8, 2.0, 1.0), 4)
    0.7621

    Raises:
        ValueError: for a ratio that is not above 0, or a value that is not finite.
    """
    for name, value in (("accuracy", accuracy), ("step_time_ratio", step_time_ratio), ("params_ratio", params_ratio)):
        if not math.isfinite(value) or value < 0 or (value == 0 and name != "accuracy"):
            rule = "at least 0" if name == "accuracy" else "above 0"
            raise ValueError(f"reward: {name} must be finite and {rule}, got {value!r}")
    return float(accuracy * step_time_ratio**w * params_ratio**v)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a run maximises: the exponents of step time (`w`) and of parameters (`v`), and the reference's parameters.

    Negative exponents make cost count against a network, 0 leaves it out.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    reference_params: int
    w: float = -0.07
    v: float = -0.05

    def __post_init__(self) -> None:
        check_count("Objective.reference_params", self.reference_params, low=1)
        for name in ("w", "v"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not -10 <= value <= 10:
                raise ValueError(f"Objective.{name} must be a number from -10 to 10, got {value!r}")
            object.__setattr__(self, name, float(value))

    def params_ratio(self, params: int) -> float:
        """Parameters over the reference network's."""
        return params / self.reference_params

    def weigh(self, accuracy: float, step_time_ratio: float, params: int) -> float:
        """The reward of a network of which this was measured."""
        return reward(accuracy, step_time_ratio, self.params_ratio(params), w=self.w, v=self.v)

    def reward(self, trial: TrialResult) -> float:
        """The reward of a trial whose status is `ok`.

        Raises:
            ValueError: for any other trial; it has no reward.
        """
        if not trial.ok or trial.accuracy is None or trial.step_time_ratio is None:
            raise ValueError(f"trial {trial.index} has no reward: its status is {trial.status}")
        return self.weigh(trial.accuracy, trial.step_time_ratio, trial.params)
