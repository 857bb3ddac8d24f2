"""What every sampler is: ask for a candidate, tell what was measured of it, recover from what is on record."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np

from nas.search.samplers._domain import Candidate, Costs, Domain, Goal, Outcome, Refusal
from search_space.variation import draw

__all__ = ["Asked", "Sampler", "SpaceExhausted", "Told"]

T = TypeVar("T")


class SpaceExhausted(Exception):
    """No network is left that has not been proposed and that the limits allow; the message says what was seen."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """On record: these decisions were proposed as trial `index`."""

    index: int
    decisions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Told:
    """On record: this came of trial `index`."""

    index: int
    outcome: Outcome


class Sampler(ABC, Generic[T]):
    """Proposes what a domain holds, each thing at most once.

    Public methods keep the books; a kind of sampler fills in `_propose`, from the books alone or with a model of its
    own that `_take` and `_learn` keep. So what a sampler proposes is a function of its seed and of the order in which
    it was asked and told: a run that is recovered goes on as if it had not been interrupted.

    Args:
        domain: where candidates come from.
        goal: what is searched for, and the limits.
        seed: of all that is drawn.

    Raises:
        ValueError: where this kind of sampler cannot work for the goal.
    """

    MAX_TRIES: ClassVar[int] = 20_000
    FINDS_FRONTS: ClassVar[bool] = True
    """Whether it can search for a front as well as for the highest reward."""

    def __init__(self, domain: Domain[T], *, goal: Goal, seed: int) -> None:
        if goal.front and not self.FINDS_FRONTS:
            raise ValueError("goal must be reward for this sampler: it compares by one number")
        self._domain = domain
        self._goal = goal
        self._seed = seed
        self._candidates: dict[int, Candidate[T]] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._taken: set[tuple[int, ...]] = set()

    def prepare(self) -> None:
        """Load what a proposal needs, while there is nothing else to do."""

    def ask(self, index: int | None = None) -> Candidate[T]:
        """The next candidate, for trial `index`: where it is not given, one above the highest so far.

        Raises:
            SpaceExhausted: where none is found; the search ends.
        """
        if index is None:
            index = max(self._candidates, default=-1) + 1
        refused: dict[tuple[int, ...], Refusal] = {}
        draws = 0
        for attempt in range(self.MAX_TRIES):
            draws += 1
            arch = self._domain.decode(self._propose(index, attempt))
            decisions = self._domain.encode(arch)
            refusal = refused.get(decisions) or self._goal.refusal(self._costs(arch))
            if refusal is not None:
                refused[decisions] = refusal
                self._reject(index)
            elif decisions in self._taken:
                self._reject(index)
            else:
                return self._book(Candidate(index=index, decisions=decisions, arch=arch))
            if len(refused) + len(self._taken) >= self._domain.size:
                break
        raise SpaceExhausted(self._why_exhausted(list(refused.values()), draws))

    def _costs(self, arch: T) -> Costs:
        return self._domain.costs([arch])[0]

    def _book(self, candidate: Candidate[T]) -> Candidate[T]:
        self._candidates[candidate.index] = candidate
        self._taken.add(candidate.decisions)
        self._take(candidate)
        return candidate

    def _why_exhausted(self, refusals: list[Refusal], draws: int) -> str:
        name, tried = self._domain.name, len(self._taken)
        if not refusals or tried:
            return f"no network of the space {name} is left to try: {tried:,} were proposed"
        seen = [_range_text(quantity, refusals) for quantity in dict.fromkeys(each.quantity for each in refusals)]
        found = f"was found in {draws:,} draws"
        return f"no network of the space {name} within the limits {found}; refused were {' and '.join(seen)}"

    def tell(self, candidate: Candidate[T], outcome: Outcome) -> None:
        """What came of a candidate of this sampler, however its trial ended."""
        self._outcomes[candidate.index] = outcome
        self._learn(candidate, outcome)

    def pending(self) -> list[Candidate[T]]:
        """The candidates that nothing has been told of, in the order in which they were asked for."""
        return [candidate for index, candidate in self._candidates.items() if index not in self._outcomes]

    def picks(self) -> list[Candidate[T]]:
        """The candidates that were measured and are within the limits, the one held for the best first."""
        rewards = {
            index: self._goal.reward(outcome, self._costs(self._candidates[index].arch))
            for index, outcome in self._outcomes.items()
        }
        ranked = sorted((-reward, index) for index, reward in rewards.items() if reward is not None)
        return [self._candidates[index] for _, index in ranked]

    def recover(self, history: Iterable[Asked | Told]) -> None:
        """Take in what an earlier session asked and told, in the order in which it did."""
        for event in history:
            if isinstance(event, Told):
                self.tell(self._candidates[event.index], event.outcome)
            else:
                arch = self._domain.decode(event.decisions)
                candidate = Candidate(index=event.index, decisions=self._domain.encode(arch), arch=arch)
                self._book(candidate)

    @abstractmethod
    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        """Decisions for trial `index`; `attempt` counts the proposals for it that were not taken."""

    def _reject(self, index: int) -> None:
        """The last proposal was not taken."""

    def _take(self, candidate: Candidate[T]) -> None:
        """A candidate was asked for, here or in an earlier session."""

    def _learn(self, candidate: Candidate[T], outcome: Outcome) -> None:
        """What came of a candidate."""

    def _draw(self, index: int, attempt: int) -> tuple[int, ...]:
        """Decisions at random, a function of the seed and these two."""
        return draw(self._domain.decisions, random.Random(f"{self._seed}:{index}:{attempt}"))

    def _generator(self, *parts: int) -> np.random.Generator:
        """Randomness of its own for one purpose, so that neighbouring trials draw unrelated numbers."""
        return np.random.default_rng((self._seed, *parts))


def _range_text(quantity: str, refusals: Iterable[Refusal]) -> str:
    values = [refusal.value for refusal in refusals if refusal.quantity == quantity]
    return f"{quantity} from {_number(min(values))} to {_number(max(values))}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
