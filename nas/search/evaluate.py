"""What is done to one candidate: time its training step, train it for a short while (or take weights for it from a
supernet), take its held-out accuracy.

On a GPU that trials share, the others pause at a step boundary while one measures (nas/lane.py).

Runs in a child process of a worker. That child's parent imports this module once, torch with it, and forks.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nas.data import CropFlip, DeviceImages, PreparedData, Split, eval_batches, prepare, train_batches
from nas.device import Compute, DType, describe_device, set_up_process
from nas.lane import lane_of
from nas.measure import (
    Precision,
    calibrate,
    kept_calibration,
    measure_dtype_gain,
    measure_step_time,
    measure_training_memory,
)
from nas.search.inherited import SupernetRef
from nas.search.task import Evaluation, Probe, ProbeRequest, TrialTask
from nas.train import accuracy, train
from nas.train.feed import Feed
from nas.train.loop import eval_batch_size
from nas.train.supernets import judge
from nas.train.trained import TrainedSupernet, read_supernet
from results import RunError, TrialStatus
from search_space import build_network
from supernet import extract

__all__ = ["evaluate", "probe"]

DTYPE_ROUNDS = 19
PROBE_STEPS = (2, 22)
BFLOAT16_MUST_BE_FASTER = 1.2


def evaluate(task: TrialTask) -> Evaluation:
    """Measure, train and score one candidate."""
    compute = task.compute
    set_up_process(compute)
    device = describe_device(compute)
    lane = lane_of(compute)
    with lane.measuring():
        step_time = measure_step_time(
            task.arch, task.reference, seed=task.seed, precision=task.precision, **_step_conditions(task)
        )
    if task.max_step_time is not None and step_time.ratio > task.max_step_time:
        reason = f"a training step takes {step_time.ratio:.2f} of the reference's, over {task.max_step_time:g}"
        return Evaluation(status=TrialStatus.PRUNED, reason=reason, device=device, step_time=step_time)
    measured = Evaluation(status=TrialStatus.OK, device=device, step_time=step_time)
    if task.supernet is not None and not task.steps:
        with lane.training():
            return _score_in_supernet(task, task.supernet, measured)
    with lane.measuring():
        memory = measure_training_memory(task.arch, limit_bytes=task.memory_bytes, **_step_conditions(task))
    measured = replace(measured, peak_memory_bytes=memory.peak_bytes, max_batch_size=memory.largest_batch)
    data = task.prepared if task.prepared and task.prepared.at_hand else prepare(task.data)
    with lane.training() as at_step_boundary:
        return _train_and_score(task, data, measured, at_step_boundary)


def _train_and_score(
    task: TrialTask, data: PreparedData, measured: Evaluation, at_step_boundary: Callable[[], None]
) -> Evaluation:
    compute, image_size = task.compute, task.data.image_size
    torch.manual_seed(task.seed)
    generator = torch.Generator().manual_seed(task.seed)
    network = build_network(
        task.arch, dropout=task.recipe.dropout, drop_path=task.recipe.drop_path, generator=generator
    )
    if task.supernet is not None:
        network.load_state_dict(extract(_read(task.supernet).supernet, task.arch).state_dict())
    compute.place(network)
    outcome = train(
        network,
        train_batches(
            _on_device(data, "train", compute),
            batch_size=task.batch_size,
            steps=task.steps,
            generator=generator,
            augment=CropFlip.for_size(image_size, flip=data.flip) if task.recipe.augment else None,
            channels_last=compute.channels_last,
        ),
        steps=task.steps,
        recipe=task.recipe,
        compute=compute,
        at_step_boundary=at_step_boundary,
    )
    if outcome.diverged:
        reason = f"the loss was not finite at step {outcome.steps}"
        return replace(measured, status=TrialStatus.DIVERGED, reason=reason, train_steps=outcome.steps)
    scored_on = eval_batches(
        _on_device(data, task.score_on, compute),
        batch_size=eval_batch_size(image_size),
        channels_last=compute.channels_last,
    )
    correct, count = accuracy(network, scored_on, compute, at_step_boundary=at_step_boundary)
    return replace(measured, correct=correct, num_evaluated=count, train_steps=outcome.steps, train_loss=outcome.loss)


def _score_in_supernet(task: TrialTask, ref: SupernetRef, measured: Evaluation) -> Evaluation:
    trained = _read(ref)
    job = replace(trained.config.job.with_data(task.data.data, task.data.root), compute=task.compute)
    ready = task.judged_on if task.judged_on and all(data.at_hand for data in task.judged_on) else None
    with closing(Feed(job, data=ready)) as feed:
        if feed.fingerprints != trained.config.data:
            raise RunError(f"{ref.folder}: the data must be those that the supernet was trained on, got others")
        correct, count = judge(job, trained.supernet, task.arch, feed)
    return replace(measured, correct=correct, num_evaluated=count)


def _read(ref: SupernetRef) -> TrainedSupernet:
    trained = read_supernet(Path(ref.folder))
    if trained.sha256 != ref.sha256:
        raise RunError(f"{ref.folder}: must hold the weights that the search began with, got others")
    return trained


def _on_device(data: PreparedData, split: Split, compute: Compute) -> DeviceImages:
    return DeviceImages(data.split(split), device=compute.device, mean=data.mean, std=data.std)


def _step_conditions(task: TrialTask) -> dict[str, Any]:
    return {
        "recipe": task.recipe,
        "compute": task.compute,
        "batch_size": task.batch_size,
        "image_size": task.data.image_size,
    }


def _faster_dtype(task: TrialTask) -> DType:
    gain = measure_dtype_gain(task.reference, precision=Precision(max_rounds=DTYPE_ROUNDS), **_step_conditions(task))
    return "bfloat16" if gain.low >= BFLOAT16_MUST_BE_FASTER else "float32"


def probe(task: TrialTask, request: ProbeRequest) -> Probe:
    """Run the reference for a moment: the data load, the device works, a trial's length is known roughly.

    Where a choice of dtype is asked for, bfloat16 is taken if a step of the reference is surely (by the 95 %
    interval's low end) at least 1.2 times as fast with it. The block table is looked for, or made, last, in the dtype
    that was chosen.
    """
    set_up_process(task.compute)
    lane = lane_of(task.compute)
    if request.choose_dtype:
        with lane.measuring():
            task = replace(task, compute=replace(task.compute, dtype=_faster_dtype(task)))
    trial_s = _foreseen_seconds(task)
    alone = replace(task, supernet=None, steps=request.alone_steps)
    conditions = _step_conditions(task)
    calibration = kept_calibration(request.space, **conditions)
    if calibration is None and request.calibrate:
        with lane.measuring():
            calibration = calibrate(request.space, **conditions)
    return Probe(
        device=describe_device(task.compute),
        compute=task.compute,
        trial_s=trial_s,
        alone_s=_foreseen_seconds(alone) if alone.steps else None,
        calibration=calibration,
    )


def _foreseen_seconds(task: TrialTask) -> float:
    """Wall seconds of a whole trial of the reference, by a few of its steps."""
    task = replace(task, arch=task.reference)
    if not task.steps:
        return _trial_seconds(task)
    few, more = (_trial_seconds(replace(task, steps=n)) for n in PROBE_STEPS)
    a_step_s = max(0.0, more - few) / (PROBE_STEPS[1] - PROBE_STEPS[0])
    return more + max(0, task.steps - PROBE_STEPS[1]) * a_step_s


def _trial_seconds(task: TrialTask) -> float:
    """Wall seconds of a whole trial; its outcome does not matter."""
    start = time.perf_counter()
    evaluate(replace(task, max_step_time=None))
    return time.perf_counter() - start
