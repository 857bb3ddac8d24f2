"""Which trial Tune gives a free worker to, how long it keeps one that is free, and that it forgets what has ended."""

import contextlib
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

__all__ = ["LatestFirst"]


class LatestFirst(FIFOScheduler):
    """The trial that was asked for last comes first, and a worker without one is kept: it has torch imported.

    Tune gives a free worker to the chosen trial also where one of that trial's own is just starting, which is then
    ended. First come, first served, no second worker would come up where trials are shorter than that takes; what was
    asked for last has none yet. And of the free workers Tune ends all but one: they would have to start anew when a
    search has ended and its confirmation begins.

    Tune holds each trial that has ended, 0.1 MB, to the end of the experiment, asks all of them in each of its steps
    whether they have, and writes all of them down every ten seconds. The record is ours: Tune's copy is dropped.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._workers = workers
        self._waiting: list[Trial] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if self._workers:
            tune_controller._actor_cache.increase_max(trial.placement_group_factory, by=self._workers)
            self._workers = 0
        self._waiting.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called in each of Tune's steps."""
        # A later Ray may name these otherwise, and then keeps what has ended.
        with contextlib.suppress(AttributeError):
            _forget_ended(tune_controller)
        while self._waiting and self._waiting[-1].status != Trial.PENDING:
            self._waiting.pop()
        return self._waiting[-1] if self._waiting else None


def _forget_ended(tune_controller: Any) -> None:
    for ended in (tune_controller._stopped_trials, tune_controller._failed_trials):
        while ended:
            trial = ended.pop()
            tune_controller._trials.remove(trial)
            tune_controller._trials_to_cache.discard(trial)
            tune_controller._trial_metadata.pop(trial.trial_id, None)
