"""The search without an engine: a fake clock, trials that are only told of, and a real record on the disk."""

from collections.abc import Callable
from pathlib import Path

from nas.search.budget import Budget, BudgetKeeper
from nas.search.confirm import Confirming
from nas.search.forecast import Forecast
from nas.search.loop import Finished, SearchLoop
from nas.search.proposals import outcome_of, space_domain
from nas.search.samplers import SAMPLERS, Candidate, Goal, Outcome
from results import Limits, Objective, RunWriter, TrialResult, Weights
from search_space import ArchSpec, Space

MakeFinished = Callable[..., Finished]
Ok = Callable[[int, float], Finished]
Length = Callable[[int], float]


class Clock:
    """The run's budget clock; stands still unless it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Session:
    """One session of a run: a loop with its record, driven here in place of workers."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        budget: str = "8",
        workers: int = 1,
        seed: int = 3,
        sampler: str = "random",
        devices: float = 1.0,
        expected_s: float = 0.0,
        forecast: Forecast | None = None,
        confirm_share: float = 0.0,
        repeat: int = 3,
        alone: int = 0,
        alone_s: float = 2.0,
    ) -> None:
        objective = Objective(reference_params=space.reference.params)
        if (folder / "config.json").exists():
            self.writer = RunWriter.resume(folder)
        else:
            self.writer = RunWriter.create(folder, config={}, objective=objective)
        self.clock = Clock()
        self.clock.now_s = max((trial.ended_s for trial in self.writer.trials), default=0.0)
        self.finished: list[TrialResult] = []
        self.told: list[tuple[int, Outcome]] = []
        domain = space_domain(space, 8, lambda archs: [None] * len(archs))
        self.sampler = SAMPLERS[sampler](domain, goal=Goal(objective=objective, limits=Limits()), seed=seed)
        self.loop = SearchLoop(
            sampler=self.sampler,
            space=space,
            keeper=BudgetKeeper(Budget.parse(budget), devices=devices, expected_s=expected_s),
            writer=self.writer,
            objective=objective,
            image_size=8,
            seed=seed,
            max_running=workers,
            devices=devices,
            now_s=self.clock,
            on_finished=self.finished.append,
            forecast=forecast or Forecast(),
            confirming=Confirming(share=confirm_share, repeat=repeat, alone=alone),
            weights=Weights.SUPERNET if alone else Weights.OWN,
        )
        if alone:
            self.loop.expect_alone(alone_s)
        self._tell, self.sampler.tell = self.sampler.tell, self._note_and_tell  # type: ignore[method-assign]
        self.started: list[Candidate[ArchSpec]] = []
        self._times: dict[int, tuple[float, float]] = {}

    def _note_and_tell(self, candidate: Candidate[ArchSpec], outcome: Outcome) -> None:
        self.told.append((candidate.index, outcome))
        self._tell(candidate, outcome)

    def start_all(self, length: Length = lambda index: 2.0) -> None:
        """Start what may start now."""
        while (candidate := self.loop.next()) is not None:
            self.started.append(candidate)
            self._times[candidate.index] = (self.clock.now_s, self.clock.now_s + length(candidate.index))

    def end_next(self, told: Callable[[int, float], Finished]) -> TrialResult:
        """The clock goes on to where the first of the running trials ends."""
        index = min(self._times, key=lambda index: self._times[index][1])
        started_s, ended_s = self._times.pop(index)
        self.clock.now_s = max(self.clock.now_s, ended_s)
        return self.loop.finish(index, told(index, ended_s - started_s))

    def lose(self) -> None:
        """The machines are gone, and what ran on them."""
        self._times.clear()
        self.loop.run_again()

    def run(
        self,
        told: Callable[[int, float], Finished],
        length: Length = lambda index: 2.0,
        *,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """To the end, or to where `until` holds, with more started by then."""
        self.start_all(length)
        while not self.loop.over and not until():
            self.end_next(told)
            self.start_all(length)

    @property
    def keys(self) -> dict[int, str]:
        return {trial.index: trial.key for trial in self.writer.trials}

    @property
    def searched(self) -> list[TrialResult]:
        return [trial for trial in self.writer.trials if not trial.repeat]

    @property
    def repeated(self) -> list[TrialResult]:
        """The trainings anew."""
        return [trial for trial in self.writer.trials if trial.repeat]


Begin = Callable[..., Session]


def told_of(trials: list[TrialResult]) -> list[tuple[int, Outcome]]:
    return [(trial.index, outcome_of(trial)) for trial in trials]
