"""Optuna's samplers, asked and told in memory: the run's own record is what lasts."""

import random
from typing import Any

import optuna

from nas.search.samplers._base import Candidate, Sampler

__all__ = ["TPESampler"]

optuna.logging.set_verbosity(optuna.logging.ERROR)


class TPESampler(Sampler):
    """Tree-structured Parzen estimator (Optuna's, multivariate, running trials counted as bad) on the reward."""

    START_UP_TRIALS = 16
    MODEL_TRIES = 50

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            decision.name: optuna.distributions.CategoricalDistribution(range(len(decision.values)))
            for decision in self._space.decisions
        }
        self._study = optuna.create_study(direction="maximize")
        self._running: dict[int, optuna.trial.Trial] = {}

    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        if attempt >= self.MODEL_TRIES:
            # Late in a small space, and under limits that few networks keep to, the model proposes what is known or
            # refused again and again: draw at random instead. The study is told of what comes of it.
            return self._space.encode(self._space.sample(random.Random(f"{self._seed}:{index}:{attempt}")))
        self._study.sampler = optuna.samplers.TPESampler(
            seed=hash_seed(self._seed, index, attempt),
            n_startup_trials=self.START_UP_TRIALS,
            multivariate=True,
            constant_liar=True,
        )
        trial = self._study.ask(self._distributions)
        self._running[index] = trial
        return tuple(trial.params[name] for name in self._distributions)

    def _reject(self, index: int) -> None:
        if index in self._running:
            self._study.tell(self._running.pop(index), state=optuna.trial.TrialState.FAIL)

    def _learn(self, candidate: Candidate, score: float | None) -> None:
        trial = self._running.pop(candidate.index, None)
        if trial is None:
            self._recover(candidate, score)
        elif score is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, score)

    def _recover(self, candidate: Candidate, score: float | None) -> None:
        self._study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE,
                params=dict(zip(self._distributions, candidate.decisions, strict=True)),
                distributions=self._distributions,
                value=score,
            )
        )


def hash_seed(*parts: int) -> int:
    """One 32-bit seed of several numbers, so that neighbouring trials draw unrelated numbers."""
    import numpy as np

    return int(np.random.SeedSequence(parts).generate_state(1)[0])
