"""The search itself, without an engine: which trial comes next, what becomes of it, when it is over.

    while not over:
        if the budget admits another and a worker is free: task = next()
        when a trial ends: finish(index, ...)   -> one line of the record, the sampler told

The last share of the budget is for training the best networks anew (nas/search/confirm.py). What was asked for is on
record before it is started, so that it is not asked for again after a kill.

An engine (Ray, or a test) carries the tasks to workers and the results back.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from nas.measure import Prediction
from nas.search.budget import BudgetKeeper
from nas.search.confirm import AloneConfirmation, Confirmation, Confirming, Trained, why_nothing
from nas.search.forecast import Forecast
from nas.search.proposals import history_events, outcome_of
from nas.search.samplers import Candidate, Sampler, SpaceExhausted
from nas.search.task import Evaluation
from results import Objective, RunWriter, TrialResult, TrialStatus, Weights
from search_space import ArchSpec, Space

__all__ = ["Finished", "SearchLoop"]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a trial ended on its worker; `evaluation` and `seconds` are None where a worker could not tell them."""

    status: TrialStatus
    reason: str | None
    seconds: float | None = None
    worker: str = "unknown"
    evaluation: Evaluation | None = None


MAX_SHARE_ALONE = 0.5


class _Trial(NamedTuple):
    """A candidate, which of its trainings this is (`TrialResult.repeat`), and what its accuracy will be of."""

    candidate: Candidate[ArchSpec]
    repeat: int
    weights: Weights


class _Started(NamedTuple):
    """A trial that runs: since when on the budget's clock, and the step time that was predicted."""

    trial: _Trial
    started_s: float
    predicted: Prediction | None


class SearchLoop:
    """One run's books, kept by the driver alone.

    Args:
        now_s: the run's budget clock, in seconds; goes on where an interrupted session stopped.
        max_running: trials at once; may change.
        devices: how many GPUs a trial holds, or where it holds none, processors.
        on_finished: called with each record, after it is on the disk.
        forecast: what is known of candidates beforehand; told of every record.
        confirming: how much of the budget is for training the best networks anew.
        weights: what the accuracies of the search itself are of.
    """

    def __init__(
        self,
        *,
        sampler: Sampler[ArchSpec],
        space: Space,
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
        confirming: Confirming,
        weights: Weights = Weights.OWN,
    ) -> None:
        self.keeper = keeper
        self.objective = objective
        self.writer = writer
        self.device = "unknown"
        """Name of the device, for a trial that could not say so itself."""
        self.max_running = max_running
        self.stop_reason: str | None = None
        self.interrupted = False
        self._sampler = sampler
        self._image_size = image_size
        self._seed = seed
        self._devices = devices
        self._now_s = now_s
        self._on_finished = on_finished
        self._forecast = forecast
        self._running: dict[int, _Started] = {}
        self._confirming = confirming
        self._weights = weights
        self._alone_s = 0.0
        self._confirmation: Confirmation | AloneConfirmation | None = None
        self._picks: list[Candidate[ArchSpec]] = []
        self._picked_of = -1
        self._exhausted: SpaceExhausted | None = None
        self._unconfirmed: str | None = None
        self._share = 1 - confirming.share
        self._repeats: Counter[str] = Counter()
        self._trained: Trained = Counter()
        self._next_index = writer.next_index
        sampler.recover(history_events(writer.history, space, folder=writer.folder))
        # What was in flight when an earlier session ended keeps its number, and comes first.
        self._again = [_Trial(candidate, repeat=0, weights=weights) for candidate in sampler.pending()]
        for trial in writer.trials:
            self._repeats[trial.key] = max(self._repeats[trial.key], trial.repeat)
            self._trained[trial.key, trial.weights] += trial.repeat > 0
            self._keep_book(trial)

    def _keep_book(self, trial: TrialResult) -> None:
        self.keeper.finish(
            trial.index,
            seconds=trial.seconds,
            typical=trial.ok and trial.weights is self._weights,
        )

    def expect_alone(self, seconds: float) -> float:
        """A network trained alone, in a search that a supernet judges, is expected to take so long: as much of the
        budget as all of these trainings need is kept for them, at most half.

        Returns:
            What they need as a share of the budget.
        """
        self._alone_s = seconds
        at_once, budget = self.max_running, self.keeper.budget
        each = {"trials": 1.0, "wall": seconds / at_once}.get(budget.kind, seconds * self.keeper.devices)
        needed = self._confirming.num_alone * each / budget.amount
        self._share = 1 - min(needed, MAX_SHARE_ALONE)
        return needed

    def weights_of(self, index: int) -> Weights:
        """What the accuracy of trial `index`, which runs, will be of."""
        return self._running[index].trial.weights

    @property
    def confirmation(self) -> Confirmation | AloneConfirmation | None:
        """What is trained anew, once the search itself is over."""
        return self._confirmation

    @property
    def over(self) -> bool:
        """Nothing more will be started, and nothing runs."""
        return self.stop_reason is not None and not self._running

    @property
    def notes(self) -> tuple[str, ...]:
        """What a search that is over left undone of what was asked for, one line each."""
        if self.interrupted:
            return ()
        now_s, notes = self._now_s(), []
        if self._exhausted is not None and self.keeper.admits(now_s):
            left = self.keeper.budget.describe(self.keeper.left(now_s))
            notes.append(f"the search ended early, with {left} of its budget left: {self._exhausted}")
        if self._unconfirmed is not None:
            notes.append(self._unconfirmed)
        return tuple(notes)

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

    def run_again(self, *lost: int) -> None:
        """These trials, or all that run, were lost with the machines under them: they are started anew, where the
        budget still admits it."""
        for index in lost or tuple(self._running):
            self.keeper.forget(index)
            self._again.append(self._running.pop(index).trial)
            if not self.interrupted:
                self.stop_reason = None

    def prepare(self) -> None:
        """To be called while there is nothing else to do before the first trial."""
        self._sampler.prepare()

    def next(self) -> Candidate[ArchSpec] | None:
        """The next candidate to start now; None where none may start now (or ever: see `over`)."""
        if self.stop_reason is not None or len(self._running) >= self.max_running:
            return None
        now_s = self._now_s()
        if self.keeper.budget.kind == "trials" and not self.keeper.admits(now_s, share=self._share):
            return self._after_this_phase(now_s, "the budget is used up")
        try:
            trial = self._again.pop(0) if self._again else self._next_trial()
        except SpaceExhausted as exhausted:
            return self._after_this_phase(now_s, str(exhausted))
        predicted = self._forecast.step_time(trial.candidate.arch)
        expected_s = self._expected_s(trial, predicted)
        if not self.keeper.admits(now_s, expected_s, share=self._share):
            self._again.insert(0, trial)
            # What runs may end sooner than expected and leave room, except on a clock, which only goes on.
            if self._running and self.keeper.budget.kind != "wall":
                return None
            return self._after_this_phase(now_s, self._why_no_more(now_s, expected_s))
        self._running[trial.candidate.index] = _Started(trial, now_s, predicted)
        self.keeper.start(trial.candidate.index, now_s, expected_s)
        return trial.candidate

    def _expected_s(self, trial: _Trial, predicted: Prediction | None) -> float | None:
        if trial.weights is self._weights:
            return self._forecast.trial_seconds(predicted)
        others = (one for one in self.writer.trials if one.ok and one.weights is not self._weights)
        return max((one.seconds for one in others), default=self._alone_s)

    def _after_this_phase(self, now_s: float, reason: str) -> Candidate[ArchSpec] | None:
        """The first candidate of what comes after the search; without such a phase, or after it, the end."""
        if self._share == 1:
            self.stop(reason)
            return None
        if self._confirming.alone:
            return self._train_alone()
        seconds = [trial.seconds for trial in self.writer.trials if trial.ok]
        room = self.keeper.room(
            now_s,
            fmean(seconds) if seconds else self.keeper.expected_s,
            at_once=self.max_running,
            share=self._confirming.share,
        )
        since = self.writer.asks[-1].after if self.writer.asks else 0
        begun = sum(trial.repeat > 0 for trial in self.writer.trials[since:])
        # Asked again and again while the last of the search run.
        if self._picked_of != len(self.writer.trials):
            self._picks, self._picked_of = self._sampler.picks(), len(self.writer.trials)
        picked, searched = len(self._picks), sum(not each.trial.repeat for each in self._running.values())
        confirmation = Confirmation.fitting(
            room, picked + searched, self._confirming, begun=begun, weights=self._weights
        )
        if confirmation is not None and searched:
            # Which are the best is known when all that was searched has been measured.
            return None
        self._confirmation = confirmation
        self._share = 1
        if confirmation is None and not any(trial.repeat for trial in self.writer.trials):
            self._unconfirmed = why_nothing(room, picked + searched, self._confirming)
        if self._confirmation is not None:
            # What was asked for and does not fit any more waits for a larger budget, on record.
            self._again = [trial for trial in self._again if trial.repeat]
        return self.next()

    def _train_alone(self) -> Candidate[ArchSpec] | None:
        """The first of the best to be trained alone, once all that was searched has been judged."""
        if any(not each.trial.repeat for each in self._running.values()):
            return None
        self._share = 1
        self._picks = self._sampler.picks()
        if self._picks:
            num_networks = min(self._confirming.alone, len(self._picks))
            self._confirmation = AloneConfirmation(num_networks=num_networks, repeat=self._confirming.repeat)
            self._again = [trial for trial in self._again if trial.repeat]
        return self.next()

    def _next_trial(self) -> _Trial:
        if self._confirmation is None:
            if self._exhausted is not None:
                raise self._exhausted
            try:
                candidate = self._sampler.ask(self._next_index)
            except SpaceExhausted as exhausted:
                self._exhausted = exhausted
                raise
            self.writer.ask(candidate.index, candidate.decisions)
            self._next_index += 1
            return _Trial(candidate, repeat=0, weights=self._weights)
        chosen = self._confirmation.next(self._picks, self._trained)
        if chosen is None:
            raise SpaceExhausted(f"its best {self._confirmation.num_networks} networks were trained anew")
        picked, weights = chosen
        candidate = replace(picked, index=self._next_index)
        self._next_index += 1
        self._repeats[candidate.arch.key] += 1
        self._trained[candidate.arch.key, weights] += 1
        return _Trial(candidate, repeat=self._repeats[candidate.arch.key], weights=weights)

    def _why_no_more(self, now_s: float, expected_s: float | None) -> str:
        budget, left = self.keeper.budget, self.keeper.left(now_s)
        if not left:
            return "the budget is used up"
        left_text, expected_s = budget.describe(left), expected_s or self.keeper.expected_s
        return f"the budget has no room for another trial: {expected_s:.0f} s expected, {left_text} left"

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
        self._keep_book(result)
        self._forecast.learn(result)
        if not result.repeat:
            self._sampler.tell(started.trial.candidate, outcome_of(result))
        self._on_finished(result)
        return result

    def _record(self, started: _Started, finished: Finished) -> TrialResult:
        (candidate, repeat, weights), started_s, predicted = started
        arch = candidate.arch
        params, macs = arch.cost(self._image_size)
        found = finished.evaluation
        step_time = found.step_time if found else None
        ended_s = max(started_s, self._now_s())
        seconds = ended_s - started_s if finished.seconds is None else finished.seconds
        return TrialResult(
            index=candidate.index,
            status=finished.status,
            reason=finished.reason,
            repeat=repeat,
            weights=weights,
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
