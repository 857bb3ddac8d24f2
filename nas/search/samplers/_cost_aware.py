"""The sampler that knows what a network costs before it is trained, and learns only how accurate it will be."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from nas.search.samplers._acquisition import expected_gain, merit
from nas.search.samplers._base import Sampler
from nas.search.samplers._belief import LEAST_ACCURACY, Belief, Believed
from nas.search.samplers._domain import Candidate, Costs, Domain, Goal

__all__ = ["CostAwareSampler"]

T = TypeVar("T")
Decisions = tuple[int, ...]


class CostAwareSampler(Sampler[T]):
    """In A x S^w x P^v params are known exactly, and the step time from a model (or, where there is none, learned as
    the accuracy is): so a Gaussian process learns the accuracy, and candidates are chosen by the expected improvement
    of the reward, or the expected growth of the front's hypervolume. What is chosen is sought over the space by
    mutation and crossing over. Networks in training count as measured at their prediction, so that workers are given
    different ones. The first `START_UP` trials are random networks far from each other.
    """

    START_UP: ClassVar[int] = 8
    POOL: ClassVar[int] = 256
    GENERATIONS: ClassVar[int] = 4
    PARENTS: ClassVar[int] = 48
    CHILDREN: ClassVar[int] = 160
    KEPT: ClassVar[int] = 64

    def __init__(self, domain: Domain[T], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._belief = Belief(domain, goal)
        self._ranked: list[Decisions] = []

    def _propose(self, index: int, attempt: int) -> Decisions:
        if attempt == 0:
            # Small matrices: more threads than one gain nothing, and take processors from the trials.
            with threadpool_limits(limits=1):
                self._ranked = self._rank(self._generator(index))
        if attempt < len(self._ranked):
            return self._ranked[attempt]
        return self._draw(index, attempt)

    def _rank(self, generator: np.random.Generator) -> list[Decisions]:
        """Proposals, the best first."""
        if sum(outcome.accuracy is not None for outcome in self._outcomes.values()) < self.START_UP:
            return self._far_apart(generator)
        known, tried = self._tried()
        gains: dict[Decisions, float] = {}

        def consider(proposed: Sequence[Decisions]) -> None:
            fresh = [row for row in dict.fromkeys(proposed) if row not in gains and row not in self._taken]
            allowed, costs = self._allowed(fresh)
            if allowed:
                found = expected_gain(self._goal, self._belief.of(allowed, costs), tried)
                gains.update(zip(allowed, found.tolist(), strict=True))

        def best(count: int) -> list[Decisions]:
            return sorted(gains, key=lambda row: -gains[row])[:count]

        consider(self._random(generator, self.POOL))
        order = np.argsort(-merit(self._goal, tried), kind="stable")[: self.PARENTS]
        leaders = [known[place].decisions for place in order]
        for _ in range(self.GENERATIONS):
            consider(self._children(generator, leaders + best(self.PARENTS)))
        return best(self.KEPT)

    def _tried(self) -> tuple[list[Candidate[T]], Believed]:
        """The candidates that did not fail, and what is believed of them now."""
        self._belief.learn(self._candidates, self._outcomes)
        known = [candidate for candidate in self._candidates.values() if not self._failed(candidate.index)]
        return known, self._belief.of_tried(known, self._outcomes)

    def picks(self) -> list[Candidate[T]]:
        """By the mean of what is believed and what was measured of their accuracy: one lucky training sways the first
        less, and what no smooth function of a network's decisions can say is in the second alone."""
        measured = super().picks()
        if not measured:
            return []
        with threadpool_limits(limits=1):
            self._belief.learn(self._candidates, self._outcomes)
            believed = self._belief.of_tried(measured, self._outcomes)
        logs = np.log([self._outcomes[candidate.index].accuracy or LEAST_ACCURACY for candidate in measured])
        even = believed._replace(log_accuracy=(believed.log_accuracy + logs) / 2)
        return [measured[place] for place in np.argsort(-merit(self._goal, even), kind="stable")]

    def _failed(self, index: int) -> bool:
        return index in self._outcomes and self._outcomes[index].accuracy is None

    def _random(self, generator: np.random.Generator, count: int) -> list[Decisions]:
        rows = generator.integers(0, self._domain.sizes, (count, len(self._domain.sizes)))
        return [tuple(row) for row in rows.tolist()]

    def _children(self, generator: np.random.Generator, parents: Sequence[Decisions]) -> list[Decisions]:
        """Of one parent or, each decision from one of them, of two; with one to three decisions redrawn."""
        if not parents:
            return []
        pool = np.array(parents)
        first, second = (pool[generator.integers(len(pool), size=self.CHILDREN)] for _ in range(2))
        from_second = (generator.random((self.CHILDREN, 1)) < 0.5) & (generator.random(first.shape) < 0.5)
        redrawn = generator.random(first.shape).argsort(1) < generator.integers(1, 4, (self.CHILDREN, 1))
        fresh = generator.integers(0, self._domain.sizes, first.shape)
        children = np.where(redrawn, fresh, np.where(from_second, second, first))
        return [tuple(row) for row in children.tolist()]

    def _far_apart(self, generator: np.random.Generator) -> list[Decisions]:
        """Random networks, the farthest from all that were proposed first."""
        allowed, costs = self._allowed(self._random(generator, self.POOL))
        if not allowed or not self._candidates:
            return allowed
        others = self._belief.features(self._candidates.values())
        distances = np.linalg.norm(self._belief.features_of(allowed, costs)[:, None] - others[None], axis=2)
        return [allowed[place] for place in np.argsort(-distances.min(1), kind="stable")]

    def _allowed(self, decisions: Sequence[Decisions]) -> tuple[list[Decisions], list[Costs]]:
        """Those that the limits do not refuse, with their costs."""
        costs = self._domain.costs([self._domain.decode(row) for row in decisions])
        kept = [place for place, cost in enumerate(costs) if self._goal.refusal(cost) is None]
        return [decisions[place] for place in kept], [costs[place] for place in kept]
