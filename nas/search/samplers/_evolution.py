"""Regularised evolution (Real et al., arXiv 1802.01548): tournaments, mutation, death by age."""

import random
from collections import deque
from typing import ClassVar, TypeVar

from nas.search.samplers._base import Sampler
from nas.search.samplers._domain import Candidate, Domain, Goal, Outcome
from search_space.variation import mutate

__all__ = ["EvolutionSampler"]

T = TypeVar("T")


class EvolutionSampler(Sampler[T]):
    """The population is the youngest `POPULATION` candidates that have a reward; the parent is the best of `SAMPLE` of
    them drawn at random, the child differs from it in one decision. Until there is a population, candidates are drawn
    at random. The paper's 100 and 25 are for some 20,000 trials; these are for 50 to 300."""

    FINDS_FRONTS: ClassVar[bool] = False
    POPULATION: ClassVar[int] = 20
    SAMPLE: ClassVar[int] = 8
    CHILD_TRIES: ClassVar[int] = 200

    def __init__(self, domain: Domain[T], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._population: deque[tuple[Candidate[T], float]] = deque(maxlen=self.POPULATION)

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        if len(self._population) < self.POPULATION or attempt >= self.CHILD_TRIES:
            # Late in a small space, and under limits that few networks keep to, children are known or refused.
            return self._draw(index, attempt)
        rng = random.Random(f"{self._seed}:{index}:{attempt}")
        parent = max(rng.sample(list(self._population), self.SAMPLE), key=lambda member: member[1])[0]
        return mutate(self._domain, parent.decisions, rng) or self._draw(index, attempt)

    def _learn(self, candidate: Candidate[T], outcome: Outcome) -> None:
        reward = self._goal.reward(outcome, self._costs(candidate.arch))
        if reward is not None:
            self._population.append((candidate, reward))
