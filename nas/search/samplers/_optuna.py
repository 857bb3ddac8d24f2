"""Optuna's samplers, asked and told in memory: the run's own record is what lasts."""

from abc import abstractmethod
from typing import ClassVar, TypeVar

import optuna

from nas.search.samplers._base import Sampler
from nas.search.samplers._domain import Candidate, Domain, Goal, Outcome

__all__ = ["NSGA2Sampler", "OptunaSampler", "TPESampler"]

optuna.logging.set_verbosity(optuna.logging.ERROR)

T = TypeVar("T")


class OptunaSampler(Sampler[T]):
    """A study in memory over the domain's decisions: one objective, the reward, or for a front three of them. What
    failed, or is outside the limits, is told as failed."""

    MODEL_TRIES: ClassVar[int] = 50
    LEAST_TRIES: ClassVar[int] = 5
    LOOKS: ClassVar[int] = 50_000
    """In all tries for a proposal the model looks at about so many trials: at all that it knows in each."""

    def __init__(self, domain: Domain[T], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            decision.name: optuna.distributions.CategoricalDistribution(range(len(decision.values)))
            for decision in domain.decisions
        }
        self._study = optuna.create_study(
            directions=["maximize", "minimize", "minimize"] if goal.front else ["maximize"]
        )
        self._running: dict[int, tuple[int, tuple[int, ...]]] = {}
        """Optuna's number of the trial, and its decisions, by the index of ours."""

    @abstractmethod
    def _optuna_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Optuna's sampler for one proposal."""

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        if attempt >= min(self.MODEL_TRIES, max(self.LEAST_TRIES, self.LOOKS // max(1, len(self._outcomes)))):
            # Late in a small space, and under limits that few networks keep to, the model proposes what is known or
            # refused again and again: draw at random instead. The study is told of what comes of it.
            return self._draw(index, attempt)
        return self._ask(index, attempt)

    def _ask(self, index: int, attempt: int) -> tuple[int, ...]:
        self._study.sampler = self._optuna_sampler(int(self._generator(index, attempt).integers(2**32)))
        trial = self._study.ask(self._distributions)
        decisions = tuple(trial.params[name] for name in self._distributions)
        self._running[index] = trial.number, decisions
        return decisions

    def _reject(self, index: int) -> None:
        if index in self._running:
            self._study.tell(self._running.pop(index)[0], state=optuna.trial.TrialState.FAIL)

    def _take(self, candidate: Candidate[T]) -> None:
        running = self._running.get(candidate.index)
        if running is None or running[1] != candidate.decisions:
            # Drawn at random, on record from an earlier session, or described otherwise.
            self._reject(candidate.index)
            self._add(candidate)

    def _add(self, candidate: Candidate[T]) -> None:
        """A running trial of these decisions, as if Optuna had proposed it; its sampler is not asked."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=self._params(candidate),
                distributions=self._distributions,
            )
        )
        self._running[candidate.index] = number, candidate.decisions

    def _params(self, candidate: Candidate[T]) -> dict[str, int]:
        return dict(zip(self._distributions, candidate.decisions, strict=True))

    def _learn(self, candidate: Candidate[T], outcome: Outcome) -> None:
        (number, _), values = self._running.pop(candidate.index), self._values(candidate, outcome)
        if values is None:
            self._study.tell(number, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(number, values)

    def _values(self, candidate: Candidate[T], outcome: Outcome) -> list[float] | None:
        costs = self._costs(candidate.arch)
        reward = self._goal.reward(outcome, costs)
        if reward is None:
            return None
        if not self._goal.front:
            return [reward]
        assert outcome.accuracy is not None, "what has a reward has an accuracy"
        assert outcome.step_time is not None, "what has a reward has a step time"
        return [outcome.accuracy, outcome.step_time, float(costs.params)]


class _KnowsItsSpace:
    """Every trial has every decision: Optuna need not look through all trials for those that they share."""

    known: dict[str, optuna.distributions.BaseDistribution]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        return {name: known for name, known in sorted(self.known.items()) if not known.single()}


class _TPE(_KnowsItsSpace, optuna.samplers.TPESampler):
    pass


class _NSGAII(_KnowsItsSpace, optuna.samplers.NSGAIISampler):
    pass


class TPESampler(OptunaSampler[T]):
    """Tree-structured Parzen estimator (Optuna's, multivariate, running trials counted as bad)."""

    START_UP_TRIALS: ClassVar[int] = 16

    def _optuna_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        sampler = _TPE(seed=seed, n_startup_trials=self.START_UP_TRIALS, multivariate=True, constant_liar=True)
        sampler.known = self._distributions
        return sampler


class NSGA2Sampler(OptunaSampler[T]):
    """NSGA-II (Deb et al., 2002; Optuna's). For the reward it is a plain genetic algorithm."""

    POPULATION: ClassVar[int] = 20

    def _add(self, candidate: Candidate[T]) -> None:
        # Optuna notes a trial's generation when it samples for it, which it does not where all is given beforehand; a
        # trial without one is no member of any population. So its sampler is asked; what it says is not taken.
        self._study.enqueue_trial(self._params(candidate))
        self._study.sampler = self._optuna_sampler(int(self._generator(candidate.index, 0).integers(2**32)))
        trial = self._study.ask(self._distributions)
        _ = trial.relative_params
        self._running[candidate.index] = trial.number, candidate.decisions

    def _optuna_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        sampler = _NSGAII(seed=seed, population_size=self.POPULATION)
        sampler.known = self._distributions
        return sampler
