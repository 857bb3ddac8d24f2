"""A searched family against EfficientNet-B0-, MobileNetV2- and ResNet-like networks: the paper's Table 7 in small.

    nas search --data DIR --budget 14m --image-size 24 --min-params 100000 --out RUN
    nas scale --run RUN --target M=2x,L=4x --by step-time --out FAMILY
    python benchmarks/family_comparison.py train FAMILY DIR FILE --epochs 5 --seeds 3
    python benchmarks/family_comparison.py time FAMILY DIR FILE
    python benchmarks/family_comparison.py show FILE

The three rivals have as many params as FAMILY's M, by a width multiplier in multiples of 8, and its strides: the stem
halves, and three stages do. MobileNetV2 and EfficientNet-B0 are the catalog's; the ResNet is timm's of 18 layers with a
deep stem (ResNet-18-D) without its pool. All are trained by nas train's own step with the paper's optimizer for as many
epochs, one size, flips and crops, dropout 0.1. Each takes the best of three learning rates, by held-out accuracy after
`--rate-epochs` with a seed of its own; then the averaged weights are tested on all test images some times an epoch.

`time` steps all of them in turn, one thread, with batches of FILE's size made as in training in between. A training's
time is its steps times (step + batch): what else ran on the machine while it trained has no part in it. `show` prints
the time that each took to the accuracy that the best rival ends with, and for each rival the smallest member of the
family that got as far as it did, with times and params as ratios. `train` goes on where FILE ends.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from figures import read_rows, spread
from short_training_job import job_of, steps
from torch import Tensor, nn

from nas.device import Compute, set_up_process
from nas.measure.step_time import interval
from nas.train import FullOptions, TrainJob, TrainLength, accuracy
from nas.train.ema import Average
from nas.train.feed import Feed
from nas.train.state import TrainState, full_optimizer
from nas.train.step import FullStep
from scaling import Ramp
from search_space import ArchSpec, architecture, round_width

MEMBERS = ("S", "M", "L")
# The published third stage halves too; it would be left with one pixel of 32.
STRIDES = (1, 2, 1, 2, 1, 2, 1)
PUBLISHED = {"EfficientNet-B0-like": "efficientnet_b0", "MobileNetV2-like": "mobilenet_v2"}
RESNET = "ResNet-18-D-like"
RIVALS = (*PUBLISHED, RESNET)
RATES = (0.016, 0.032, 0.064)
RATE_SEED, FIRST_SEED = 100, 1


class ResNet(nn.Module):
    """timm's, with a stem that halves once and a dropout as nas train sets it."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        from timm.models.resnet import BasicBlock
        from timm.models.resnet import ResNet as Features

        channels = (width, 2 * width, 4 * width, 8 * width)
        self.features = Features(
            BasicBlock, (2, 2, 2, 2), num_classes=0, channels=channels, stem_type="deep", stem_width=width // 2
        )
        self.features.maxpool = nn.Identity()
        self.dropout = nn.Dropout()
        self.classifier = nn.Linear(8 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(images)))  # type: ignore[no-any-return]


def params_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def widened(published: ArchSpec, multiplier: float) -> ArchSpec:
    def width(of: int) -> int:
        return round_width(of * multiplier, divisor=8)

    stages = tuple(
        replace(stage, width=width(stage.width), stride=stride)
        for stage, stride in zip(published.stages, STRIDES, strict=True)
    )
    stem = replace(published.stem, width=width(published.stem.width))
    return replace(published, stem=stem, stages=stages, head=replace(published.head, width=width(published.head.width)))


def contestants(family: Path, num_classes: int) -> dict[str, ArchSpec | int]:
    """By name, each's network; of the ResNet, the width of its first stage."""
    members = {name: ArchSpec.from_json((family / f"{name}.json").read_text()) for name in MEMBERS}
    found: dict[str, ArchSpec | int] = {name: arch.with_num_classes(num_classes) for name, arch in members.items()}
    size = members["M"].with_num_classes(num_classes).params
    for name, of in PUBLISHED.items():
        published = architecture(of).with_num_classes(num_classes)
        sizes = [widened(published, step / 100) for step in range(10, 200)]
        found[name] = min(sizes, key=lambda arch: abs(arch.params - size))
    widths = range(8, 65, 4)
    found[RESNET] = min(widths, key=lambda width: abs(params_of(ResNet(width, num_classes)) - size))
    return found


def job_for(
    arguments: argparse.Namespace, arch: ArchSpec | int, lr: float, seed: int, epochs: int, members: list[ArchSpec]
) -> TrainJob:
    options = FullOptions.of("rmsprop", lr=lr)
    size = arguments.image_size
    # The ResNet is no ArchSpec: it takes the place of a network that is.
    own = arch if isinstance(arch, ArchSpec) else members[0]
    job = job_of(arguments, options, seed, first_size=size, randaugment=Ramp(0, 0), phases=1, arch=own)
    return replace(job, length=TrainLength(epochs=epochs))


def state_of(job: TrainJob, arch: ArchSpec | int) -> TrainState:
    state = TrainState(job)
    if not isinstance(arch, ArchSpec):
        network = job.compute.place(ResNet(arch, job.arch.head.num_classes)).train()
        state.network, state.average = network, Average(network, job.options.ema_decay)  # type: ignore[assignment]
        state.optimizer = full_optimizer(network, job.options)
    return state


def tested(state: TrainState, feed: Feed, split: str, compute: Compute) -> float:
    correct, count = accuracy(state.average.network, feed.eval_batches(split), compute)  # type: ignore[arg-type]
    return correct / count


def add(file: Path, row: dict[str, Any]) -> None:
    with file.open("a") as stream:
        stream.write(json.dumps(row) + "\n")
    print({key: value for key, value in row.items() if key != "curve"}, file=sys.stderr, flush=True)


def train(arguments: argparse.Namespace) -> None:
    set_up_process(Compute())
    found = contestants(arguments.family, arguments.num_classes)
    members = [arch for arch in found.values() if isinstance(arch, ArchSpec)]
    rows = read_rows(arguments.file)
    rates = {(row["name"], row["lr"]): row["accuracy"] for row in rows if row["kind"] == "rate"}
    for name, arch in found.items():
        for lr in RATES:
            if (name, lr) not in rates:
                job = job_for(arguments, arch, lr, RATE_SEED, arguments.rate_epochs, members)
                feed, state = Feed(job), state_of(job, arch)
                for _ in steps(job, feed, state):
                    pass
                rates[name, lr] = tested(state, feed, "holdout", job.compute)
                add(arguments.file, {"kind": "rate", "name": name, "lr": lr, "accuracy": rates[name, lr]})
    done = {(row["name"], row["seed"]) for row in rows if row["kind"] == "training"}
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for name, arch in found.items():
            if (name, seed) in done:
                continue
            best = max(RATES, key=lambda lr: rates[name, lr])
            job = job_for(arguments, arch, best, seed, arguments.epochs, members)
            feed, state = Feed(job), state_of(job, arch)
            total = job.total_steps(feed.counts["train"])
            tests = arguments.tests * arguments.epochs
            due = {round(total * number / tests) for number in range(1, tests + 1)}
            curve = []
            for step in steps(job, feed, state):
                if step in due:
                    curve.append((step, tested(state, feed, "test", job.compute)))
                    state.network.train()
            row = {"kind": "training", "name": name, "seed": seed, "lr": best, "curve": curve}
            add(arguments.file, {**row, "params": params_of(state.network), "test": curve[-1][1]})


def time_steps(arguments: argparse.Namespace) -> None:
    set_up_process(Compute())
    found = contestants(arguments.family, arguments.num_classes)
    members = [arch for arch in found.values() if isinstance(arch, ArchSpec)]
    jobs = {name: job_for(arguments, arch, RATES[0], 0, 1, members) for name, arch in found.items()}
    job = jobs["S"]
    feed = Feed(job)
    stepping = {}
    phase = job.phases(job.total_steps(feed.counts["train"]))[0]
    for name, arch in found.items():
        stepping[name] = FullStep(jobs[name], state_of(jobs[name], arch))
        stepping[name].begin(phase)
    seconds: dict[str, list[float]] = {name: [] for name in (*found, "batch")}
    batches = feed.train_batches(phase, start=0, stop=phase.end)
    for _ in range(arguments.warm_up + arguments.rounds + 1):
        start = time.process_time()
        images, labels = next(batches)
        seconds["batch"].append(time.process_time() - start)
        targets = nn.functional.one_hot(labels, arguments.num_classes).float()
        for name, step in stepping.items():
            start = time.process_time()
            step(images, targets, RATES[0])
            seconds[name].append(time.process_time() - start)
    around = [(before + after) / 2 for before, after in pairwise(seconds["S"][arguments.warm_up :])]
    for name, all_seconds in seconds.items():
        ratios = [one / base for one, base in zip(all_seconds[arguments.warm_up : -1], around, strict=True)]
        ratio = interval(ratios)
        add(
            arguments.file,
            {
                "kind": "time",
                "name": name,
                "ratio": ratio.ratio,
                "low": ratio.low,
                "high": ratio.high,
                "cpu_seconds": median(all_seconds[arguments.warm_up :]),
                "rounds": len(ratios),
            },
        )


def reached(curve: list[tuple[int, float]], target: float) -> float | None:
    """Steps until the accuracy is `target`, on the line between two tests; None where it never is."""
    before = (0, 0.0)
    for step, share in curve:
        if share >= target:
            return before[0] + (step - before[0]) * (target - before[1]) / (share - before[1])
        before = (step, share)
    return None


def show(arguments: argparse.Namespace) -> None:
    rows = read_rows(arguments.file)
    times = {row["name"]: row for row in rows if row["kind"] == "time"}
    curves: dict[str, dict[int, list[tuple[int, float]]]] = {}
    params: dict[str, int] = {}
    rates: dict[str, float] = {}
    for row in rows:
        if row["kind"] == "training":
            curves.setdefault(row["name"], {})[row["seed"]] = row["curve"]
            params[row["name"]], rates[row["name"]] = row["params"], row["lr"]
    # In steps of S, batch and all.
    unit = 1 + times["batch"]["ratio"]
    cost = {name: (times[name]["ratio"] + times["batch"]["ratio"]) / unit for name in curves}
    ends = {name: mean(curve[-1][1] for curve in of.values()) for name, of in curves.items()}
    best = max(RIVALS, key=lambda name: ends[name])
    print(
        f"steps of S: {1000 * times['S']['cpu_seconds']:.0f} ms, a batch {1000 * times['batch']['cpu_seconds']:.0f} ms "
        f"of CPU; n = {times['S']['rounds']} rounds"
    )
    print("\n| network | params | step / S's | lr | test accuracy at the end, % | time, S = 1 |", end="")
    print(f" of it to {100 * ends[best]:.1f} % | n |\n{'| --- ' * 8}|")

    def time_to(name: str, target: float) -> list[float] | None:
        """In trainings of S; None where a seed never got there."""
        found = [reached(curve, target) for curve in curves[name].values()]
        total = curves["S"][FIRST_SEED][-1][0]
        return None if None in found else [cost[name] * steps / total for steps in found if steps is not None]

    for name, of in curves.items():
        step = times[name]
        to_best = time_to(name, ends[best])
        print(
            f"| {name} | {params[name] / 1e6:.3f}M | {step['ratio']:.2f} ({step['low']:.2f} to {step['high']:.2f}) | "
            f"{rates[name]:g} | {spread([100 * curve[-1][1] for curve in of.values()], 1)} | {cost[name]:.2f} | "
            f"{'not reached' if to_best is None else spread(to_best, 2)} | {len(of)} |"
        )
    print("\n| rival | ends at, % | member | time: faster | params: smaller |\n| --- | --- | --- | --- | --- |")
    for rival in RIVALS:
        whole = cost[rival] * curves[rival][FIRST_SEED][-1][0] / curves["S"][FIRST_SEED][-1][0]
        for member in MEMBERS:
            taken = time_to(member, ends[rival])
            if taken is not None:
                print(
                    f"| {rival} | {100 * ends[rival]:.1f} | {member} | {spread([whole / each for each in taken], 1)} | "
                    f"{params[rival] / params[member]:.1f} |"
                )
    print("\ntested so far, %, at shares of the steps")
    shares = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    print(f"| network | {' | '.join(f'{share:.0%}' for share in shares)} |\n{'| --- ' * (1 + len(shares))}|")
    for name, of in curves.items():
        cells = [
            spread([100 * curve[max(0, round(share * len(curve)) - 1)][1] for curve in of.values()], 1)
            for share in shares
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, do in (("train", train), ("time", time_steps)):
        command = commands.add_parser(name)
        command.add_argument("family", type=Path)
        command.add_argument("folder")
        command.add_argument("file", type=Path)
        command.add_argument("--num-classes", type=int, default=10)
        command.add_argument("--image-size", type=int, default=32)
        command.add_argument("--batch-size", type=int, default=64)
        command.set_defaults(do=do, steps=1)
        if name == "train":
            command.add_argument("--epochs", type=int, default=5)
            command.add_argument("--rate-epochs", type=int, default=1)
            command.add_argument("--seeds", type=int, default=3)
            command.add_argument("--tests", type=int, default=4, help="an epoch")
        else:
            command.add_argument("--rounds", type=int, default=40)
            command.add_argument("--warm-up", type=int, default=4)
    command = commands.add_parser("show")
    command.add_argument("file", type=Path)
    command.set_defaults(do=show)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    arguments.do(arguments)


if __name__ == "__main__":
    main()
