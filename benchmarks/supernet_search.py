"""Searches on CIFAR-10 of equal wall clock: by a supernet, whose training counts, and by short trainings alone.

    python benchmarks/supernet_search.py run DIR RUNS --total 12 --train 5
    python benchmarks/supernet_search.py show RUNS

DIR is a folder with train/CLASS; RUNS a folder for the runs, of which those that are there are kept. Both searches
have `--total` minutes, seed by seed in turn: one trains a supernet for `--train` of them and confirms its best
networks alone in the rest, the other confirms in a fifth. What counts is the reward of a run's best network by its
trainings alone from random weights, of the same steps in both, on the same held-out images. Then `nas validate`
trains 20 networks of each supernet's run alone. `show` prints seconds a candidate, both rewards, and Kendall's tau
between the supernet's accuracy and that of the training alone, with its 95 % interval.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, median, stdev

from results import Run

SEEDS = (1, 2, 3)
WAYS = ("supernet", "training")
NETWORKS = 20


def nas(*arguments: object) -> str:
    return subprocess.run(
        [sys.executable, "-m", "nas.cli", *map(str, arguments)], check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def run_all(arguments: argparse.Namespace) -> None:
    common = ("--train-length", arguments.train_length, "--workers", 1, "--dtype", arguments.dtype)
    for seed in SEEDS:
        for way in WAYS if seed % 2 else reversed(WAYS):
            folder = arguments.runs / f"{way}-{seed}"
            if (folder / "summary.json").exists():
                continue
            if way == "training":
                data = ("--data", arguments.data, "--image-size", arguments.image_size)
                nas("search", *data, "--seed", seed, "--budget", f"{arguments.total}m", *common, "--out", folder)
                continue
            shared = arguments.runs / f"shared-{seed}"
            data = ("--space", "efficientnetv2-tiny", "--data", arguments.data, "--image-size", arguments.image_size)
            steps = ("--batch-size", 64, "--min-crop-area", 0.6, "--clip-norm", 5, "--dtype", arguments.dtype)
            length = ("--seed", seed, "--budget", f"{arguments.train}m")
            nas("supernet", "train", *data, *steps, *length, "--threads", 1, "--out", shared)
            left = ("--seed", seed, "--budget", f"{arguments.total - arguments.train}m", "--confirm", 3)
            nas("search", "--evaluator", "supernet", "--supernet", shared, *left, *common, "--out", folder)
    for seed in SEEDS:
        file = arguments.runs / f"validation-{seed}.json"
        if not file.exists():
            length = ("--networks", NETWORKS, "--train-length", arguments.train_length)
            file.write_text(nas("validate", arguments.runs / f"supernet-{seed}", *length, "--json"))


def _tau_text(tau: dict[str, float] | None) -> str:
    return "none" if tau is None else f"{tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})"


def show(arguments: argparse.Namespace) -> None:
    print("| search | candidates | seconds a candidate | best confirmed reward, by seed | mean | sd | accuracy, % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rewards = {}
    for way in WAYS:
        runs = [Run(arguments.runs / f"{way}-{seed}") for seed in SEEDS]
        bests = [best.final for run in runs if (best := run.best()) is not None]
        assert all(best.confirmed for best in bests), "every search confirms its best"
        rewards[way] = [best.reward for best in bests]
        searched = [[trial.seconds for trial in run.ok if not trial.repeat] for run in runs]
        print(
            f"| {way} | {', '.join(str(len(seconds)) for seconds in searched)} "
            f"| {', '.join(f'{median(seconds):.1f}' for seconds in searched)} "
            f"| {', '.join(f'{reward:.4f}' for reward in rewards[way])} "
            f"| {mean(rewards[way]):.4f} | {stdev(rewards[way]):.4f} "
            f"| {', '.join(f'{100 * best.accuracy:.1f}' for best in bests)} |"
        )
    ahead = [ours - theirs for ours, theirs in zip(*rewards.values(), strict=True)]
    print(f"\nsupernet - training: {mean(ahead):+.4f} (by seed {', '.join(f'{one:+.4f}' for one in ahead)})")
    for seed in SEEDS:
        found = json.loads((arguments.runs / f"validation-{seed}.json").read_text())
        for by in ("by_long_accuracy", "by_long_reward"):
            told = ", ".join(f"{one['by']} {_tau_text(one['tau'])}" for one in found[by])
            print(f"seed {seed}, {by}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("runs", type=Path)
    running.add_argument("--total", type=int, default=12, help="minutes of each search")
    running.add_argument("--train", type=int, default=5, help="minutes of them for the supernet")
    running.add_argument("--image-size", type=int, default=16)
    running.add_argument("--train-length", default="300")
    running.add_argument("--dtype", default="bfloat16")
    running.set_defaults(do=run_all)
    showing = commands.add_parser("show")
    showing.add_argument("runs", type=Path)
    showing.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
