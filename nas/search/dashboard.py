"""A run as optuna-dashboard shows it: two Optuna studies in memory, made from the record, which is never written to.

A study has one row a trial, numbered as the run numbers it. `reward` has the reward; `front` has accuracy, step time
ratio and params. A parameter is a decision of the space, absent where it has no meaning for the network.

    ok            complete; its constraints are how far it stands outside each of the run's limits (above 0: outside)
    pruned        pruned, with the reason as an attribute
    anything else failed, with the reason
    asked for, or being trained anew, and not on record yet: waiting

A network that was trained anew shows what its trainings anew say together (`results.Network`), in the row of its first
trial; they themselves are rows without values, so that no chance high is anybody's best.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.search.run import recorded
from nas.text import printable
from results import Limits, Network, Run, RunError, TrialResult, TrialStatus
from search_space import Space

__all__ = ["RunDashboard"]

MAX_ROWS = 100_000
MAXIMIZE, MINIMIZE = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
METRICS = {
    "reward": {"reward": MAXIMIZE},
    "front": {"accuracy": MAXIMIZE, "step_time_ratio": MINIMIZE, "params": MINIMIZE},
}
"""Of each study, with the direction in which it is better."""
ALL_METRICS = tuple(metric for metrics in METRICS.values() for metric in metrics)
LOOPBACK = ("127.0.0.1", "localhost")
NOTE = """\
Read from the record of `{run}`; what is changed here is forgotten, and nothing is written to the run.

The list of best trials takes no notice of limits in study `front`. With limits and intervals: `nas pareto {run}`.
"""
App = Callable[..., Any]


class RunDashboard:
    """optuna-dashboard of one run, as a WSGI application that answers requests to this machine alone."""

    def __init__(self, folder: Path, *, device: str | None = None) -> None:
        """`device` must be named where the run has trials of several, as their step times do not compare.

        Raises:
            RunError: for a folder that holds no search, a damaged run, one without a trial, or a device that it does
                not have.
            ValueError: where optuna-dashboard is not installed.
        """
        try:
            import optuna_dashboard  # noqa: F401
        except ImportError:
            raise ValueError("optuna-dashboard must be installed: pip install trainaware-nas[dashboard]") from None
        self._folder = folder
        self._seen: object = None
        self._app: App
        if not Run(folder).trials:
            raise RunError(f"{folder}: has no trial yet, so there is nothing to show")
        self._device = device
        self.update()

    def update(self) -> bool:
        """Read the record again; whether it had changed.

        Raises:
            RunError: where it is damaged; what was shown before stays.
        """
        from optuna_dashboard import wsgi

        seen = [_size(self._folder / name) for name in ("trials.jsonl", "asks.jsonl")]
        if seen == self._seen:
            return False
        run = Run(self._folder)
        self._app = wsgi(storage_of(run, self._device))
        self._seen = seen
        return True

    def __call__(self, environ: dict[str, Any], start_response: App) -> Any:
        """Answer a request. A page elsewhere, whose name may be made to point here, gets nothing."""
        if environ.get("HTTP_HOST", "").partition(":")[0] not in LOOPBACK:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"only http://127.0.0.1 is served\n"]
        return self._app(environ, start_response)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Storage(InMemoryStorage):
    """Whose best trial is the run's best, as limits and confirmation have it; where there is none, Optuna's."""

    def __init__(self, best: int | None) -> None:
        super().__init__()
        self._best = best

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        if self._best is None:
            return super().get_best_trial(study_id)
        return self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, self._best))


def storage_of(run: Run, device: str | None = None) -> InMemoryStorage:
    """The two studies, of the trials on `device` (None: the only one of the run).

    Raises:
        RunError: where the run's space or a trial cannot be read, or it has several devices and none is named.
    """
    from optuna_dashboard import save_note

    _, space = recorded(run)
    found = {network.trial: network for network in run.networks(limits=Limits(), device=device)}
    best = run.best(device=device)
    storage = _Storage(best=best.trial if best else None)
    rows = list(_rows(run, space, found))
    for name, metrics in METRICS.items():
        number = storage.create_new_study(list(metrics.values()), study_name=name)
        for row in rows:
            storage.create_new_trial(number, row.trial(tuple(metrics)))
        study = optuna.load_study(study_name=name, storage=storage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(metrics))
        save_note(study, NOTE.format(run=printable(run.folder)))
    return storage


@dataclass(frozen=True, kw_only=True)
class _Row:
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


def _rows(run: Run, space: Space, found: Mapping[int, Network]) -> Iterator[_Row]:
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
            yield _Row(state=TrialState.WAITING, params=params, distributions=distributions, attributes=attributes)
            continue
        network = found.get(index)
        yield _Row(
            state=_state(trial, network),
            params=params,
            distributions=distributions,
            attributes=_attributes(trial, network, firsts.get(trial.key)),
            measured=None if network is None else {metric: float(getattr(network, metric)) for metric in ALL_METRICS},
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
