"""The Pareto front over accuracy, step time and parameters, limits on it, and how sure an accuracy is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

from results.devices import by_device, one_device
from results.record import TrialResult

__all__ = ["Limits", "accuracy_interval", "fronts_by_device", "hypervolume", "pareto_front"]

MAXIMISE = (True, False, False)
WORST_RATIO = 2.0


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

    def allow(self, trial: TrialResult) -> bool:
        """Whether a trial was measured (status `ok`) and keeps to every limit."""
        if not trial.ok or trial.accuracy is None or trial.step_time_ratio is None:
            return False
        accurate = self.min_accuracy is None or trial.accuracy >= self.min_accuracy
        return accurate and self.params_allow(trial.params) and self.step_time_allows(trial.step_time_ratio)


def _objectives(trial: TrialResult) -> tuple[float, float, float]:
    assert trial.accuracy is not None, "only ok trials have objectives"
    assert trial.step_time_ratio is not None, "only ok trials have objectives"
    return trial.accuracy, trial.step_time_ratio, float(trial.params)


def pareto_front(trials: Iterable[TrialResult], limits: Limits | None = None) -> list[TrialResult]:
    """The `ok` trials within `limits` that no other such trial dominates, most accurate first.

    A trial dominates another where it is at least as good in accuracy (more), step time (less) and parameters (less)
    and better in one of them; so trials that are equal in all three stand on the front together.

    Raises:
        ValueError: where the trials within `limits` are of more than one device.
    """
    limits = limits or Limits()
    allowed = one_device(trial for trial in trials if limits.allow(trial))
    if not allowed:
        return []
    from moocore import is_nondominated

    kept = is_nondominated([_objectives(trial) for trial in allowed], maximise=MAXIMISE, keep_weakly=True)
    front = [trial for trial, keep in zip(allowed, kept, strict=True) if keep]
    return sorted(front, key=lambda trial: (-_objectives(trial)[0], *_objectives(trial)[1:], trial.index))


def fronts_by_device(trials: Iterable[TrialResult], limits: Limits | None = None) -> dict[str, list[TrialResult]]:
    """The Pareto front of each device that has `ok` trials, in the order of `by_device`; empty where none of a device's
    is within `limits`."""
    return {device: pareto_front(group, limits) for device, group in by_device(trials).items()}


def hypervolume(trials: Sequence[TrialResult], reference_params: int) -> float:
    """How much of the box of useful networks the `ok` trials dominate, as a share in [0, 1].

    The box reaches from the ideal (accuracy 1, no step time, no parameters) to the reference point: accuracy 0 and
    twice the reference network's step time and parameters. A network beyond that point adds nothing, so shares are
    comparable between runs that have the same reference network, data and device, and only there.

    Raises:
        ValueError: where the `ok` trials are of more than one device.
    """
    points = [
        (accuracy, ratio, params / reference_params)
        for accuracy, ratio, params in map(_objectives, one_device(trial for trial in trials if trial.ok))
    ]
    if not points:
        return 0.0
    import moocore

    volume = moocore.hypervolume(points, ref=(0.0, WORST_RATIO, WORST_RATIO), maximise=MAXIMISE)
    return float(volume) / WORST_RATIO**2


def accuracy_interval(trial: TrialResult, confidence: float = 0.95) -> tuple[float, float] | None:
    """Wilson's interval of a trial's accuracy, as shares; None where the number of images is not known.

    It covers the chance of which images were held out, not that of the training: another seed differs by more.
    """
    if trial.accuracy is None or trial.num_evaluated is None:
        return None
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    count, share = trial.num_evaluated, trial.accuracy
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)
