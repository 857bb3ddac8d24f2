"""The short training of a small network that benchmarks of nas train's own step are made of."""

import argparse
from collections.abc import Iterator

from nas.data import DataConfig, mix, prepare
from nas.device import Compute
from nas.train import FullOptions, TrainJob, TrainLength, learning_rate
from nas.train.feed import Feed
from nas.train.state import TrainState
from nas.train.step import FullStep
from scaling import ProgressiveRecipe, Ramp, SizeRamp
from search_space import ArchSpec, load_space


def parser_of(description: str | None, *, steps: int, seeds: int) -> argparse.ArgumentParser:
    """With the arguments that `job_of` takes, and seeds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seeds", type=int, default=seeds)
    return parser


def job_of(
    arguments: argparse.Namespace,
    options: FullOptions,
    seed: int,
    *,
    first_size: int,
    randaugment: Ramp,
    phases: int,
    arch: ArchSpec | None = None,
) -> TrainJob:
    """Dropout 0.1, RandAugment as given, no mixing; sides from `first_size` to the largest, which is evaluated too.
    The tiny space's reference is trained where no other is given."""
    size = arguments.image_size
    data = DataConfig(data=arguments.folder, image_size=size)
    recipe = ProgressiveRecipe(
        train_size=SizeRamp(first_size, size),
        eval_size=size,
        randaugment=randaugment,
        mixup=Ramp(0, 0),
        cutmix=Ramp(0, 0),
        dropout=Ramp(0.1, 0.1),
        stochastic_depth=0.0,
        batch_size=arguments.batch_size,
        epochs=1,
        phases=phases,
    )
    return TrainJob(
        arch=arch or load_space("efficientnetv2-tiny").reference.with_num_classes(prepare(data).num_classes),
        recipe=recipe,
        options=options,
        data=data,
        length=TrainLength(steps=arguments.steps),
        compute=Compute(),
        seed=seed,
    )


def steps(job: TrainJob, feed: Feed, state: TrainState) -> Iterator[int]:
    """Train; after each step, how many are done. `state` may hold another network than the job's, with a `dropout`."""
    step = FullStep(job, state)
    total = job.total_steps(feed.counts["train"])
    for phase in job.phases(total):
        step.begin(phase)
        for batch, labels in feed.train_batches(phase, start=state.step, stop=phase.end):
            images, targets = mix(
                batch, labels, mixup=0.0, cutmix=0.0, num_classes=job.arch.head.num_classes, generator=state.mixing
            )
            step(images, targets, learning_rate(job.options, state.step, total_steps=total, batch_size=len(batch)))
            yield state.step
