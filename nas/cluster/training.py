"""A final training by several workers: Ray Train starts them, and starts them again where one dies.

    driver: the data and the folder are checked, the folder's lock is taken; Ray; the mailbox, in it TorchTrainer.fit
    each worker: the same `train_in` as in one process, on its part of every batch
    driver: what the first worker tells goes to the user's progress, until it tells how the training ended

The run's own checkpoints are the truth: what Ray Train would keep is not used. A worker that dies (or its machine) ends
the others' step; all are started anew, from the last checkpoint, until 6 starts have come to no new checkpoint.
"""

import io
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch

from nas.cluster.mailbox import BEGINS, LAUNCHING, LIVES, StopAsked, Told, beating, mailbox_actor
from nas.cluster.own_ray import EngineError, ends_with_ray
from nas.cluster.session import Node, ray_session
from nas.cluster.shared import check_shared
from nas.cluster.workers import Workers
from nas.data import DataError
from nas.device import num_processors, set_up_process
from nas.signals import StopRequest, stop_request
from nas.train.budget import BudgetTooShort
from nas.train.checkpoint import Checkpoints
from nas.train.feed import Feed
from nas.train.folder import CHECKPOINTS, TrainFolder
from nas.train.full import TrainingDiverged, TrainingInterrupted, train_in
from nas.train.group import Group
from nas.train.job import CONFIG, TrainJob, TrainResult, read_result
from nas.train.report import Progress, Silent
from nas.train.streamed import default_workers
from results import RunError

__all__ = ["train_on_cluster"]

MAX_FAILURES = 5
WAITING_S = 90.0
SILENT_S = 60.0
COLLECTIVE_TIMEOUT_S = 1800
POLL_S = 0.2
MAX_REASON = 200
BEGUN, LOST, ENDED, FAILED, EVALUATED = "begun", "lost", "ended", "failed", "evaluated"
ENDS = (BudgetTooShort, TrainingDiverged, TrainingInterrupted, RunError, DataError)
"""What a worker says that would be no different if it were started again."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What each worker is given."""

    job: TrainJob
    folder: Path
    checkpoint_every_s: float
    loader_workers: int | None
    mailbox: Any


def train_on_cluster(
    job: TrainJob,
    folder: Path,
    workers: Workers,
    *,
    address: str | None = None,
    progress: Progress | None = None,
    checkpoint_every_s: float = 300.0,
    loader_workers: int | None = None,
) -> TrainResult:
    """As `train_full`, by several workers on this machine or on the Ray cluster at `address`.

    The folder, the data and the cache of each machine must be reachable under the same paths. Workers that die are
    replaced, up to 5 times without a new checkpoint between.

    Raises:
        ValueError: for a job that does not fit its data, its workers or the machines, or a folder that is not its own.
        RunWriteError: where the disk does not take it.
        EngineError: where Ray does not start, or workers die again and again.
        BudgetTooShort, TrainingDiverged, TrainingInterrupted: as they say.
        KeyboardInterrupt: for a second signal, or one while no worker trains.
    """
    job, progress = job.anchored(), progress or Silent()
    folder = folder.absolute()
    workers.check(job.recipe.batch_size, job.compute, job.options)
    if address is None:
        workers.check_room([Node(num_processors(), torch.cuda.device_count())], job.compute)
    feed = Feed(job)  # its processes would start with the first image
    if job.length.is_known:
        job.phases(job.total_steps(feed.counts["train"]))  # refused before anything is written
    with ExitStack() as stack:
        place = stack.enter_context(TrainFolder(folder, job, feed.fingerprints, begins=False))
        result = read_result(folder)
        if result is not None:
            return result
        stop = stack.enter_context(stop_request())
        if address is None and sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        # Where a worker dies Ray says so on stdout, which is for the result.
        stack.enter_context(redirect_stdout(io.StringIO()))
        cluster = stack.enter_context(ray_session(address))
        workers.check_room(cluster.nodes, job.compute)
        for note in cluster.notes:
            progress.note(note)
        stack.enter_context(ends_with_ray(cluster.scratch, progress.note))
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        try:
            if address is not None:
                check_shared(folder)
            if place.length.is_known and not (folder / CONFIG).exists():
                place.begin(place.length)
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            mailbox = mailbox_actor(num_cpus=0, scheduling_strategy=here)
            task = _Task(
                job=job,
                folder=folder,
                checkpoint_every_s=checkpoint_every_s,
                loader_workers=loader_workers,
                mailbox=mailbox,
            )
            launch = partial(_fit, task, workers, str(cluster.scratch), on_this_machine=address is None)
            return _follow(launch, mailbox, stop, progress)
        except ray.exceptions.RayError as error:
            raise EngineError(f"Ray was lost: {_last_line(error)}") from error


def _fit(task: _Task, workers: Workers, scratch: str, *, on_this_machine: bool) -> str:
    """Ray Train from its start to its end; what it ended of."""
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    from nas.cluster.process_group import OnThisMachine

    compute = task.job.compute
    backend = "cpu:gloo,cuda:nccl" if compute.is_cuda else "gloo"
    meeting: dict[str, Any] = {"backend": backend, "timeout_s": COLLECTIVE_TIMEOUT_S}
    asked: Any = workers.asked
    options: Any = {"logging_config": train.LoggingConfig(log_level="ERROR")}
    checkpoints = Checkpoints(task.folder / CHECKPOINTS)
    for number in count():
        before = checkpoints.steps()
        trainer = TorchTrainer(
            _work,
            train_loop_config={"task": task},
            torch_config=OnThisMachine(folder=scratch, **meeting) if on_this_machine else TorchConfig(**meeting),
            scaling_config=train.ScalingConfig(
                num_workers=asked,
                use_gpu=compute.is_cuda,
                resources_per_worker={"CPU": compute.threads, **({"GPU": 1} if compute.is_cuda else {})},
            ),
            run_config=train.RunConfig(
                name=f"train-{number}",
                storage_path=scratch,
                failure_config=train.FailureConfig(max_failures=MAX_FAILURES),
                **options,
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            # Ray counts the failures of a whole training; where it got on between them it is not given up.
            if checkpoints.steps() == before:
                return _last_line(error)
        else:
            break
    return "no reason is known"


def _follow(launch: Callable[[], str], mailbox: Any, stop: StopRequest, progress: Progress) -> TrainResult:
    """Launch the workers, hand on what they tell, and end as they say."""
    import ray

    # Not in a thread of this process: one that still waits for Ray when the session ends would end the process.
    fitting = mailbox.launch.options(concurrency_group=LAUNCHING).remote(launch)
    has_begun, evaluated = False, 0
    heard, is_missed = time.monotonic(), False
    waiting, tell_at = True, heard + WAITING_S
    while True:
        ended, _ = ray.wait([fitting], timeout=0)
        letters = ray.get(mailbox.take.remote())
        if letters:
            heard, is_missed = time.monotonic(), False
        for what, value in letters:
            if what == ENDED:
                result: TrainResult = value
                return result
            if what == FAILED:
                raise value
            if what == BEGINS:
                if not has_begun:  # workers that are started again begin again
                    progress.begins()
                has_begun = True
            elif what in (BEGUN, LOST):
                waiting, tell_at = what == LOST, heard + WAITING_S
                progress.note(value)
            elif what != LIVES and (what != EVALUATED or value.step > evaluated):
                getattr(progress, what)(value)
            evaluated = max(evaluated, value.step) if what == EVALUATED else evaluated
        if ended:
            raise EngineError(f"the workers ended before the training did: {ray.get(fitting)}")
        if not (waiting or is_missed) and time.monotonic() - heard > SILENT_S:
            is_missed = True
            progress.note(
                f"the workers have not been heard of for {SILENT_S:g} s; they are started again where there is room"
            )
        if waiting and time.monotonic() > tell_at:
            tell_at = math.inf
            found: tuple[dict[str, float], ...] = (ray.available_resources(), ray.cluster_resources())
            free, total = (resources.get("CPU", 0.0) for resources in found)
            progress.note(
                f"no worker has begun for {WAITING_S:g} s: they are starting, or wait for others to make room "
                f"({free:g} of {total:g} processors are free)"
            )
        if stop.asked:
            if waiting or is_missed:
                raise KeyboardInterrupt  # there is nothing that a checkpoint does not hold
            mailbox.ask_to_stop.remote()
        time.sleep(POLL_S)


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:MAX_REASON]


def _work(given: dict[str, Any]) -> None:
    """One worker, in torch's process group."""
    import ray

    task: _Task = given["task"]
    group = Group.joined()
    mailbox = task.mailbox
    try:
        result = _train(task, group)
    except ENDS as error:
        ray.get(mailbox.tell.remote(FAILED, error))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:MAX_REASON]
        lost = f"worker {group.rank} of {group.world} could not go on, and all are started again ({reason})"
        ray.get(mailbox.tell.remote(LOST, lost))
        raise
    else:
        if group.is_first:
            ray.get(mailbox.tell.remote(ENDED, result))


def _train(task: _Task, group: Group) -> TrainResult:
    import ray
    from ray import train
    from ray.train.torch import get_device

    job = task.job
    mine = replace(job.compute, device=str(get_device())) if job.compute.is_cuda else job.compute
    set_up_process(mine)
    here = replace(job, compute=mine)
    loaders = task.loader_workers
    if loaders is None:
        loaders = default_workers(mine.threads, processes=train.get_context().get_local_world_size())
    feed = Feed(here, loader_workers=loaders)
    progress: Progress = Silent()
    if group.is_first:
        progress = Told(task.mailbox)
        each = job.recipe.batch_size // group.world
        begun = f"{group.world} workers, {each} images of a step each" if group.world > 1 else "1 worker"
        ray.get(task.mailbox.tell.remote(BEGUN, begun))
    heart = beating(task.mailbox) if group.is_first else nullcontext()
    with heart, closing(feed), TrainFolder(task.folder, job, feed.fingerprints, holds_lock=False) as place:
        return train_in(
            place,
            here,
            feed,
            progress=progress,
            checkpoint_every_s=task.checkpoint_every_s,
            asks_to_stop=StopAsked(task.mailbox) if group.is_first else lambda: False,
            group=group,
        )
