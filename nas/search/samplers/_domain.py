"""What a sampler knows of a space: categorical decisions, what they decode to, and what that costs.

No ops, no Ray, no torch: a table of somebody's measurements is as good a domain as a space of networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from results import Limits, Objective
from search_space import Decision

__all__ = ["Candidate", "Costs", "Domain", "Goal", "Outcome", "Refusal"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What is known of a network before it is trained. The step time, as a ratio to the reference network's, and the
    lower end of its 95 % interval are None where nothing predicts them."""

    params: int
    macs: int
    step_time: float | None = None
    step_time_low: float | None = None


class Refusal(NamedTuple):
    """Why a network may not be trained: the quantity that a limit forbids, and its value."""

    quantity: str
    value: int | float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured of a candidate; None for what was not. Without an accuracy the trial failed, or was ended
    because its step time is over the limit."""

    accuracy: float | None = None
    step_time: float | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate(Generic[T]):
    """What is proposed as trial `index`: its decisions, in their canonical form, and what they decode to."""

    index: int
    decisions: tuple[int, ...]
    arch: T


@dataclass(frozen=True, kw_only=True)
class Domain(Generic[T]):
    """A space as samplers see it.

    Args:
        name: for messages.
        decisions: the categoricals.
        decode: from one position a decision to the thing that is proposed.
        encode: back to its canonical positions: equal for all positions that mean the same.
        active: which decisions have an effect under given positions.
        size: how many different things there are.
        costs: of many of them, in order.
    """

    name: str
    decisions: tuple[Decision, ...]
    decode: Callable[[Sequence[int]], T]
    encode: Callable[[T], tuple[int, ...]]
    active: Callable[[Sequence[int]], tuple[bool, ...]]
    size: int
    costs: Callable[[Sequence[T]], list[Costs]]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each decision."""
        return tuple(len(decision.values) for decision in self.decisions)

    def canonical(self, decisions: Sequence[int]) -> tuple[int, ...]:
        return self.encode(self.decode(decisions))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a search is for: the highest reward, or (`front`) the largest hypervolume of accuracy, step time and
    params; within limits either way."""

    objective: Objective
    limits: Limits
    front: bool = False

    def refusal(self, costs: Costs) -> Refusal | None:
        """Why a network of these costs may not be trained; None where it may. A predicted step time refuses only with
        its whole interval."""
        if not self.limits.params_allow(costs.params):
            return Refusal("params", costs.params)
        step_time, low = costs.step_time, costs.step_time_low
        if step_time is not None and not self.limits.step_time_allows(step_time if low is None else low):
            return Refusal("predicted step time", step_time)
        return None

    def allows(self, outcome: Outcome) -> bool:
        """Whether what was measured is complete and within the limits."""
        if outcome.accuracy is None or outcome.step_time is None:
            return False
        accurate = self.limits.min_accuracy is None or outcome.accuracy >= self.limits.min_accuracy
        return accurate and self.limits.step_time_allows(outcome.step_time)

    def reward(self, outcome: Outcome, costs: Costs) -> float | None:
        """The reward of what was measured; None where it is not complete or not within the limits."""
        if not self.allows(outcome):
            return None
        assert outcome.accuracy is not None, "what is allowed has an accuracy"
        assert outcome.step_time is not None, "what is allowed has a step time"
        return self.objective.weigh(outcome.accuracy, outcome.step_time, costs.params)
