"""What is believed of networks that were not trained: their costs known, their accuracy a distribution."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from nas.search.samplers._domain import Candidate, Costs, Domain, Goal, Outcome
from nas.search.samplers._surrogate import Features, Surrogate

__all__ = ["LEAST_ACCURACY", "Belief", "Believed"]

T = TypeVar("T")
Floats = NDArray[np.float64]

_Z = float(ndtri(0.975))
LEAST_ACCURACY = 1e-6
_LEAST = 1e-6


class Believed(NamedTuple):
    """Of n networks: the logs of accuracy and of step time, each as mean and standard deviation; params. All (n)."""

    log_accuracy: Floats
    log_accuracy_deviation: Floats
    log_step_time: Floats
    log_step_time_deviation: Floats
    params: Floats


class Belief(Generic[T]):
    """Learns from a search's candidates and their outcomes; where the domain does not know step times, those too."""

    def __init__(self, domain: Domain[T], goal: Goal) -> None:
        self._domain = domain
        self._goal = goal
        self._features = Features(domain)
        self._accuracy, self._step_time = Surrogate(), Surrogate()
        self._rows: dict[int, Floats] = {}

    def features(self, candidates: Iterable[Candidate[T]]) -> Floats:
        """Inputs of the surrogates, one row a candidate."""
        candidates = list(candidates)
        fresh = [candidate for candidate in candidates if candidate.index not in self._rows]
        costs = self._domain.costs([each.arch for each in fresh])
        rows = self.features_of([each.decisions for each in fresh], costs)
        self._rows.update(zip((each.index for each in fresh), rows, strict=True))
        return np.array([self._rows[each.index] for each in candidates]).reshape(-1, rows.shape[1])

    def features_of(self, decisions: Sequence[Sequence[int]], costs: Sequence[Costs]) -> Floats:
        return self._features.of(decisions, costs)

    def learn(self, candidates: Mapping[int, Candidate[T]], outcomes: Mapping[int, Outcome]) -> None:
        """From `outcomes`, in the order in which they were told; at least one has an accuracy. Candidates without an
        outcome are in training."""
        told = [(candidates[index], outcome) for index, outcome in outcomes.items()]
        pending = self.features(candidate for index, candidate in candidates.items() if index not in outcomes)
        lowest = min(outcome.accuracy for _, outcome in told if outcome.accuracy is not None)
        scored = [
            (candidate, lowest if outcome.accuracy is None else outcome.accuracy)
            for candidate, outcome in told
            if outcome.accuracy is not None or not self._is_too_slow(outcome)
        ]
        accuracies = np.maximum([accuracy for _, accuracy in scored], LEAST_ACCURACY)
        self._accuracy.fit(self.features(candidate for candidate, _ in scored), np.log(accuracies), pending)
        timed = [(candidate, outcome.step_time) for candidate, outcome in told if outcome.step_time is not None]
        if timed and self._predicts_no_step_time(timed[0][0]):
            log_ratios = np.log([step_time for _, step_time in timed])
            self._step_time.fit(self.features(candidate for candidate, _ in timed), log_ratios, pending)

    def _is_too_slow(self, outcome: Outcome) -> bool:
        """A trial that was ended for its step time says nothing of accuracy; any other without one failed in training,
        and counts as the least accurate so far."""
        return outcome.step_time is not None and not self._goal.limits.step_time_allows(outcome.step_time)

    def _predicts_no_step_time(self, candidate: Candidate[T]) -> bool:
        return self._domain.costs([candidate.arch])[0].step_time is None

    def of_tried(self, candidates: Sequence[Candidate[T]], outcomes: Mapping[int, Outcome]) -> Believed:
        """What is believed of candidates that did not fail; those without an outcome are in training."""
        costs = self._domain.costs([candidate.arch for candidate in candidates])
        believed = self._of(self.features(candidates), costs)
        measured = [outcomes[each.index].accuracy if each.index in outcomes else None for each in candidates]
        logs = np.log([max(LEAST_ACCURACY, accuracy) if accuracy is not None else 1.0 for accuracy in measured])
        accuracies = np.where(logs < self._accuracy.lowest, logs, believed.log_accuracy)
        return believed._replace(log_accuracy=accuracies)

    def of(self, decisions: Sequence[Sequence[int]], costs: Sequence[Costs]) -> Believed:
        """What is believed of the networks given."""
        return self._of(self.features_of(decisions, costs), costs)

    def _of(self, features: Floats, costs: Sequence[Costs]) -> Believed:
        params = np.array([float(cost.params) for cost in costs])
        return Believed(*self._accuracy.predict(features), *self._log_step_times(features, costs), params)

    def _log_step_times(self, features: Floats, costs: Sequence[Costs]) -> tuple[Floats, Floats]:
        known = [(cost.step_time, cost.step_time_low or cost.step_time) for cost in costs if cost.step_time is not None]
        if len(known) == len(costs):
            ratios, lows = np.array(known).T
            return np.log(ratios), np.maximum(np.log(ratios / lows) / _Z, _LEAST)
        if self._step_time.is_fitted:
            return self._step_time.predict(features)
        return np.zeros(len(costs)), np.full(len(costs), _LEAST)
