"""Ray Tune carries a loop's candidates to workers and their results back.

Ray's own stores (its result folders, its experiment state) are never read: the run's record is the driver's.
"""

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cluster import EngineError, Machines, Node, ends_with_ray, this_node
from nas.search.loop import SearchLoop
from nas.search.samplers import Candidate
from nas.search.task import Probe
from nas.search.worker import TrialCall, run_call
from nas.signals import stop_request
from search_space import ArchSpec

if TYPE_CHECKING:
    from nas.search.tune_searcher import LoopSearcher

__all__ = ["Resources", "run_search"]

MAX_ENGINE_FAILURES = 2


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial holds, and how many run at once, as far as the machines hold them."""

    cpus: int
    gpus: float
    workers: int

    def share_of(self, node: Node) -> float:
        """How much of a machine that it runs on a trial may hold."""
        return 1 / max(1, min(self.workers, node.fits(self.cpus, self.gpus)))


def run_search(
    loop: SearchLoop,
    *,
    make_call: Callable[[Candidate[ArchSpec]], TrialCall],
    probe_call: TrialCall,
    on_probe: Callable[[Probe], None],
    on_failure: Callable[[], None],
    resources: Resources,
    scratch: Path,
    on_tick: Callable[[], None],
    on_lost: Callable[[str], None],
) -> None:
    """Run trials until the loop is over. A first signal to stop lets what runs finish; a second one raises.

    Args:
        make_call: what to send to a worker for a candidate.
        probe_call: sent before the first trial; `on_probe` is told what it found.
        on_failure: called where a trial failed, before that is on record; what it raises ends the search instead.
        scratch: a folder for what Tune insists on writing.
        on_tick: called several times a second.
        on_lost: told why this process ends now, where Ray is lost and does not let it go.

    Raises:
        EngineError: where Ray fails again and again, no machine is left, or the probe fails.
        KeyboardInterrupt: on the second signal.
    """
    from nas.search.tune_searcher import LoopSearcher, ProbeFailed

    to_probe: TrialCall | None = probe_call

    def on_probed(probe: Probe) -> None:
        nonlocal to_probe
        to_probe = None
        on_probe(probe)

    failures, machines = 0, Machines(resources.cpus, resources.gpus, resources.workers)
    with stop_request(loop.interrupt), ends_with_ray(scratch, on_lost):
        while not loop.over:
            searcher = LoopSearcher(
                loop,
                make_call,
                probe_call=to_probe,
                on_probe=on_probed,
                on_failure=on_failure,
                on_tick=on_tick,
                machines=machines,
            )
            problem = _fit(searcher, resources, scratch)
            if isinstance(searcher.error, ProbeFailed):
                raise EngineError(f"the reference network could not be run on a worker: {searcher.error}")
            if searcher.error is not None:
                raise searcher.error
            if loop.over:
                break
            failures += 1
            loop.run_again()
            if failures > MAX_ENGINE_FAILURES:
                raise EngineError(f"Ray ended {failures} times before the search did: {problem}")


def _fit(searcher: "LoopSearcher", resources: Resources, scratch: Path) -> str | None:
    """One Tune experiment; what it died of, if it did."""
    from ray import tune

    from nas.search.tune_scheduler import LatestFirst
    from nas.search.tune_searcher import EachStep

    # Left alone, Tune starts one worker after the other.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(resources.workers)
    # As an argument it would have Ray import each tracker that is installed.
    os.environ["RAY_TUNE_CALLBACKS"] = "nas.search.tune_searcher.NoProgress"
    # It says again which trials failed: each is a row with its reason.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    storage = tempfile.mkdtemp(prefix="tune-", dir=scratch)
    tuner = tune.Tuner(
        tune.with_resources(_trainable(resources, scratch), {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LatestFirst(resources.workers),
            num_samples=-1,
            reuse_actors=True,
            metric="seconds",
            mode="min",
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="search", storage_path=storage, verbose=0, log_to_file=False, stop=EachStep(searcher)
        ),
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tuner.fit()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _trainable(resources: Resources, scratch: Path) -> Callable[[dict[str, Any]], None]:
    """Runs on a worker. Machines may differ, and join later."""

    def run(config: dict[str, Any]) -> None:
        from ray import tune

        if scratch.is_dir():
            # Of this machine: what a worker that is killed leaves goes with it.
            tempfile.tempdir = str(scratch)
        tune.report(run_call(config["call"], share_of_node=resources.share_of(this_node())))

    return run
