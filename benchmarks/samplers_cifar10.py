"""Whole searches on CIFAR-10 with several samplers, each given the same wall clock, seed by seed in turn.

    python benchmarks/samplers_cifar10.py run DIR RUNS --budget 3m
    python benchmarks/samplers_cifar10.py show RUNS

DIR is a folder with train/CLASS; RUNS a folder for the runs, of which those that are there are kept. What counts is the
reward of a run's best network by its new trainings (the confirmed share of each run's own budget), on held-out images.
"""

import argparse
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from results import Network, Run

SAMPLERS = ("cost-aware", "random", "tpe")
SEEDS = (1, 2, 3)


def name_of(sampler: str, seed: int) -> str:
    return f"{sampler}-{seed}"


def search(arguments: argparse.Namespace) -> None:
    for place, (seed, _) in enumerate(product(SEEDS, SAMPLERS)):
        # Each sampler is first, second and last once.
        sampler = SAMPLERS[(place + seed) % len(SAMPLERS)]
        folder = arguments.runs / name_of(sampler, seed)
        if (folder / "summary.json").exists():
            continue
        command = [sys.executable, "-m", "nas.cli", "search", "--data", str(arguments.data), "--out", str(folder)]
        command += ["--sampler", sampler, "--seed", str(seed), "--budget", arguments.budget]
        command += ["--train-length", arguments.train_length, "--workers", str(arguments.workers)]
        command += ["--image-size", str(arguments.image_size)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def best_of(run: Run) -> Network:
    best = run.best()
    assert best is not None, f"{run.folder} has no network within its limits"
    assert best.confirmed, f"{run.folder} has confirmed none"
    return best


def show(arguments: argparse.Namespace) -> None:
    print("| sampler | trials | best confirmed reward, by seed | mean | sd | accuracy, % | step time | params |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    rewards: dict[str, list[float]] = {}
    for sampler in SAMPLERS:
        runs = [Run(arguments.runs / name_of(sampler, seed)) for seed in SEEDS]
        bests = [best_of(run) for run in runs]
        rewards[sampler] = [best.reward for best in bests]
        counts = [sum(not trial.repeat for trial in run.trials) for run in runs]
        print(
            f"| {sampler} | {', '.join(map(str, counts))} | {', '.join(f'{best.reward:.4f}' for best in bests)} "
            f"| {mean(rewards[sampler]):.4f} | {stdev(rewards[sampler]):.4f} "
            f"| {100 * mean(best.accuracy for best in bests):.1f} | {mean(best.step_time_ratio for best in bests):.2f} "
            f"| {mean(best.params for best in bests) / 1e6:.3f}M |"
        )
    for sampler in SAMPLERS[1:]:
        ahead = [ours - theirs for ours, theirs in zip(rewards[SAMPLERS[0]], rewards[sampler], strict=True)]
        print(f"{SAMPLERS[0]} - {sampler}: {mean(ahead):+.4f} (by seed {', '.join(f'{one:+.4f}' for one in ahead)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("runs", type=Path)
    running.add_argument("--budget", default="3m")
    running.add_argument("--image-size", type=int, default=16)
    running.add_argument("--train-length", default="100")
    running.add_argument("--workers", type=int, default=2)
    running.set_defaults(do=search)
    showing = commands.add_parser("show")
    showing.add_argument("runs", type=Path)
    showing.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
