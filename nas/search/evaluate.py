"""What is done to one candidate: time its training step, train it for a short while, take its held-out accuracy.

Runs in a child process of a worker. That child's parent imports this module once, torch with it, and forks.
"""

import time
from dataclasses import replace
from typing import get_args

import torch

from nas.data import CropFlip, DeviceImages, PreparedData, Split, eval_batches, prepare, train_batches
from nas.device import Compute, DType, describe_device, peak_memory_bytes, set_up_process
from nas.measure import measure_step_time
from nas.search.task import Evaluation, Probe, TrialTask
from nas.train import accuracy, train
from results import TrialStatus
from search_space import build_network

__all__ = ["evaluate", "probe"]

EVAL_PIXELS = 512 * 32 * 32
DTYPE_ROUNDS = 6
PROBE_STEPS = (2, 22)
BFLOAT16_MUST_BE_FASTER = 1.2


def evaluate(task: TrialTask) -> Evaluation:
    """Measure, train and score one candidate."""
    compute, image_size = task.compute, task.data.image_size
    set_up_process(compute)
    device = describe_device(compute)
    step_time = measure_step_time(
        task.arch,
        task.reference,
        recipe=task.recipe,
        compute=compute,
        batch_size=task.batch_size,
        image_size=image_size,
        seed=task.seed,
    )
    if task.max_step_time is not None and step_time.ratio > task.max_step_time:
        reason = f"a training step takes {step_time.ratio:.2f} of the reference's, over {task.max_step_time:g}"
        return Evaluation(status=TrialStatus.PRUNED, reason=reason, device=device, step_time=step_time)
    data = prepare(task.data)
    torch.manual_seed(task.seed)
    generator = torch.Generator().manual_seed(task.seed)
    network = build_network(
        task.arch, dropout=task.recipe.dropout, drop_path=task.recipe.drop_path, generator=generator
    )
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
    )
    if outcome.diverged:
        return Evaluation(
            status=TrialStatus.DIVERGED,
            reason=f"the loss was not finite at step {outcome.steps}",
            device=device,
            step_time=step_time,
            train_steps=outcome.steps,
        )
    scored_on = eval_batches(
        _on_device(data, task.score_on, compute),
        batch_size=max(1, EVAL_PIXELS // image_size**2),
        channels_last=compute.channels_last,
    )
    correct, count = accuracy(network, scored_on, compute)
    return Evaluation(
        status=TrialStatus.OK,
        device=device,
        step_time=step_time,
        correct=correct,
        num_evaluated=count,
        train_steps=outcome.steps,
        train_loss=outcome.loss,
        peak_memory_bytes=peak_memory_bytes(compute),
    )


def _on_device(data: PreparedData, split: Split, compute: Compute) -> DeviceImages:
    return DeviceImages(data.split(split), device=compute.device, mean=data.mean, std=data.std)


def _faster_dtype(task: TrialTask) -> DType:
    seconds = {
        dtype: measure_step_time(
            task.reference,
            task.reference,
            recipe=task.recipe,
            compute=replace(task.compute, dtype=dtype),
            batch_size=task.batch_size,
            image_size=task.data.image_size,
            rounds=DTYPE_ROUNDS,
        ).seconds
        for dtype in get_args(DType)
    }
    return "bfloat16" if seconds["float32"] > BFLOAT16_MUST_BE_FASTER * seconds["bfloat16"] else "float32"


def probe(task: TrialTask, choose_dtype: bool) -> Probe:
    """Run the reference for a moment: the data load, the device works, a trial's length is known roughly.

    With `choose_dtype`, bfloat16 is taken where a step of the reference is at least 1.2 times as fast with it.
    """
    compute = task.compute
    set_up_process(compute)
    if choose_dtype:
        compute = replace(compute, dtype=_faster_dtype(task))
    seconds = [_trial_seconds(replace(task, arch=task.reference, compute=compute, steps=n)) for n in PROBE_STEPS]
    a_step_s = max(0.0, seconds[1] - seconds[0]) / (PROBE_STEPS[1] - PROBE_STEPS[0])
    return Probe(
        device=describe_device(compute),
        compute=compute,
        trial_s=seconds[1] + max(0, task.steps - PROBE_STEPS[1]) * a_step_s,
    )


def _trial_seconds(task: TrialTask) -> float:
    """Wall seconds of a whole trial; its outcome does not matter."""
    start = time.perf_counter()
    evaluate(replace(task, max_step_time=None))
    return time.perf_counter() - start
