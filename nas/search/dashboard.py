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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from nas.search.dashboard_rows import rows_of
from nas.search.run import recorded
from nas.text import printable
from results import Run, RunError

__all__ = ["RunDashboard"]

MAXIMIZE, MINIMIZE = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
METRICS = {
    "reward": {"reward": MAXIMIZE},
    "front": {"accuracy": MAXIMIZE, "step_time_ratio": MINIMIZE, "params": MINIMIZE},
}
"""Of each study, with the direction in which it is better."""
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
            raise ValueError("optuna-dashboard must be installed: pip install optuna-dashboard") from None
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
    found = {network.trial: network for network in run.networks(device=device, no_limits=True)}
    best = run.best(device=device)
    storage = _Storage(best=best.trial if best else None)
    rows = list(rows_of(run, space, found))
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
