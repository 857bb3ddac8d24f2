"""The search itself, without an engine: which trial comes next, what becomes of it, when it is over.

    while not over:
        if the budget admits another and a worker is free: task = next()
        when a trial ends: finish(index, ...)   -> one line of the record, the sampler told

An engine (Ray, or a test) carries the tasks to workers and the results back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from nas.measure import Prediction
from nas.search.budget import BudgetKeeper
from nas.search.forecast import Forecast
from nas.search.samplers import Candidate, Sampler, SpaceExhausted
from nas.search.task import Evaluation
from results import Objective, RunWriter, TrialResult, TrialStatus
from search_space import ArchSpec

__all__ = ["Finished", "SearchLoop"]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a trial ended on its worker; `evaluation` and `seconds` are None where a worker could not tell them."""

    status: TrialStatus
    reason: str | None
    seconds: float | None = None
    worker: str = "unknown"
    evaluation: Evaluation | None = None


class _Started(NamedTuple):
    """A trial that runs: since when on the budget's clock, and the step time that was predicted."""

    candidate: Candidate
    started_s: float
    predicted: Prediction | None


class SearchLoop:
    """One run's books, kept by the driver alone.

    Args:
        now_s: the run's budget clock, in seconds; goes on where an interrupted session stopped.
        max_running: trials at once.
        devices: how many of the budget's devices a trial holds.
        on_finished: called with each record, after it is on the disk.
        forecast: what is known of candidates beforehand; told of every record.
    """

    def __init__(
        self,
        *,
        sampler: Sampler,
        keeper: BudgetKeeper,
        writer: RunWriter,
        objective: Objective,
        image_size: int,
        seed: int,
        max_running: int,
        devices: float,
        now_s: Callable[[], float],
        on_finished: Callable[[TrialResult], None],
        forecast: Forecast,
    ) -> None:
        self.keeper = keeper
        self.objective = objective
        self.writer = writer
        self.device = "unknown"
        """Name of the device, for a trial that could not say so itself."""
        self.stop_reason: str | None = None
        self.interrupted = False
        self._sampler = sampler
        self._image_size = image_size
        self._seed = seed
        self._max_running = max_running
        self._devices = devices
        self._now_s = now_s
        self._on_finished = on_finished
        self._forecast = forecast
        self._running: dict[int, _Started] = {}
        self._again: list[Candidate] = []
        done = {trial.index for trial in writer.trials}
        # What was in flight when an earlier session ended keeps its number, and is asked for first.
        self._missing = [index for index in range(writer.next_index) if index not in done]
        self._next_index = writer.next_index
        sampler.recover(sorted(writer.trials, key=lambda trial: trial.index))
        for trial in writer.trials:
            keeper.finish(trial.index, seconds=trial.seconds, device_seconds=trial.device_seconds, typical=trial.ok)

    @property
    def over(self) -> bool:
        """Nothing more will be started, and nothing runs."""
        return self.stop_reason is not None and not self._running

    @property
    def num_running(self) -> int:
        return len(self._running)

    def stop(self, reason: str) -> None:
        """Start nothing more; what runs is finished."""
        self.stop_reason = self.stop_reason or reason

    def interrupt(self) -> None:
        """The user asks to end."""
        self.interrupted = True
        self.stop("interrupted")

    def run_again(self) -> None:
        """What runs was lost with the machines under it: it is started anew, where the budget still admits it."""
        for index, started in self._running.items():
            self.keeper.forget(index)
            self._again.append(started.candidate)
        if self._running and not self.interrupted:
            self.stop_reason = None
        self._running.clear()

    def next(self) -> Candidate | None:
        """The next candidate to start now; None where none may start now (or ever: see `over`)."""
        if self.stop_reason is not None or len(self._running) >= self._max_running:
            return None
        now_s = self._now_s()
        if self.keeper.budget.kind == "trials" and not self.keeper.admits(now_s):
            self.stop("the budget is used up")
            return None
        try:
            candidate = self._again.pop(0) if self._again else self._ask()
        except SpaceExhausted as exhausted:
            self.stop(str(exhausted))
            return None
        predicted = self._forecast.step_time(candidate.arch)
        expected_s = self._forecast.trial_seconds(predicted)
        if not self.keeper.admits(now_s, expected_s):
            self._again.insert(0, candidate)
            # What runs may end sooner than expected and leave room, except on a clock, which only goes on.
            if not self._running or self.keeper.budget.kind == "wall":
                self.stop(self._why_no_more(now_s, expected_s))
            return None
        self._running[candidate.index] = _Started(candidate, now_s, predicted)
        self.keeper.start(candidate.index, now_s, expected_s)
        return candidate

    def _why_no_more(self, now_s: float, expected_s: float | None) -> str:
        budget, left = self.keeper.budget, self.keeper.left(now_s)
        if not left:
            return "the budget is used up"
        left_text, expected_s = budget.describe(left), expected_s or self.keeper.expected_s
        return f"the budget has no room for another trial: {expected_s:.0f} s expected, {left_text} left"

    def _ask(self) -> Candidate:
        candidate = self._sampler.ask(self._missing[0] if self._missing else self._next_index)
        if self._missing:
            self._missing.pop(0)
        else:
            self._next_index += 1
        return candidate

    def trial_seed(self, index: int) -> int:
        """Seed of a trial's training."""
        return self._seed * 1_000_003 + index

    def finish(self, index: int, finished: Finished) -> TrialResult:
        """Record what came of trial `index`, and tell the sampler.

        Raises:
            RunWriteError: where the record cannot be written; the trial is then not recorded.
        """
        started = self._running[index]
        try:
            result = self._record(started, finished)
        except ValueError as error:
            # What a worker says may break the record's rules (a loss of 1e30, say): that fails a trial, not the search.
            reason = f"what was measured cannot be recorded: {error}"
            refused = Finished(status=TrialStatus.FAILED, reason=reason, worker=finished.worker)
            result = self._record(started, refused)
        self.writer.append(result)
        del self._running[index]
        self.keeper.finish(index, seconds=result.seconds, device_seconds=result.device_seconds, typical=result.ok)
        self._forecast.learn(result)
        self._sampler.tell(started.candidate, result)
        self._on_finished(result)
        return result

    def _record(self, started: _Started, finished: Finished) -> TrialResult:
        candidate, started_s, predicted = started
        arch: ArchSpec = candidate.arch
        params, macs = arch.cost(self._image_size)
        found = finished.evaluation
        step_time = found.step_time if found else None
        ended_s = max(started_s, self._now_s())
        seconds = ended_s - started_s if finished.seconds is None else finished.seconds
        return TrialResult(
            index=candidate.index,
            status=finished.status,
            reason=finished.reason,
            key=arch.key,
            arch=arch,
            decisions=candidate.decisions,
            seed=self.trial_seed(candidate.index),
            params=params,
            macs=macs,
            accuracy=found.correct / found.num_evaluated
            if found and found.correct is not None and found.num_evaluated
            else None,
            num_evaluated=found.num_evaluated if found else None,
            step_time_ratio=step_time.ratio if step_time else None,
            step_time_ratio_low=step_time.low if step_time else None,
            step_time_ratio_high=step_time.high if step_time else None,
            step_time_s=step_time.seconds if step_time else None,
            step_time_n=step_time.num_rounds if step_time else None,
            step_time_reference_s=step_time.reference_seconds if step_time else None,
            step_time_precise=step_time.precise if step_time else None,
            step_time_predicted=predicted.ratio if predicted else None,
            step_time_predicted_low=predicted.low if predicted else None,
            step_time_predicted_high=predicted.high if predicted else None,
            train_steps=found.train_steps if found else None,
            train_loss=found.train_loss if found else None,
            peak_memory_bytes=found.peak_memory_bytes if found else None,
            max_batch_size=found.max_batch_size if found else None,
            seconds=seconds,
            device_seconds=seconds * self._devices,
            started_s=started_s,
            ended_s=ended_s,
            worker=finished.worker,
            device=found.device if found else self.device,
        )
