"""What TensorBoard shows of a search: the scalars of each trial, at the number of trials on record with it."""

import time
from collections.abc import Callable
from contextlib import suppress

from nas.events import EventFile
from nas.text import printable
from results import RunWriter, TrialResult

__all__ = ["SearchScalars"]


class SearchScalars:
    """One session's event file in a run's folder. Its first write tells of all trials on record again, from step 1:
    what an earlier session wrote is forgotten, so that what TensorBoard shows is the record.

    Tags are `trial/...` of what was searched, `confirmation/...` of trainings anew, `search/num_failed`, and
    `best_reward/DEVICE`: the highest reward of a single searched trial so far that is within the run's limits.
    An event's time is the budget's clock, which goes on over sessions.
    """

    def __init__(self, writer: RunWriter, *, now_s: Callable[[], float], note: Callable[[str], None]) -> None:
        """`now_s` is the budget's clock; `note` is told where writing fails: it is tried no more then."""
        self._writer, self._now_s, self._note = writer, now_s, note
        self._file: EventFile | None = EventFile(writer.folder)
        self._num_told = self._num_failed = 0
        self._best: dict[str, float] = {}

    def update(self) -> None:
        """Tell of the trials that are on record by now; on the disk when this returns."""
        if self._file is None:
            return
        begun = time.time() - self._now_s()
        try:
            for trial in self._writer.trials[self._num_told :]:
                self._num_told += 1
                self._file.write(self._num_told, self._scalars(trial), wall_time=begun + trial.ended_s)
            self._file.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError):
                self._file.close()
            self._file = None
            self._note(f"tensorboard failed and is told nothing more: {type(error).__name__}: {error}")

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _scalars(self, trial: TrialResult) -> dict[str, float]:
        kind = "confirmation" if trial.repeat else "trial"
        found: dict[str, float] = {f"{kind}/params": trial.params, f"{kind}/seconds": trial.seconds}
        if trial.step_time_ratio is not None:
            found[f"{kind}/step_time_ratio"] = trial.step_time_ratio
        self._num_failed += not trial.ok
        if trial.ok and trial.accuracy is not None:
            reward = self._writer.objective.reward(trial)
            found |= {f"{kind}/accuracy": trial.accuracy, f"{kind}/reward": reward}
            if not trial.repeat and self._writer.limits.allow(trial):
                self._best[trial.device] = max(reward, self._best.get(trial.device, reward))
        best = {f"best_reward/{printable(device)}": reward for device, reward in self._best.items()}
        return {**found, **best, "search/num_failed": self._num_failed}
