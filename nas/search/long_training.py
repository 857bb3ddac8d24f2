"""Training networks of a run for longer: a session of the same engine as a search's, in the validation's folder."""

import time
from dataclasses import replace

from nas.cluster import ray_session
from nas.search.budget import Budget
from nas.search.driver import Driver, SearchEnd
from nas.search.plan import Plan
from nas.search.progress import Progress
from nas.search.run import as_recorded, check_data, recorded, resources_of
from nas.search.validation import LongTraining, ValidationConfig
from results import RunWriter

__all__ = ["train_longer"]


def train_longer(training: LongTraining, config: ValidationConfig, progress: Progress) -> SearchEnd:
    """Train what is left, with the run's recipe, data, holdout and form of compute.

    No deadline of the run's and no limit on step time hold: both were of the short training, and a network at the
    limit would be left out by the noise of a second measurement.

    Raises:
        ValueError: for data that are not the run's, a length that is not above the run's, or what cannot be had.
    """
    start = time.monotonic()
    run = training.run
    plan = _plan(training, config)
    progress.note(_estimate(training, plan))
    with ray_session(plan.config.address) as cluster:
        resources, compute = resources_of(plan.config, cluster)
        compute = as_recorded(compute, run.config.get("compute"), run.folder)
        with _writer(training, plan) as writer:
            for note in writer.notes:
                progress.note(f"note: {note}")
            driver = Driver(plan, writer, cluster, resources, compute, progress, started=start)
            return driver.run(choose_dtype=False)


def _plan(training: LongTraining, config: ValidationConfig) -> Plan:
    short_steps = training.short_steps()
    search, space = recorded(training.begun or training.run)
    search = replace(
        search,
        budget=str(len(training.short)),
        train_length=config.length(short_steps),
        max_step_time=None,
        deadline=None,
        confirm_share=0.0,
        evaluator="training",
        supernet=None,
        warm_start=None,
        **config.changes(),
    ).anchored()
    supernet = recorded(training.run)[0].inherits_from
    # On the images that were held out of a supernet's training.
    plan = Plan.of(search, space) if supernet is None else replace(Plan.of_supernet(search, supernet), supernet=None)
    check_data(plan, training.run)
    if plan.steps <= short_steps:
        raise ValueError(f"the long training must be longer than the run's {short_steps} steps, got {plan.steps}")
    # A trial's seed is this times a million and its index: no trial of the run has one of these.
    return replace(plan, training_seed=search.seed + 1, networks=tuple(trial.arch for trial in training.short))


def _writer(training: LongTraining, plan: Plan) -> RunWriter:
    folder, record = training.folder, training.record()
    if training.begun is None:
        config = {**plan.for_record(), **record}
        return RunWriter.create(folder, config=config, objective=plan.objective(), limits=plan.config.limits())
    writer = RunWriter.resume(folder)
    try:
        writer.update_config(search=plan.for_record()["search"], **record)
    except BaseException:
        writer.close()
        raise
    return writer


def _estimate(training: LongTraining, plan: Plan) -> str:
    left, short_steps = training.left, training.short_steps()
    if not short_steps:
        return f"{len(left)} networks, which a supernet judged, are trained alone for {plan.steps} steps each"
    resources = training.run.config.get("resources")
    workers = plan.config.workers or (resources.get("workers") if isinstance(resources, dict) else None) or 1
    at_once = min(workers, len(left))
    seconds = sum(trial.seconds for trial in left) * plan.steps / short_steps / at_once
    return (
        f"{len(left)} networks are trained for {plan.steps} steps each (the run's: {short_steps}): at most "
        f"about {Budget(kind='wall', amount=seconds).describe(seconds)} at {at_once} at once"
    )
