"""The loop as Ray Tune sees it: a Searcher whose suggestions are calls and whose results end trials."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ray.tune import Stopper
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher

from nas.cluster import LOST_WITHIN_S, Machines, NoMachine
from nas.search.loop import Finished, SearchLoop
from nas.search.samplers import Candidate
from nas.search.task import Probe
from nas.search.worker import TrialCall, WarmUp
from results import TrialStatus
from search_space import ArchSpec

__all__ = ["EachStep", "LoopSearcher", "NoProgress", "ProbeFailed"]

_DIED = "its worker died"


class ProbeFailed(RuntimeError):
    """The reference network could not be run on a worker; the message says why."""


class _Sent(NamedTuple):
    """A trial that Tune has, and the machines there were when it was sent. The probe has no number."""

    number: int | None
    machines: frozenset[str]


class LoopSearcher(Searcher):
    """Hands the loop's candidates to Tune, one probe before them where asked, and beside it a warm-up for each of the
    other workers: one that imported torch in its first trial would be out of step with the others, which wait for it
    when the search has ended and its confirmation begins.

    A trial, or the probe, whose worker died is run again where a machine has left since it was sent; else it has
    failed (the probe when that happens twice), which is known at once where there is one machine, and after
    `LOST_WITHIN_S` where there are more.

    Tune swallows or prints what a searcher raises; so the first error is kept in `error`, and the experiment ended.
    """

    def __init__(
        self,
        loop: SearchLoop,
        make_call: Callable[[Candidate[ArchSpec]], TrialCall],
        *,
        probe_call: TrialCall | None,
        on_probe: Callable[[Probe], None],
        on_failure: Callable[[], None],
        on_tick: Callable[[], None],
        machines: Machines,
    ) -> None:
        super().__init__(metric="seconds", mode="min")
        self.error: Exception | None = None
        self._loop = loop
        self._make_call = make_call
        self._probe_call = probe_call
        self._must_probe = probe_call is not None
        self._has_probed_again = False
        self._to_warm_up = 0
        self._on_probe = on_probe
        self._on_failure = on_failure
        self._on_tick = on_tick
        self._machines = machines
        self._running: dict[str, _Sent] = {}
        self._warming_up: set[str] = set()
        self._unclear: list[tuple[_Sent, float]] = []

    def suggest(self, trial_id: str) -> Any:
        # Where nothing runs Tune asks for a trial again and again, within one step.
        self.tick()
        try:
            return self._suggest(trial_id)
        except Exception as error:
            self.error = error
            return Searcher.FINISHED

    def tick(self) -> bool:
        """To be called in each of Tune's steps too, since Tune asks for no trial while one waits for a machine; whether
        the experiment must end with what runs or waits to run: where no machine is left, or the loop is over, a probe
        or a warm-up."""
        try:
            self._on_tick()
            if self.error is None:
                self._machines.check()
                # Where none has room one waits.
                self._loop.max_running = max(1, self._machines.fit())
                self._settle()
        except Exception as error:
            self.error = self.error or error
        return isinstance(self.error, NoMachine | ProbeFailed) or self._loop.over

    def _suggest(self, trial_id: str) -> Any:
        if self.error is not None or self._loop.over:
            return Searcher.FINISHED
        if self._probe_call is not None:
            if self._must_probe:
                self._must_probe = False
                self._to_warm_up = self._loop.max_running - 1
                self._running[trial_id] = _Sent(None, self._machines.alive())
                return {"call": self._probe_call}
            if self._to_warm_up:
                self._to_warm_up -= 1
                self._warming_up.add(trial_id)
                return {"call": WarmUp(evaluator=self._probe_call.evaluator)}
            self._loop.prepare()
            return None
        candidate = self._loop.next()
        if candidate is None:
            return Searcher.FINISHED if self._loop.over else None
        self._running[trial_id] = _Sent(candidate.index, self._machines.alive())
        return {"call": self._make_call(candidate)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id in self._warming_up:
            self._warming_up.remove(trial_id)
            return
        try:
            self._complete(trial_id, None if error else result)
        except Exception as raised:
            self.error = self.error or raised

    def _complete(self, trial_id: str, result: dict[str, Any] | None) -> None:
        sent = self._running.pop(trial_id)
        if sent.number is None and self._loop.over:
            return
        if result is None:
            self._unclear.append((sent, time.monotonic() + LOST_WITHIN_S))
            self._settle()
            return
        if sent.number is None:
            if not isinstance(result["value"], Probe):
                raise ProbeFailed(result["reason"])
            self._probe_call = None
            self._on_probe(result["value"])
            return
        if result["status"] == TrialStatus.FAILED:
            self._on_failure()
        self._loop.finish(
            sent.number,
            Finished(
                status=TrialStatus(result["status"]),
                reason=result["reason"],
                seconds=result["seconds"],
                worker=result["worker"],
                evaluation=result["value"],
            ),
        )

    def _settle(self) -> None:
        """What becomes of trials whose workers died, as far as it is known."""
        unclear, self._unclear = self._unclear, []
        for sent, until in unclear:
            alive = self._machines.alive()
            has_left = bool(sent.machines - alive)
            if not has_left and len(alive) > 1 and time.monotonic() <= until:
                self._unclear.append((sent, until))
            elif sent.number is not None and has_left:
                self._loop.run_again(sent.number)
            elif sent.number is not None:
                self._loop.finish(sent.number, Finished(status=TrialStatus.FAILED, reason=_DIED))
            elif has_left or not self._has_probed_again:
                # Once where no machine left: a worker may be killed for what others do.
                self._must_probe = True
                self._has_probed_again = self._has_probed_again or not has_left
            else:
                raise ProbeFailed(_DIED)

    def save(self, checkpoint_path: str) -> None:
        """Nothing of Tune's is ever restored, but it wants a file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a run is resumed from its own record")

    def __getstate__(self) -> dict[str, Any]:
        return {}


class EachStep(Stopper):
    """Ticks a searcher in each of Tune's steps, which ask this whether all is to end."""

    def __init__(self, searcher: LoopSearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._searcher.tick()


class NoProgress(TrialProgressCallback):
    """Stands in the place of Tune's own, which holds each trial that has ended."""

    def on_trial_result(self, *unused: Any, **also: Any) -> None:
        pass

    def on_trial_error(self, *unused: Any, **also: Any) -> None:
        pass

    def on_trial_complete(self, *unused: Any, **also: Any) -> None:
        pass
