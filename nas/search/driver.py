"""One session of a run: what is told to workers, what is done with what they tell, and what is kept at the end."""

import contextlib
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from nas.cluster import Cluster, EngineError
from nas.device import Compute
from nas.measure import Calibration, read_calibration, write_calibration
from nas.search.budget import Budget, BudgetKeeper
from nas.search.engine import Resources, run_search
from nas.search.forecast import Forecast
from nas.search.loop import MAX_SHARE_ALONE, SearchLoop
from nas.search.plan import Plan
from nas.search.progress import Progress
from nas.search.samplers import Candidate
from nas.search.scalars import SearchScalars
from nas.search.task import Probe, ProbeRequest, TrialTask
from nas.search.worker import TrialCall
from results import RunError, RunWriteError, RunWriter, TrialResult
from search_space import ArchSpec

__all__ = ["Driver", "SearchEnd"]

CALIBRATION = "calibration.json"
PROBE_INDEX = -1
PROBE_DEADLINE_S = 900.0
CALIBRATION_DEADLINE_S = 7200.0
SLOWER_THAN_REFERENCE = 2.0
ALONE_SLOWER_THAN_REFERENCE = 1.25
DEADLINE_TIMES = 10.0
MIN_DEADLINE_S = 120.0
NOTE_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class SearchEnd:
    """How a search ended: where its record is, why it started no more trials, and what it left undone."""

    folder: Path
    stop_reason: str
    interrupted: bool
    notes: tuple[str, ...] = ()


class Driver:
    """The single writer of a run, while one session of it lasts. `started` is of `time.monotonic`: the budget counts
    the command's start-up too."""

    EVALUATOR: ClassVar[str] = "nas.search.evaluate"
    """What workers do with a task (`TrialCall.evaluator`); benchmarks name another."""

    def __init__(
        self,
        plan: Plan,
        writer: RunWriter,
        cluster: Cluster,
        resources: Resources,
        compute: Compute,
        progress: Progress,
        *,
        started: float,
    ) -> None:
        self._plan = plan
        self._writer = writer
        self._scratch = cluster.scratch
        self._resources = resources
        self._progress = progress
        for note in cluster.notes:
            progress.note(note)
        self._started = started - writer.elapsed_s
        self._note_at_s = 0.0
        self._scalars = SearchScalars(writer, now_s=self._now_s, note=progress.note)
        self._deadline_s = PROBE_DEADLINE_S
        self._fit = sum(node.fits(resources.cpus, resources.gpus) for node in cluster.nodes)
        reference = plan.space.reference
        task = TrialTask(
            arch=reference,
            reference=reference,
            seed=plan.training_seed,
            steps=plan.steps,
            batch_size=plan.batch_size,
            recipe=plan.config.recipe,
            data=plan.data.config,
            compute=compute,
            max_step_time=plan.config.max_step_time,
        )
        self._task = plan.trial(task, plan.weights)
        self._forecast = Forecast()
        budget = Budget.parse(plan.config.budget)
        counted = {"gpu": resources.gpus, "cpu": float(resources.cpus)}.get(budget.kind, 1.0)
        self._keeper = BudgetKeeper(budget, devices=counted)
        self._loop = SearchLoop(
            sampler=plan.sampler(self._forecast),
            space=plan.space,
            keeper=self._keeper,
            writer=writer,
            objective=plan.objective(),
            image_size=plan.image_size,
            seed=plan.training_seed,
            max_running=resources.workers,
            devices=resources.gpus or float(resources.cpus),
            now_s=self._now_s,
            on_finished=self._on_finished,
            forecast=self._forecast,
            confirming=plan.config.confirming(),
            weights=plan.weights,
        )

    def _now_s(self) -> float:
        """The budget's clock: this session's seconds, and those of earlier ones."""
        return time.monotonic() - self._started

    def _on_tick(self) -> None:
        now_s = self._now_s()
        self._progress.tick(now_s)
        if now_s >= self._note_at_s:
            self._writer.note_elapsed(now_s)
            self._note_at_s = now_s + NOTE_EVERY_S

    def _check_supernet(self) -> None:
        """Without it each trial would fail, and be on record as failed."""
        try:
            if self._plan.supernet is not None:
                self._plan.supernet.check_unchanged()
        except RunError as error:
            raise EngineError(f"the supernet was lost: {error}") from None

    def _on_finished(self, result: TrialResult) -> None:
        self._progress.finished(self._loop, result)
        self._scalars.update()

    def _on_probe(self, probe: Probe) -> None:
        expected_s = SLOWER_THAN_REFERENCE * probe.trial_s
        self._keeper.expect(expected_s)
        self._loop.device = probe.device
        self._task = replace(self._task, compute=probe.compute)
        self._deadline_s = self._plan.config.deadline or max(MIN_DEADLINE_S, DEADLINE_TIMES * expected_s)
        self._writer.update_config(
            compute=asdict(probe.compute), device=probe.device, resources=asdict(self._resources)
        )
        self._progress.note(
            f"{probe.device}, {probe.compute.dtype}; a trial of the reference network takes about {probe.trial_s:.0f} s"
        )
        if probe.alone_s is not None:
            self._expect_alone(probe.alone_s)
        calibration = self._calibration(probe)
        if calibration is not None:
            self._forecast.begin(calibration, self._writer.trials)
            parts, made_at = len(calibration.parts), calibration.made_at
            self._progress.note(f"step times are predicted from a table of {parts} parts, made {made_at}")
        self._progress.begin_live()

    def _expect_alone(self, reference_s: float) -> None:
        confirming, expected_s = self._plan.config.confirming(), ALONE_SLOWER_THAN_REFERENCE * reference_s
        self._deadline_s = max(self._deadline_s, self._plan.config.deadline or DEADLINE_TIMES * expected_s)
        needed = self._loop.expect_alone(expected_s)
        text = (
            f"the best {confirming.alone} are trained alone at last, {confirming.num_alone} trainings of about "
            f"{expected_s:.0f} s: {100 * needed:.0f} % of the budget"
        )
        if needed > MAX_SHARE_ALONE:
            text += f"; at most {100 * MAX_SHARE_ALONE:.0f} % is kept for them, those from random weights come first"
        self._progress.note(text)

    def _calibration(self, probe: Probe) -> Calibration | None:
        """What step times are predicted from in this run, in each of its sessions."""
        path = self._writer.folder / CALIBRATION
        if not self._writer.asks and probe.calibration is not None:
            write_calibration(path, probe.calibration)
        return read_calibration(path)

    def _call(self, candidate: Candidate[ArchSpec]) -> TrialCall:
        seed = self._loop.trial_seed(candidate.index)
        return TrialCall(
            index=candidate.index,
            task=self._plan.trial(
                replace(self._task, arch=candidate.arch, seed=seed), self._loop.weights_of(candidate.index)
            ),
            deadline_s=self._deadline_s,
            evaluator=self.EVALUATOR,
        )

    def run(self, *, choose_dtype: bool) -> SearchEnd:
        """Search until it is over; the run's summary is written however it ends."""
        plan, budget = self._plan, self._keeper.budget
        self._progress.begin(self._loop)
        self._progress.note(f"run {self._writer.folder}")
        self._progress.note(plan.data.summary())
        trial = f"{plan.steps} steps of {plan.batch_size} images a trial"
        if plan.supernet is not None:
            shared = f"the supernet {plan.supernet.folder} ({plan.supernet.steps:,} steps)"
            trial = f"{trial}, from the weights of {shared}" if plan.steps else f"judged by {shared}"
        self._progress.note(
            f"space {plan.space.name} at {plan.image_size} px, {trial}, "
            f"{self._resources.workers} at once, budget {budget.describe(budget.amount)}"
        )
        if self._fit < self._resources.workers:
            self._progress.note(f"note: the machines hold {self._fit} of them at once; more begin where others join")
        calibrates = plan.config.max_step_time is not None
        probe_call = TrialCall(
            index=PROBE_INDEX,
            task=self._task,
            deadline_s=PROBE_DEADLINE_S + (CALIBRATION_DEADLINE_S if calibrates else 0),
            evaluator=self.EVALUATOR,
            probe=ProbeRequest(
                space=plan.space,
                choose_dtype=choose_dtype and plan.config.dtype == "auto",
                calibrate=calibrates,
                alone_steps=plan.alone_steps,
            ),
        )
        if not self._keeper.left(self._now_s()):
            self._loop.stop("the budget is used up")
        try:
            run_search(
                self._loop,
                make_call=self._call,
                probe_call=probe_call,
                on_probe=self._on_probe,
                on_failure=self._check_supernet,
                resources=self._resources,
                scratch=self._scratch,
                on_tick=self._on_tick,
                on_lost=self._progress.on_lost,
            )
        except BaseException:
            # The first fault is the one to tell: a full disk refuses the summary as well.
            with contextlib.suppress(RunWriteError):
                self._write_summary()
            raise
        finally:
            self._progress.end_live()
            self._scalars.close()
        return SearchEnd(
            folder=self._writer.folder,
            stop_reason=self._write_summary(),
            interrupted=self._loop.interrupted,
            notes=self._loop.notes,
        )

    def _write_summary(self) -> str:
        stop_reason, now_s = self._loop.stop_reason or "stopped", self._now_s()
        self._writer.note_elapsed(now_s)
        self._writer.write_summary(wall_s=now_s, budget=self._plan.config.budget, stop_reason=stop_reason)
        return stop_reason
