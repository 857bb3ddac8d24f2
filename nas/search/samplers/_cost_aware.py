"""The sampler that knows what a network costs before it is trained, and learns only how accurate it will be."""

from collections.abc import Sequence
from importlib import import_module
from typing import ClassVar, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from nas.search.samplers._acquisition import expected_gain, merit
from nas.search.samplers._base import Sampler
from nas.search.samplers._belief import LEAST_ACCURACY, Belief, Believed
from nas.search.samplers._domain import Candidate, Costs, Domain, Goal, Outcome
from results.pareto import WORST_RATIO

__all__ = ["CostAwareSampler"]

T = TypeVar("T")
Decisions = tuple[int, ...]


class CostAwareSampler(Sampler[T]):
    """In A x S^w x P^v params are known exactly, and the step time from a model (or, where there is none, learned as
    the accuracy is): so a Gaussian process learns the accuracy, and candidates are chosen by the expected improvement
    of the reward, or the expected growth of the front's hypervolume. What is chosen is sought over the space by
    mutation and crossing over. Networks in training count as measured at their prediction, so that workers are given
    different ones. The first `START_UP` trials are random networks far from each other.

    A Gaussian process costs the cube of what it learns from in time, and the square in memory. So of a longer search
    than `LEARNS_FROM` trials it learns from the first half of so many (its kernel is of these), and of the others from
    the best and as many that are spread evenly over the search.
    """

    START_UP: ClassVar[int] = 8
    POOL: ClassVar[int] = 256
    GENERATIONS: ClassVar[int] = 4
    PARENTS: ClassVar[int] = 48
    CHILDREN: ClassVar[int] = 160
    KEPT: ClassVar[int] = 64
    LEARNS_FROM: ClassVar[int] = 1000

    def __init__(self, domain: Domain[T], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._belief = Belief(domain, goal)
        self._ranked: list[Decisions] = []
        self._params: dict[int, int] = {}

    def prepare(self) -> None:
        import_module("sklearn.gaussian_process")

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
        candidates = self._learned_from()
        known = [candidate for candidate in candidates.values() if not self._failed(candidate.index)]
        return known, self._belief.of_tried(known, self._outcomes)

    def _learned_from(self) -> dict[int, Candidate[T]]:
        """Learn; the candidates that were learned from, and those in training."""
        taught_by = self._taught_by()
        candidates = {
            index: candidate
            for index, candidate in self._candidates.items()
            if index in taught_by or index not in self._outcomes
        }
        self._belief.learn(candidates, taught_by)
        return candidates

    def _taught_by(self) -> dict[int, Outcome]:
        if len(self._outcomes) <= self.LEARNS_FROM:
            return self._outcomes
        told = list(self._outcomes)
        first, others = told[: self.LEARNS_FROM // 2], np.array(told[self.LEARNS_FROM // 2 :])
        quarter = self.LEARNS_FROM // 4
        ranked = np.argsort(-merit(self._goal, self._measured(others.tolist())), kind="stable")
        rest = np.sort(ranked[quarter:])
        places = np.concatenate([ranked[:quarter], rest[np.linspace(0, len(rest) - 1, quarter).astype(int)]])
        return {index: self._outcomes[index] for index in [*first, *others[np.sort(places)].tolist()]}

    def _measured(self, indices: Sequence[int]) -> Believed:
        """What was measured, as if it were believed; what was not counts as the least."""
        outcomes = [self._outcomes[index] for index in indices]
        accuracies = np.log([max(LEAST_ACCURACY, outcome.accuracy or 0.0) for outcome in outcomes])
        step_times = np.log([outcome.step_time or WORST_RATIO for outcome in outcomes])
        params = np.array([float(self._params[index]) for index in indices])
        none = np.zeros(len(indices))
        return Believed(accuracies, none, step_times, none, params)

    def _learn(self, candidate: Candidate[T], outcome: Outcome) -> None:
        self._params[candidate.index] = self._costs(candidate.arch).params

    def picks(self) -> list[Candidate[T]]:
        """By the mean of what is believed and what was measured of their accuracy: one lucky training sways the first
        less, and what no smooth function of a network's decisions can say is in the second alone."""
        measured = super().picks()
        if not measured:
            return []
        with threadpool_limits(limits=1):
            self._learned_from()
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
