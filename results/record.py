"""What was measured of one candidate: a frozen record that is one line of trials.jsonl.

A trial that failed is a record too, with its status and the reason. Nothing that is not finite gets in: a NaN in a
reward poisons a sampler, and an infinite accuracy would sit on every Pareto front.
"""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from search_space.files import parse_json
from search_space.spec import ArchSpec

__all__ = ["TrialResult", "TrialStatus", "Weights"]

MAX_TEXT = 4000
MAX_INDEX = 10_000_000
MAX_COUNT = 10**18
MIN_RATIO, MAX_RATIO = 1e-6, 1e6
"""Of a step time to the reference network's: no training step is a million times another of its space. Within these
no exponent that an objective may have makes a reward too large for a float."""
RATIOS = ("step_time_ratio", "step_time_ratio_low", "step_time_ratio_high")
POSITIVE = (
    "step_time_s",
    "step_time_reference_s",
    "step_time_predicted",
    "step_time_predicted_low",
    "step_time_predicted_high",
)


class Weights(StrEnum):
    """What weights a trial's accuracy is of: trained from random ones (`own`), trained from a supernet's (`inherited`),
    or a supernet's as they are (`supernet`). Accuracies of different kinds do not compare."""

    OWN = "own"
    INHERITED = "inherited"
    SUPERNET = "supernet"


class TrialStatus(StrEnum):
    """How a trial ended. Only `ok` has every measurement and may stand on a front."""

    OK = "ok"
    PRUNED = "pruned"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


def check_count(name: str, value: object, high: int = MAX_COUNT, low: int = 0) -> None:
    """Raise ValueError, naming the field, for anything but an integer from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")


def _checked_number(name: str, value: object, *, positive: bool = False, low: float = 0, high: float = 1e18) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"TrialResult.{name} must be a finite number, got {value!r}")
    low_holds = value > 0 if positive else value >= low
    if not low_holds or value > high:
        rule = "above 0" if positive else f"at least {low:g}"
        raise ValueError(f"TrialResult.{name} must be {rule} and at most {high:g}, got {value!r}")
    return float(value)


def _check_within(name: str, low: float | None, value: float | None, high: float | None) -> None:
    if low is not None and value is not None and high is not None and not low <= value <= high:
        raise ValueError(f"TrialResult.{name} must lie in its interval [{low}, {high}], got {value}")


def _storable(text: str) -> str:
    """Text that UTF-8 can hold, its end kept where it is too long: the last lines of a traceback say what happened."""
    if len(text) > MAX_TEXT:
        text = "..." + text[-(MAX_TEXT - 3) :]
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial of a search.

    Attributes:
        index: the trial's number, from 0; unique in a run.
        status: how it ended.
        key: `arch.key`.
        seed: of the trial's training.
        params: trainable parameters.
        macs: multiply-adds of one image's forward pass at the train size.
        seconds: wall seconds of the trial on its worker.
        device_seconds: `seconds` times the GPUs held, or where none were, the processors.
        started_s, ended_s: seconds on the run's budget clock.
        worker: host and process that ran it.
        device: name of the device that it ran on.
        repeat: 0 for a training of a network as the sampler proposed it; r for the r-th training anew of a network
            that was tried before, with a new seed, to confirm it.
        weights: what weights the accuracy is of.
        reason: why the status is not `ok`; None where it is.
        accuracy: share in [0, 1] of the held-out images that were classified rightly.
        num_evaluated: how many images that share is of.
        step_time_ratio: seconds of a training step over the reference network's, timed in turn.
        step_time_ratio_low, step_time_ratio_high: interval of that ratio.
        step_time_s: the candidate's own seconds for a training step.
        step_time_reference_s: the reference network's own seconds for a training step, median in the same rounds.
        step_time_n: how many steps of the candidate were timed.
        step_time_precise: whether the ratio's interval became as narrow as was asked for before the measurement had to
            end.
        step_time_predicted: the ratio that a model predicted before anything of the trial was run.
        step_time_predicted_low, step_time_predicted_high: interval of that prediction.
        train_steps: optimizer steps taken.
        train_loss: training loss at the end.
        peak_memory_bytes: peak memory of one training step: of the allocator on CUDA, resident memory of the process
            that the step added otherwise.
        max_batch_size: the largest batch whose training step fits in the trial's memory, 0 for none.
        decisions: the candidate as the space encodes it.
        arch: the network.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    index: int
    status: TrialStatus
    key: str
    seed: int
    params: int
    macs: int
    seconds: float
    device_seconds: float
    started_s: float
    ended_s: float
    worker: str
    device: str
    repeat: int = 0
    weights: Weights = Weights.OWN
    reason: str | None = None
    accuracy: float | None = None
    num_evaluated: int | None = None
    step_time_ratio: float | None = None
    step_time_ratio_low: float | None = None
    step_time_ratio_high: float | None = None
    step_time_s: float | None = None
    step_time_reference_s: float | None = None
    step_time_n: int | None = None
    step_time_precise: bool | None = None
    step_time_predicted: float | None = None
    step_time_predicted_low: float | None = None
    step_time_predicted_high: float | None = None
    train_steps: int | None = None
    train_loss: float | None = None
    peak_memory_bytes: int | None = None
    max_batch_size: int | None = None
    decisions: tuple[int, ...] | None = None
    arch: ArchSpec

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", TrialStatus(self.status))
        object.__setattr__(self, "weights", Weights(self.weights))
        self._check_numbers()
        self._check_texts()
        if self.key != self.arch.key:
            raise ValueError(f"TrialResult.key must be arch.key, {self.arch.key}, got {self.key!r}")
        if self.ended_s < self.started_s:
            raise ValueError(f"TrialResult.ended_s must be at least started_s, {self.started_s}, got {self.ended_s}")
        self._check_intervals()
        if self.decisions is not None:
            for decision in self.decisions:
                check_count("TrialResult.decisions", decision)

    def _check_numbers(self) -> None:
        for name in ("index", "repeat"):
            check_count(f"TrialResult.{name}", getattr(self, name), MAX_INDEX)
        for name in ("seed", "macs"):
            check_count(f"TrialResult.{name}", getattr(self, name))
        check_count("TrialResult.params", self.params, low=1)
        for name in ("train_steps", "peak_memory_bytes", "max_batch_size"):
            if getattr(self, name) is not None:
                check_count(f"TrialResult.{name}", getattr(self, name))
        for name in ("num_evaluated", "step_time_n"):
            if getattr(self, name) is not None:
                check_count(f"TrialResult.{name}", getattr(self, name), low=1)
        for name in ("seconds", "device_seconds", "started_s", "ended_s"):
            object.__setattr__(self, name, _checked_number(name, getattr(self, name)))
        for name in POSITIVE:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _checked_number(name, getattr(self, name), positive=True))
        for name in RATIOS:
            if getattr(self, name) is not None:
                ratio = _checked_number(name, getattr(self, name), low=MIN_RATIO, high=MAX_RATIO)
                object.__setattr__(self, name, ratio)
        if self.train_loss is not None:
            object.__setattr__(self, "train_loss", _checked_number("train_loss", self.train_loss))
        if self.accuracy is not None:
            object.__setattr__(self, "accuracy", _checked_number("accuracy", self.accuracy, high=1))
        if self.step_time_precise is not None and not isinstance(self.step_time_precise, bool):
            raise ValueError(f"TrialResult.step_time_precise must be a bool, got {self.step_time_precise!r}")

    def _check_intervals(self) -> None:
        low, ratio, high = self.step_time_ratio_low, self.step_time_ratio, self.step_time_ratio_high
        if (low is None) != (high is None) or (low is not None and ratio is None):
            raise ValueError("TrialResult.step_time_ratio_low and _high must be given together, and with the ratio")
        _check_within("step_time_ratio", low, ratio, high)
        low, predicted, high = self.step_time_predicted_low, self.step_time_predicted, self.step_time_predicted_high
        if len({value is None for value in (low, predicted, high)}) > 1:
            raise ValueError("TrialResult.step_time_predicted, its _low and its _high must be given together")
        _check_within("step_time_predicted", low, predicted, high)

    def _check_texts(self) -> None:
        for name in ("worker", "device"):
            object.__setattr__(self, name, _storable(getattr(self, name)))
        if self.status is TrialStatus.OK:
            if self.reason is not None:
                raise ValueError(f"TrialResult.reason must be None where the status is ok, got {self.reason!r}")
            for name in ("accuracy", "step_time_ratio"):
                if getattr(self, name) is None:
                    raise ValueError(f"TrialResult.{name} must be given where the status is ok, got None")
        elif not self.reason:
            raise ValueError(f"TrialResult.reason must say why the status is {self.status}, got {self.reason!r}")
        else:
            object.__setattr__(self, "reason", _storable(self.reason))

    @property
    def ok(self) -> bool:
        return self.status is TrialStatus.OK

    def to_json(self) -> str:
        """This record on one line."""
        plain = {**vars(self), "arch": self.arch.to_dict()}
        return json.dumps(plain, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: naming the field, the rule and the value; an unknown field is refused.
        """
        return parse_json(cls, text)
