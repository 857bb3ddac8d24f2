"""A search begun or resumed: what is asked for is checked, the machines are looked at, the driver is let loose."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.cluster import Cluster, ray_session
from nas.device import Compute
from nas.measure import read_calibration
from nas.search.budget import Budget
from nas.search.config import SearchConfig
from nas.search.driver import CALIBRATION, Driver, SearchEnd
from nas.search.engine import Resources
from nas.search.forecast import Forecast
from nas.search.plan import Plan
from nas.search.progress import Progress
from nas.search.samplers import SpaceExhausted
from nas.text import printable
from results import Run, RunError, RunWriter
from results.mirror import Mirror
from search_space import Space, load_space
from search_space.files import parse_json

__all__ = ["as_recorded", "check_asks", "check_data", "recorded", "resources_of", "resume_search", "start_search"]


def start_search(config: SearchConfig, folder: Path, progress: Progress, *, mirror: str | None = None) -> SearchEnd:
    """Search, in a new run folder, which is kept at the URL `mirror` too.

    Raises:
        ValueError: for what cannot be done as asked; nothing is left behind then.
    """
    start = time.monotonic()
    if (folder / "config.json").exists():
        raise RunError(f"{folder}: already holds a run: resume it, or choose another name")
    plan = _plan(config.anchored(), lambda: load_space(config.space))
    try:
        plan.sampler(Forecast()).ask()
    except SpaceExhausted as exhausted:
        raise ValueError(str(exhausted)) from None
    mirrored_by = _mirror(folder, mirror, progress)
    with ray_session(config.address) as cluster:
        resources, compute = resources_of(config, cluster)
        writer = RunWriter.create(folder, config=plan.for_record(), objective=plan.objective(), limits=config.limits())
        with writer, _mirrored(writer, mirrored_by):
            driver = Driver(plan, writer, cluster, resources, compute, progress, started=start)
            return driver.run(choose_dtype=True)


def resume_search(
    folder: Path, progress: Progress, *, changes: Mapping[str, Any], mirror: str | None = None
) -> SearchEnd:
    """Go on with a run from its record alone; `changes` are fields of its config that may change (budget, workers).

    Raises:
        ValueError: for no such run, or data that are not what they were.
    """
    start = time.monotonic()
    run = Run(folder)
    if "validation" in run.config:
        raise RunError(f"{folder}: is a validation: go on with nas validate and the run that it is of")
    read_calibration(folder / CALIBRATION)  # a damaged one is refused before anything is started
    check_asks(run)
    config, space = recorded(run)
    config = replace(config, **changes).anchored()
    plan = _plan(config, lambda: space)
    check_data(plan, run)
    mirrored_by = _mirror(folder, mirror, progress)
    with ray_session(config.address) as cluster, RunWriter.resume(folder) as writer, _mirrored(writer, mirrored_by):
        for note in writer.notes:
            progress.note(f"note: {note}")
        resources, compute = resources_of(config, cluster)
        began_with = writer.config.get("compute")
        if began_with is not None:
            compute = as_recorded(compute, began_with, folder)
        record = plan.for_record()
        writer.update_config(search=record["search"], supernet=record["supernet"])
        driver = Driver(plan, writer, cluster, resources, compute, progress, started=start)
        return driver.run(choose_dtype=began_with is None)


def _mirror(folder: Path, url: str | None, progress: Progress) -> Mirror | None:
    """Refused at once where the URL cannot be used."""
    return None if url is None else Mirror(folder, url, note=progress.note)


def _mirrored(writer: RunWriter, mirror: Mirror | None) -> AbstractContextManager[object]:
    return nullcontext() if mirror is None else mirror.of_lines(lambda: writer.sizes)


def _plan(config: SearchConfig, find_space: Callable[[], Space]) -> Plan:
    folder = config.inherits_from
    return Plan.of(config, find_space()) if folder is None else Plan.of_supernet(config, folder)


def check_data(plan: Plan, run: Run) -> None:
    """Raise RunError where the data of a plan, or its supernet, are not those that the run began with."""
    began_with = run.config.get("data")
    if not isinstance(began_with, dict) or plan.data.fingerprint != began_with.get("fingerprint"):
        was = printable(began_with.get("summary")) if isinstance(began_with, dict) else "not on record"
        raise RunError(
            f"{run.folder}: the data are not those that the run began with\nthen: {was}\nnow: {plan.data.summary()}"
        )
    began_with = run.config.get("supernet")
    known = began_with.get("sha256") if isinstance(began_with, dict) else None
    if plan.supernet is not None and plan.supernet.sha256 != known:
        raise RunError(
            f"{run.folder}: {plan.supernet.folder} must hold the supernet that the run began with, got another"
        )


def check_asks(run: Run) -> None:
    """Raise RunError where the record lacks a proposal that this version had written."""
    asked = {ask.index for ask in run.asks_file.records}
    for trial in run.trials_file.records[run.num_without_asks :]:
        if not trial.repeat and trial.index not in asked:
            raise RunError(
                f"{run.folder / 'asks.jsonl'}: the record of proposals is missing or damaged: it has none for "
                f"trial {trial.index}"
            )


def as_recorded(compute: Compute, recorded: object, folder: Path) -> Compute:
    """The compute of this session in the form that the run began with."""
    try:
        began_with = parse_json(Compute, json.dumps(recorded))
    except ValueError as error:
        raise RunError(f"{folder / 'config.json'}: compute: {error}") from None
    if began_with.device != compute.device:
        raise RunError(f"{folder}: was begun on {began_with.device}, and step times of {compute.device} do not compare")
    return replace(compute, dtype=began_with.dtype, channels_last=began_with.channels_last)


def recorded(run: Run) -> tuple[SearchConfig, Space]:
    """The config and the space that a run is of."""
    try:
        config = parse_json(SearchConfig, json.dumps(run.config.get("search")))
        space = parse_json(Space, json.dumps(run.config.get("space")))
    except ValueError as error:
        raise RunError(f"{run.folder / 'config.json'}: {error}") from None
    return config, space


def resources_of(config: SearchConfig, cluster: Cluster) -> tuple[Resources, Compute]:
    """What each trial gets; refused at once where the machines do not have it."""
    on_cuda = config.device == "cuda" or (config.device == "auto" and cluster.gpus > 0 and config.gpus_per_trial != 0)
    gpus = (1.0 if config.gpus_per_trial is None else config.gpus_per_trial) if on_cuda else 0.0
    # Machines that are not there yet may have what is missing.
    may_grow = config.address is not None and config.workers is not None
    if (config.gpus_per_trial and not on_cuda) or (on_cuda and cluster.gpus < gpus and not may_grow):
        asked = config.gpus_per_trial or gpus
        raise ValueError(f"a trial needs {asked:g} GPUs, but there are {cluster.gpus:g}")
    if Budget.parse(config.budget).kind == "gpu" and not on_cuda:
        raise ValueError(f"a budget of GPU time needs trials on a GPU, got {config.budget!r} on device cpu")
    largest = max(node.cpus for node in cluster.nodes)
    if config.cpus_per_trial > largest and not may_grow:
        raise ValueError(
            f"cpus_per_trial must be at most {largest:g}, the processors of a machine, got {config.cpus_per_trial}"
        )
    fit = sum(node.fits(config.cpus_per_trial, gpus) for node in cluster.nodes)
    if not fit and not may_grow:
        raise ValueError(f"no machine has {config.cpus_per_trial} processors and {gpus:g} GPUs for a trial")
    workers = config.workers or fit
    if workers > fit and not may_grow:
        raise ValueError(
            f"workers must be at most {fit} (of {cluster.cpus:g} processors at {config.cpus_per_trial} a trial"
            + (f", {cluster.gpus:g} GPUs at {gpus:g}" if gpus else "")
            + f"), got {workers}"
        )
    dtype = "float32" if config.dtype == "auto" else config.dtype
    compute = Compute(device="cuda" if on_cuda else "cpu", threads=config.cpus_per_trial, dtype=dtype)
    return Resources(cpus=config.cpus_per_trial, gpus=gpus, workers=workers), compute
