"""A whole search, begun or resumed: data, workers, the run's folder, the loop, and what is kept at the end."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from nas.data import PreparedData, prepare
from nas.device import Compute
from nas.search.budget import Budget, BudgetKeeper
from nas.search.config import SearchConfig
from nas.search.engine import Cluster, Resources, ray_session, run_search
from nas.search.loop import SearchLoop
from nas.search.progress import Progress
from nas.search.samplers import SAMPLERS, Candidate
from nas.search.task import Probe, TrialTask
from nas.search.worker import TrialCall
from results import Objective, Run, RunError, RunWriter, TrialResult, environment
from search_space import Space, load_space
from search_space.files import parse_json

__all__ = ["SearchEnd", "resume_search", "start_search"]

PROBE_DEADLINE_S = 900.0
PROBE_INDEX = -1
SLOWER_THAN_REFERENCE = 2.0
DEADLINE_TIMES = 10.0
MIN_DEADLINE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class SearchEnd:
    """How a search ended. `error` is what stopped it, where something did; what was finished is on record."""

    folder: Path
    stop_reason: str
    interrupted: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What follows from a config once the space and the data are known."""

    config: SearchConfig
    space: Space
    data: PreparedData
    image_size: int
    batch_size: int
    steps: int

    @classmethod
    def of(cls, config: SearchConfig, space: Space) -> Self:
        image_size = config.image_size or space.image_size
        batch_size = config.batch_size or space.batch_size
        data = prepare(config.data_config(image_size))
        steps = config.train_steps(data.counts["train"], batch_size)
        return cls(
            config=config,
            space=space.with_num_classes(data.num_classes),
            data=data,
            image_size=image_size,
            batch_size=batch_size,
            steps=steps,
        )

    def objective(self) -> Objective:
        return Objective(reference_params=self.space.reference.params, w=self.config.w, v=self.config.v)

    def for_record(self) -> dict[str, Any]:
        """All that is needed to resume, and to know later what was done."""
        return {
            "search": json.loads(json.dumps(asdict(self.config), default=str)),
            "space": json.loads(self.space.to_json()),
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "train_steps": self.steps,
            "data": {
                "summary": self.data.summary(),
                "fingerprint": self.data.folder.name,
                "classes": list(self.data.classes),
            },
            "environment": environment(),
        }


def start_search(config: SearchConfig, folder: Path, progress: Progress) -> SearchEnd:
    """Search, in a new run folder.

    Raises:
        ValueError: for what cannot be done as asked; nothing is left behind then.
    """
    start = time.monotonic()
    if config.sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {config.sampler!r}")
    plan = Plan.of(config, load_space(config.space))
    with ray_session(config.address) as cluster:
        resources, compute = _resources(config, cluster)
        writer = RunWriter.create(folder, config=plan.for_record(), objective=plan.objective(), limits=config.limits())
        with writer:
            return _search(plan, writer, cluster, resources, compute, progress, started=start, choose_dtype=True)


def resume_search(folder: Path, progress: Progress, *, changes: Mapping[str, Any]) -> SearchEnd:
    """Go on with a run from its record alone; `changes` are fields of its config that may change (budget, workers).

    Raises:
        ValueError: for no such run, or data that are not what they were.
    """
    start = time.monotonic()
    run = Run(folder)
    config, space = _recorded(run)
    config = replace(config, **changes)
    plan = Plan.of(config, space)
    if plan.data.folder.name != run.config.get("data", {}).get("fingerprint"):
        raise RunError(f"{folder}: the data {config.data!r} are not those that the run began with")
    with ray_session(config.address) as cluster, RunWriter.resume(folder) as writer:
        for note in writer.notes:
            progress.note(f"note: {note}")
        resources, compute = _resources(config, cluster)
        recorded = writer.config.get("compute")
        if recorded is not None:
            compute = parse_json(Compute, json.dumps(recorded))
        writer.update_config(search=plan.for_record()["search"])
        return _search(
            plan, writer, cluster, resources, compute, progress, started=start, choose_dtype=recorded is None
        )


def _recorded(run: Run) -> tuple[SearchConfig, Space]:
    try:
        config = parse_json(SearchConfig, json.dumps(run.config.get("search")))
        space = parse_json(Space, json.dumps(run.config.get("space")))
    except ValueError as error:
        raise RunError(f"{run.folder / 'config.json'}: {error}") from None
    return config, space


def _resources(config: SearchConfig, cluster: Cluster) -> tuple[Resources, Compute]:
    """What each trial gets; refused at once where the machines do not have it."""
    on_cuda = config.device == "cuda" or (config.device == "auto" and cluster.gpus > 0 and config.gpus_per_trial != 0)
    gpus = (1.0 if config.gpus_per_trial is None else config.gpus_per_trial) if on_cuda else 0.0
    if (config.gpus_per_trial and not on_cuda) or (on_cuda and cluster.gpus < gpus):
        asked = config.gpus_per_trial or gpus
        raise ValueError(f"a trial needs {asked:g} GPUs, but there are {cluster.gpus:g}")
    if config.cpus_per_trial > cluster.largest_node_cpus:
        raise ValueError(
            f"cpus_per_trial must be at most {cluster.largest_node_cpus:g}, the processors of a machine, "
            f"got {config.cpus_per_trial}"
        )
    fit = int(cluster.cpus // config.cpus_per_trial)
    if gpus:
        fit = min(fit, int(cluster.gpus / gpus + 1e-9))
    workers = config.workers or fit
    if workers > fit:
        raise ValueError(
            f"workers must be at most {fit} (of {cluster.cpus:g} processors at {config.cpus_per_trial} a trial"
            + (f", {cluster.gpus:g} GPUs at {gpus:g}" if gpus else "")
            + f"), got {workers}"
        )
    dtype = "float32" if config.dtype == "auto" else config.dtype
    compute = Compute(device="cuda" if on_cuda else "cpu", threads=config.cpus_per_trial, dtype=dtype)
    return Resources(cpus=config.cpus_per_trial, gpus=gpus, workers=workers), compute


def _search(
    plan: Plan,
    writer: RunWriter,
    cluster: Cluster,
    resources: Resources,
    compute: Compute,
    progress: Progress,
    *,
    started: float,
    choose_dtype: bool,
) -> SearchEnd:
    config, limits, objective = plan.config, plan.config.limits(), plan.objective()
    before_s = max((trial.ended_s for trial in writer.trials), default=0.0)
    budget = Budget.parse(config.budget)
    devices = {"gpu": resources.gpus, "cpu": float(resources.cpus)}.get(budget.kind, 1.0)
    if budget.kind == "gpu" and not resources.gpus:
        raise ValueError(f"a budget of GPU time needs trials on a GPU, got {config.budget!r} on device cpu")

    def now_s() -> float:
        return before_s + time.monotonic() - started

    keeper = BudgetKeeper(budget, devices=devices)

    def on_finished(result: TrialResult) -> None:
        progress.finished(loop, result)

    loop = SearchLoop(
        sampler=SAMPLERS[config.sampler](
            plan.space,
            seed=config.seed,
            allows=lambda arch: limits.params_allow(arch.params),
            score=lambda result: objective.reward(result) if limits.allow(result) else None,
        ),
        keeper=keeper,
        writer=writer,
        objective=objective,
        image_size=plan.image_size,
        seed=config.seed,
        max_running=resources.workers,
        devices=devices,
        now_s=now_s,
        on_finished=on_finished,
    )
    task = TrialTask(
        arch=plan.space.reference,
        reference=plan.space.reference,
        seed=config.seed,
        steps=plan.steps,
        batch_size=plan.batch_size,
        recipe=config.recipe,
        data=plan.data.config,
        compute=compute,
        max_step_time=config.max_step_time,
    )
    share = resources.gpus / cluster.gpus if resources.gpus else resources.cpus / cluster.largest_node_cpus
    probed: dict[str, Any] = {"compute": compute, "deadline_s": PROBE_DEADLINE_S}

    def on_probe(probe: Probe) -> None:
        expected_s = SLOWER_THAN_REFERENCE * probe.trial_s
        keeper.expect(expected_s)
        loop.device = probe.device
        probed["compute"] = probe.compute
        probed["deadline_s"] = config.deadline or max(MIN_DEADLINE_S, DEADLINE_TIMES * expected_s)
        writer.update_config(compute=asdict(probe.compute), device=probe.device, resources=asdict(resources))
        progress.note(
            f"{probe.device}, {probe.compute.dtype}; a trial of the reference network takes about {probe.trial_s:.0f} s"
        )
        progress.begin_live(loop)

    def make_call(candidate: Candidate) -> TrialCall:
        return TrialCall(
            index=candidate.index,
            task=replace(task, arch=candidate.arch, seed=loop.trial_seed(candidate.index), compute=probed["compute"]),
            deadline_s=probed["deadline_s"],
            share_of_node=share,
        )

    progress.note(f"run {writer.folder}")
    progress.note(plan.data.summary())
    progress.note(
        f"space {plan.space.name} at {plan.image_size} px, {plan.steps} steps of {plan.batch_size} images a trial, "
        f"{resources.workers} at once, budget {budget.describe(budget.amount)}"
    )
    try:
        run_search(
            loop,
            make_call=make_call,
            probe_call=TrialCall(
                index=PROBE_INDEX,
                task=task,
                deadline_s=PROBE_DEADLINE_S,
                share_of_node=share,
                is_probe=True,
                choose_dtype=choose_dtype and config.dtype == "auto",
            ),
            on_probe=on_probe,
            resources=resources,
            scratch=cluster.scratch,
            on_tick=lambda: progress.tick(now_s()),
        )
    finally:
        progress.end_live()
        writer.write_summary(wall_s=now_s(), budget=config.budget, stop_reason=loop.stop_reason or "stopped")
    return SearchEnd(folder=writer.folder, stop_reason=loop.stop_reason or "stopped", interrupted=loop.interrupted)
