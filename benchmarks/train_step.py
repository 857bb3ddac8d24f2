"""One training step of EfficientNetV2-S: this project's against torchvision's and timm's.

    taskset -c 0 python benchmarks/train_step.py

Each way of training is a process of its own, as its allocator is set up once; all are stepped in turn, one thread each,
and each step's CPU seconds are compared with those of torchvision's usual way around it. `usual` is what the library's
own script does: eager, float32, contiguous NCHW; torchvision's with SGD, timm's with RMSpropTF and an average of the
weights after each step, as its EfficientNets are trained. `as ours` is their network in this project's training step
with all that it sets. --losses 20 compares loss curves of the same weights instead.

Seen (AMD EPYC with AVX-512 and bfloat16, load 8, 2026-11-26, 10 rounds each), times faster than torchvision's usual,
95 % intervals: at 64 px (32 images) ours 1.44 (1.37 to 1.55), in bfloat16 2.04 (1.96 to 2.18); at 128 px (16) 1.22
(1.20 to 1.26) and 1.83 (1.78 to 1.92); at 224 px (8) 1.18 (1.16 to 1.25) and 1.97 (1.86 to 2.03). torchvision's
network in our step: 1.29, 1.16, 1.15, in bfloat16 1.12, 1.62, 1.75. Losses of 20 steps are at most 0.01 % apart, in
bfloat16 7 %.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import DataConfig
from nas.device import Compute, DType, set_up_process
from nas.measure.step_time import interval
from nas.train import FullOptions, TrainJob, TrainLength
from nas.train.ema import Average
from nas.train.loop import weight_groups
from nas.train.rmsprop import RMSpropTF
from nas.train.state import TrainState, full_optimizer
from nas.train.step import FullStep
from scaling import ProgressiveRecipe, Ramp, SizeRamp
from search_space import architecture

BATCH_SIZES = {64: 32, 128: 16, 224: 8}
NUM_CLASSES = 1000
DROPOUT, DROP_PATH = 0.2, 0.2
USUAL = "torchvision usual"

LR = 0.001

Step = Callable[[Tensor, Tensor], Tensor]


def usual(model: nn.Module, optimizer: torch.optim.Optimizer, average: Callable[[], None], *, cl: bool = False) -> Step:
    """A step as the libraries' own scripts have it."""
    model.train()
    if cl:
        model.to(memory_format=torch.channels_last)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last) if cl else images
        loss = functional.cross_entropy(model(images), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average()
        return loss.detach()

    return step


def torchvision_model() -> nn.Module:
    import torchvision

    return torchvision.models.efficientnet_v2_s(dropout=DROPOUT, stochastic_depth_prob=DROP_PATH)


def timm_model() -> nn.Module:
    import timm

    return timm.create_model("efficientnetv2_s", drop_rate=DROPOUT, drop_path_rate=DROP_PATH)


def usual_torchvision(*, cl: bool = False) -> Step:
    model = torchvision_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=2e-5)
    return usual(model, optimizer, lambda: None, cl=cl)


def usual_timm(*, cl: bool = False) -> Step:
    from timm.optim import create_optimizer_v2
    from timm.utils import ModelEmaV2

    model = timm_model()
    optimizer = create_optimizer_v2(model, "rmsproptf", lr=LR, weight_decay=1e-5, eps=1e-3)
    average = ModelEmaV2(model, decay=0.9999)
    return usual(model, optimizer, lambda: average.update(model), cl=cl)


def ours(
    image_size: int,
    batch_size: int,
    model: nn.Module | None = None,
    *,
    dtype: DType = "float32",
    compiled: bool = False,
    dropout: float = DROPOUT,
    drop_path: float = DROP_PATH,
) -> Step:
    """This project's step, of its own network or of another's."""
    where = Compute(dtype=dtype)
    set_up_process(where)
    recipe = ProgressiveRecipe(
        train_size=SizeRamp(image_size, image_size),
        eval_size=image_size,
        randaugment=Ramp(0, 0),
        mixup=Ramp(0, 0),
        cutmix=Ramp(0, 0),
        dropout=Ramp(dropout, dropout),
        stochastic_depth=drop_path,
        batch_size=batch_size,
        epochs=1,
        phases=1,
    )
    job = TrainJob(
        arch=architecture("efficientnetv2_s").with_num_classes(NUM_CLASSES),
        recipe=recipe,
        options=FullOptions(compile=compiled),
        data=DataConfig(data="digits", image_size=image_size),
        length=TrainLength(steps=1),
        compute=where,
    )
    state = TrainState(job)
    if model is not None:
        state.network = where.place(model).train()  # type: ignore[assignment]
        state.average = Average(model, job.options.ema_decay)
        state.optimizer = full_optimizer(model, job.options)
    train = FullStep(job, state)
    if model is None:
        train.begin(job.phases(1)[0])

    def step(images: Tensor, labels: Tensor) -> Tensor:
        images = where.place_images(images)
        targets = functional.one_hot(labels, NUM_CLASSES).float()
        return train(images, targets, LR)

    return step


WAYS: dict[str, Callable[[int, int], Step]] = {
    USUAL: lambda size, batch: usual_torchvision(),
    "timm usual": lambda size, batch: usual_timm(),
    "torchvision channels_last": lambda size, batch: usual_torchvision(cl=True),
    "timm channels_last": lambda size, batch: usual_timm(cl=True),
    "torchvision as ours": lambda size, batch: ours(size, batch, torchvision_model()),
    "timm as ours": lambda size, batch: ours(size, batch, timm_model()),
    "ours": lambda size, batch: ours(size, batch),
    "torchvision as ours, bfloat16": lambda size, batch: ours(size, batch, torchvision_model(), dtype="bfloat16"),
    "timm as ours, bfloat16": lambda size, batch: ours(size, batch, timm_model(), dtype="bfloat16"),
    "ours, bfloat16": lambda size, batch: ours(size, batch, dtype="bfloat16"),
    "ours, compiled": lambda size, batch: ours(size, batch, compiled=True),
    "ours, bfloat16, compiled": lambda size, batch: ours(size, batch, compiled=True, dtype="bfloat16"),
}


def loss_curves(image_size: int, batch_size: int, steps: int) -> None:
    """The same weights, batches and optimizer, nothing drawn at random: losses of torchvision's and of our network."""
    from search_space.convert import from_torchvision

    torch.set_num_threads(1)
    torch.manual_seed(0)
    import torchvision

    model = torchvision.models.efficientnet_v2_s(dropout=0.0, stochastic_depth_prob=0.0)
    arch = architecture("efficientnetv2_s")
    ways = {
        "torchvision, NCHW": usual(model, RMSpropTF(weight_groups(model, 1e-5), lr=LR), lambda: None),
        "ours": ours(image_size, batch_size, from_torchvision(model, arch)),
        "ours, bfloat16": ours(image_size, batch_size, from_torchvision(model, arch), dtype="bfloat16"),
    }
    images = torch.randn(4, batch_size, 3, image_size, image_size)
    labels = torch.randint(10, (4, batch_size))
    losses = {way: [float(step(images[n % 4], labels[n % 4])) for n in range(steps)] for way, step in ways.items()}
    for way, found in losses.items():
        apart = max(abs(loss / theirs - 1) for loss, theirs in zip(found, losses["torchvision, NCHW"], strict=True))
        print(f"{way}: {' '.join(f'{loss:.4f}' for loss in found)}; at most {apart:.2%} apart", flush=True)


def serve(way: str, image_size: int, batch_size: int) -> None:
    """A step for each line on stdin, its CPU seconds on stdout."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = WAYS[way](image_size, batch_size)
    images, labels = torch.randn(batch_size, 3, image_size, image_size), torch.randint(NUM_CLASSES, (batch_size,))
    for _ in sys.stdin:
        start = time.process_time()
        step(images, labels)
        print(time.process_time() - start, flush=True)


class Process:
    """One way of training in a process of its own."""

    def __init__(self, way: str, image_size: int, batch_size: int) -> None:
        command = [sys.executable, __file__, "--serve", way, "--image-size", str(image_size)]
        command += ["--batch-size", str(batch_size)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds: list[float] = []

    def step(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(file=self._child.stdin, flush=True)
        self.seconds.append(float(self._child.stdout.readline()))

    def end(self) -> None:
        self._child.communicate()


def compare(ways: list[str], image_size: int, batch_size: int, rounds: int, warm_up: int) -> None:
    processes = {way: Process(way, image_size, batch_size) for way in [USUAL, *ways]}
    for _ in range(warm_up + rounds):
        for process in processes.values():
            process.step()
    processes[USUAL].step()
    for process in processes.values():
        process.end()
    for way, process in processes.items():
        seconds = process.seconds[warm_up:]
        if way == USUAL:
            print(f"| {image_size} | {way} | {median(seconds):.3f} | 1 | |", flush=True)
            continue
        around = [(before + after) / 2 for before, after in pairwise(processes[USUAL].seconds[warm_up:])]
        found = interval([usual / own for usual, own in zip(around, seconds, strict=True)])
        print(
            f"| {image_size} | {way} | {median(seconds):.3f} | **{found.ratio:.2f}** | {found.low:.2f} to "
            f"{found.high:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, nargs="+", default=list(BATCH_SIZES))
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--ways", nargs="+", default=[way for way in WAYS if way != USUAL])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--losses", type=int, metavar="STEPS", help="compare loss curves instead, at the first size")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.image_size[0], arguments.batch_size)
        return
    if arguments.losses:
        size = arguments.image_size[0]
        loss_curves(size, arguments.batch_size or BATCH_SIZES[size], arguments.losses)
        return
    print("| px | way | CPU s a step | times faster than torchvision's usual | 95 % interval |")
    print("| --- | --- | --- | --- | --- |")
    for size in arguments.image_size:
        compare(arguments.ways, size, arguments.batch_size or BATCH_SIZES[size], arguments.rounds, arguments.warm_up)


if __name__ == "__main__":
    main()
