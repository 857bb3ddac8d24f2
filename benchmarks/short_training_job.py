"""The short training of the tiny space's reference that benchmarks of nas train's own step are made of."""

import argparse

from nas.data import DataConfig, prepare
from nas.device import Compute
from nas.train import FullOptions, TrainJob, TrainLength
from scaling import ProgressiveRecipe, Ramp, SizeRamp
from search_space import load_space


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
    arguments: argparse.Namespace, options: FullOptions, seed: int, *, first_size: int, randaugment: Ramp, phases: int
) -> TrainJob:
    """Dropout 0.1, RandAugment as given, no mixing; sides from `first_size` to the largest, which is evaluated too."""
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
        arch=load_space("efficientnetv2-tiny").reference.with_num_classes(prepare(data).num_classes),
        recipe=recipe,
        options=options,
        data=data,
        length=TrainLength(steps=arguments.steps),
        compute=Compute(),
        seed=seed,
    )
