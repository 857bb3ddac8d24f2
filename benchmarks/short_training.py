"""How long must a short training be? Networks of a space trained to several lengths, looked at on the way.

    python benchmarks/short_training.py collect DIR FILE --networks 40      (about 60 s a network on one core)
    python benchmarks/short_training.py show FILE

DIR is a folder with train/CLASS and test/CLASS. Each random network is trained for 100 and 300 steps, each
training with a schedule of its own; the held-out accuracy is taken at its end and, in the longer ones, at the shorter
lengths too: there a trial would be stopped that is resumed later. `collect` goes on where FILE ends.
"""

import argparse
import json
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from figures import read_rows
from numpy.typing import NDArray
from scipy.stats import kendalltau, linregress

from nas.data import DataConfig, DeviceImages, eval_batches, prepare, train_batches
from nas.device import Compute, set_up_process
from nas.measure import Precision, measure_step_time
from nas.train import Recipe, accuracy, train
from results import Objective
from results.rank_correlation import Correlation, correlation, resample, resampled_tau
from search_space import ArchSpec, build_network, load_space

Floats = NDArray[np.float64]

LENGTHS = (100, 300)
ROUNDS = 30
SEEDS_APART = 1_000_000


def accuracies(arch: ArchSpec, data: DataConfig, *, seed: int, steps: int, batch_size: int) -> dict[int, float]:
    """Held-out accuracy of one training of `steps` by the step at which it was taken."""
    compute, prepared = Compute(), prepare(data)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = build_network(arch, generator=generator)
    compute.place(network)
    train_images, held_out = (
        DeviceImages(prepared.split(split), device="cpu", mean=prepared.mean, std=prepared.std)
        for split in ("train", "holdout")
    )
    found: dict[int, float] = {}
    done = 0

    def look() -> None:
        nonlocal done
        done += 1
        if done in LENGTHS:
            batches = eval_batches(held_out, batch_size=512, channels_last=compute.channels_last)
            correct, count = accuracy(network, batches, compute)
            found[done] = correct / count
            network.train()

    batches = train_batches(
        train_images, batch_size=batch_size, steps=steps, generator=generator, channels_last=compute.channels_last
    )
    train(network, batches, steps=steps, recipe=Recipe(), compute=compute, at_step_boundary=look)
    return found


def collect(arguments: argparse.Namespace) -> None:
    space = load_space(arguments.space)
    set_up_process(Compute())
    rng = random.Random(7)
    archs = [space.sample(rng) for _ in range(arguments.networks)]
    measured = read_rows(arguments.again) if arguments.again else []
    data = DataConfig(data=str(arguments.data.absolute()), image_size=space.image_size)
    conditions: dict[str, Any] = {
        "batch_size": space.batch_size,
        "image_size": space.image_size,
        "compute": Compute(),
    }
    for index in range(len(read_rows(arguments.file)), len(archs)):
        arch = archs[index]
        if measured:
            step_time_ratio = measured[index]["step_time_ratio"]
        else:
            step_time_ratio = measure_step_time(
                arch, space.reference, recipe=Recipe(), precision=Precision(max_rounds=ROUNDS), **conditions
            ).ratio
        first_seed = 1000 * index + (SEEDS_APART if measured else 0)
        trained = {
            steps: accuracies(arch, data, seed=first_seed + steps, steps=steps, batch_size=space.batch_size)
            for steps in LENGTHS
        }
        record = {
            "arch": json.loads(arch.to_json()),
            "decisions": space.encode(arch),
            "params": arch.params,
            "step_time_ratio": step_time_ratio,
            "trained": trained,
        }
        with arguments.file.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(index, trained, file=sys.stderr, flush=True)


class Figure(NamedTuple):
    """What one might rank networks by: `values` (n), and those of the second trainings (m <= n), where there are."""

    name: str
    values: Floats
    again: Floats


def show(arguments: argparse.Namespace) -> None:
    first, second = read_rows(arguments.file), read_rows(arguments.again) if arguments.again else []
    for one, other in zip(first, second, strict=False):
        if one["decisions"] != other["decisions"]:
            raise ValueError(f"networks of {arguments.again} must be those of {arguments.file}, in order")
    params, step_times = (np.array([row[name] for row in first]) for name in ("params", "step_time_ratio"))
    objective = Objective(reference_params=load_space(arguments.space).reference.params)
    worth = np.array([objective.weigh(1.0, *pair) for pair in zip(step_times, params, strict=True)])

    def accuracies_at(steps: int, at: int) -> tuple[Floats, Floats]:
        one, other = (np.array([row["trained"][str(steps)][str(at)] for row in rows]) for rows in (first, second))
        return one, other

    short, long = LENGTHS
    annealed = Figure(f"{short} steps, annealed", *accuracies_at(short, short))
    stopped = Figure(f"{short} of {long} steps", *accuracies_at(long, short))
    full = Figure(f"{long} steps", *accuracies_at(long, long))
    print(f"{len(first)} networks; Kendall's tau with {long} steps, 95 % bootstrap interval over networks\n")
    print("| figure | accuracy | reward |\n| --- | --- | --- |")
    for name, by_accuracy, by_reward in (
        (annealed.name, annealed.values, annealed.values * worth),
        (stopped.name, stopped.values, stopped.values * worth),
        ("params (reward: fewer first)", params, -params),
        ("step time (reward: less first)", step_times, -step_times),
        ("S^w P^v alone", worth, worth),
    ):
        taus = _tau(by_accuracy, full.values), _tau(by_reward, full.values * worth)
        print(f"| {name} | {taus[0]} | {taus[1]} |")
    print(f"\n| accuracy at {long} steps on | slope | residual, points | Pearson's r |\n| --- | --- | --- | --- |")
    for figure in (annealed, stopped):
        fit = linregress(figure.values, full.values)
        residual = np.std(full.values - fit.intercept - fit.slope * figure.values, ddof=2)
        print(
            f"| {figure.name} | {fit.slope:.2f} ± {1.96 * fit.stderr:.2f} | {100 * residual:.2f} | {fit.rvalue:.2f} |"
        )
    if second:
        _show_noise(annealed, stopped, full, worth)


def _tau(x: Floats, y: Floats) -> Correlation:
    counts = resample([x, y], len(x), seed=0)
    return correlation(kendalltau(x, y).statistic, resampled_tau(x, y, counts))


def _show_noise(annealed: Figure, stopped: Figure, full: Figure, worth: Floats) -> None:
    """Two trainings of one network differ by noise alone, and have nothing in common but the network."""
    count = len(full.again)
    print(f"\n{count} networks trained twice. Deviations are of logs: 0.01 is 1 % of the accuracy. Correlations with")
    print(f"{full.name}: of the same seeds, and of the other training; means of both.\n")
    print(
        "| figure | deviation | of noise | r of noise | r same | r other | tau of reward same | tau of reward other |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    twice = np.concatenate([full.values[:count], full.again]), np.concatenate([full.again, full.values[:count]])
    for figure in (annealed, stopped, full):
        values = np.concatenate([figure.values[:count], figure.again])
        noise = _noise(figure)
        of_noise = (noise @ _noise(full)) / math.sqrt((noise @ noise) * (_noise(full) @ _noise(full)))
        cells = [np.std(np.log(figure.values), ddof=1), math.sqrt(np.mean(noise**2)), of_noise]
        cells += [_of_both(lambda x, y: np.corrcoef(np.log(x), np.log(y))[0, 1], values, other) for other in twice]
        for other in twice:
            cells.append(
                _of_both(lambda x, y: kendalltau(x * worth[:count], y * worth[:count]).statistic, values, other)
            )
        digits = (4, 4, 2, 2, 2, 2, 2)
        print(f"| {figure.name} | " + " | ".join(f"{x:.{d}f}" for x, d in zip(cells, digits, strict=True)) + " |")


def _of_both(measure: Callable[[Floats, Floats], float], x: Floats, y: Floats) -> float:
    """Mean over the first and the second trainings of x."""
    return float(np.mean([measure(*halves) for halves in zip(np.split(x, 2), np.split(y, 2), strict=True)]))


def _noise(figure: Figure) -> Floats:
    """Of one training, as far as two tell: its variance is the mean of squares."""
    noise: Floats = (np.log(figure.values[: len(figure.again)]) - np.log(figure.again)) / math.sqrt(2)
    return noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("data", type=Path)
    collecting.add_argument("file", type=Path)
    collecting.add_argument("--space", default="efficientnetv2-tiny")
    collecting.add_argument("--networks", type=int, default=40)
    collecting.add_argument("--again", type=Path, help="FILE of these networks' first trainings: train them anew")
    collecting.set_defaults(do=collect)
    showing = commands.add_parser("show")
    showing.add_argument("file", type=Path)
    showing.add_argument("--space", default="efficientnetv2-tiny")
    showing.add_argument("--again", type=Path, help="FILE of second trainings of the first of these networks")
    showing.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
