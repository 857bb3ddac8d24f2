"""A run's trials as the rows of Optuna studies; `nas.search.dashboard` says what each looks like."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.text import printable
from results import Limits, Network, Run, RunError, TrialResult, TrialStatus
from search_space import Space

__all__ = ["Row", "rows_of"]

MAX_ROWS = 100_000
METRICS = ("reward", "accuracy", "step_time_ratio", "params")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial as both studies show it; `measured` is by metric, None where it has no values."""

    state: TrialState
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    attributes: Mapping[str, Any]
    measured: Mapping[str, float] | None = None
    constraints: Sequence[float] = ()
    began: datetime | None = None
    ended: datetime | None = None

    def trial(self, metrics: Sequence[str]) -> FrozenTrial:
        made = create_trial(
            state=self.state,
            params=dict(self.params),
            distributions=dict(self.distributions),
            user_attrs=dict(self.attributes),
            # Optuna 5 has named constraints, which the dashboard does not read; Optuna reads these too.
            system_attrs={"constraints": list(self.constraints)} if self.constraints else {},
            values=None if self.measured is None else [self.measured[metric] for metric in metrics],
        )
        made.datetime_start, made.datetime_complete = self.began, self.ended
        return made


def rows_of(run: Run, space: Space, found: Mapping[int, Network]) -> Iterator[Row]:
    """One for each number up to the highest on record."""
    trials = {trial.index: trial for trial in run.trials}
    asks = {ask.index: ask for ask in run.asks_file.records}
    num_rows = max(trials.keys() | asks.keys()) + 1
    if num_rows > MAX_ROWS:
        raise RunError(f"{run.folder}: has a trial {num_rows - 1}, and at most {MAX_ROWS:,} are shown")
    firsts = {trial.key: trial.index for trial in reversed(run.trials) if not trial.repeat}
    # The record knows the budget's clock alone: the last trial has ended when the file was written.
    written = datetime.fromtimestamp((run.folder / "trials.jsonl").stat().st_mtime)
    clock_began = written - timedelta(seconds=max(trial.ended_s for trial in run.trials))
    for index in range(num_rows):
        trial, ask = trials.get(index), asks.get(index)
        try:
            if trial is not None:
                decisions = trial.decisions or space.encode(trial.arch)
                chosen = _chosen(space, decisions)
            else:
                chosen = _chosen(space, ask.decisions) if ask is not None else ({}, {})
        except ValueError as error:
            raise RunError(f"{run.folder}: trial {index}: {error}") from None
        params, distributions = chosen
        if trial is None:
            attributes = {"reason": "nothing is on record yet"}
            yield Row(state=TrialState.WAITING, params=params, distributions=distributions, attributes=attributes)
            continue
        network = found.get(index)
        yield Row(
            state=_state(trial, network),
            params=params,
            distributions=distributions,
            attributes=_attributes(trial, network, firsts.get(trial.key)),
            measured=None if network is None else {metric: float(getattr(network, metric)) for metric in METRICS},
            constraints=() if network is None else _outside(network, run.limits),
            began=clock_began + timedelta(seconds=trial.started_s),
            ended=clock_began + timedelta(seconds=trial.ended_s),
        )


def _chosen(space: Space, decisions: Sequence[int]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Params and distributions of the decisions that have a meaning."""
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for decision, position, active in zip(space.decisions, decisions, space.active(decisions), strict=True):
        if active:
            params[decision.name] = decision.values[position]
            distributions[decision.name] = CategoricalDistribution(decision.values)
    return params, distributions


def _state(trial: TrialResult, network: Network | None) -> TrialState:
    if network is not None:
        return TrialState.COMPLETE
    return TrialState.PRUNED if trial.ok or trial.status is TrialStatus.PRUNED else TrialState.FAIL


def _attributes(trial: TrialResult, network: Network | None, first: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "status": str(trial.status),
        "network": str(trial.arch),
        "params": trial.params,
        "macs": trial.macs,
        "seconds": trial.seconds,
        "device": printable(trial.device),
        "accuracy": trial.accuracy,
        "step_time_ratio": trial.step_time_ratio,
        "weights": str(trial.weights),
        "reason": trial.reason and "\n".join(map(printable, trial.reason.splitlines())),
    }
    if network is not None and network.confirmed:
        found["num_trained_anew"] = network.num_trainings
    elif network is not None and network.final.confirmed:
        found |= {"num_trained_alone": network.final.num_trainings, "accuracy_alone": network.final.accuracy}
    elif trial.ok and network is None:
        anew = f"trained anew, repeat {trial.repeat}: see trial {first}"
        found["reason"] = anew if trial.repeat else "measured on another device than is shown"
    return {name: value for name, value in found.items() if value is not None}


def _outside(network: Network, limits: Limits) -> list[float]:
    """By how much of itself each limit is broken; at most 0 where it is kept."""
    checks = (
        (limits.max_params, network.params, 1),
        (limits.min_params, network.params, -1),
        (limits.max_step_time, network.step_time_ratio, 1),
        (limits.min_accuracy, network.accuracy, -1),
    )
    return [sign * (value - limit) / (limit or 1) for limit, value, sign in checks if limit is not None]
