"""A search on CIFAR-10, and its winner against random networks of the space and MobileNetV2 of the same size.

    python benchmarks/search_cifar10.py DIR --budget 20m --out runs/cifar10

DIR is a folder with train/CLASS and test/CLASS. The search runs first (or --out already holds it); then the winner,
10 random networks of the space and MobileNetV2 are each trained the same way with 3 seeds that the search never used,
and scored on the test images, which the search never saw. Prints the tables of the README.

Seen (2 cores of an AMD EPYC without AVX-512, other work on the machine, 2026-11-22; 20 + 26 minutes): 42 trials,
orchestration 0.10 s a trial; winner 51.2 +- 0.1 %, reward 0.533 +- 0.003; 10 random networks 48.3 +- 1.1 %, reward
0.454 +- 0.015, best 0.475.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from nas.device import Compute
from nas.isolate import run_in_child
from nas.search import SearchConfig
from nas.search.task import Evaluation, TrialTask
from results import Objective, Run, TrialResult
from search_space import ArchSpec, Space, architecture
from search_space.files import parse_json
from search_space.ops import round_width

SEEDS = (9001, 9002, 9003)
NUM_RANDOM = 10
DEADLINE_S = 1800.0


def mobilenet_v2_of_size(params: int, space: Space) -> ArchSpec:
    """MobileNetV2 with the width multiplier whose parameters come nearest, its strides as the space's at 32 px.

    The stem halves as in the space; the stages go 16, 8, 8, 4, 4, 2, 2 px instead of down to 1 px.
    """
    published = architecture("mobilenet_v2").with_num_classes(space.head.num_classes)
    strides = (1, 2, 1, 2, 1, 2, 1)

    def scaled(multiplier: float) -> ArchSpec:
        stages = tuple(
            replace(stage, width=round_width(stage.width * multiplier, divisor=4), stride=stride)
            for stage, stride in zip(published.stages, strides, strict=True)
        )
        stem = replace(published.stem, width=round_width(32 * multiplier, divisor=4))
        head = replace(published.head, width=round_width(1280 * multiplier, divisor=4))
        return replace(published, stem=stem, stages=stages, head=head)

    return min((scaled(step / 200) for step in range(10, 400)), key=lambda arch: abs(arch.params - params))


@dataclass(frozen=True, kw_only=True)
class Contestant:
    name: str
    arch: ArchSpec


def task_of(run: Run) -> tuple[TrialTask, Space]:
    config = parse_json(SearchConfig, json.dumps(run.config["search"]))
    space = parse_json(Space, json.dumps(run.config["space"]))
    space = space.with_num_classes(len(run.config["data"]["classes"]))
    task = TrialTask(
        arch=space.reference,
        reference=space.reference,
        seed=0,
        steps=run.config["train_steps"],
        batch_size=run.config["batch_size"],
        recipe=config.recipe,
        data=config.data_config(run.config["image_size"]),
        compute=parse_json(Compute, json.dumps(run.config["compute"])),
        score_on="test",
    )
    return task, space


def evaluate_all(contestants: Sequence[Contestant], task: TrialTask, workers: int) -> dict[str, list[Evaluation]]:
    """Each contestant with each seed; seeds in the outer loop, so that contestants meet the same hours."""
    jobs = [(contestant, seed) for seed in SEEDS for contestant in contestants]

    def one(job: tuple[Contestant, int]) -> Evaluation:
        contestant, seed = job
        trial = replace(task, arch=contestant.arch, seed=seed)
        outcome = run_in_child("nas.search.evaluate:evaluate", trial, deadline_s=DEADLINE_S)
        if outcome.ended != "returned":
            raise RuntimeError(f"{contestant.name}: {outcome.reason}")
        evaluation: Evaluation = outcome.value
        print(f"  {contestant.name} seed {seed}: {evaluation.status}", file=sys.stderr, flush=True)
        return evaluation

    with ThreadPoolExecutor(workers) as pool:
        evaluations = list(pool.map(one, jobs))
    found: dict[str, list[Evaluation]] = {}
    for (contestant, _), evaluation in zip(jobs, evaluations, strict=True):
        found.setdefault(contestant.name, []).append(evaluation)
    return found


def print_search(run: Run) -> None:
    trials = run.trials
    workers = run.config["resources"]["workers"]
    inside = [trial.ended_s - trial.started_s - trial.seconds for trial in trials]
    gaps = [gap for lane in lanes(trials, workers) for gap in lane]
    trained = sum(trial.seconds for trial in trials)
    overhead = sum(inside) + sum(gaps)
    print(f"trials: {len(trials)} ({len(run.ok)} measured in full), {workers} at once")
    print(
        f"seconds of a trial: mean {trained / len(trials):.1f}, from {min(t.seconds for t in trials):.1f} "
        f"to {max(t.seconds for t in trials):.1f}"
    )
    print(
        f"start-up: {min(t.started_s for t in trials):.1f} s to the first trial; "
        f"last trial ended at {max(t.ended_s for t in trials):.1f} s of the budget"
    )
    share = overhead / trained
    print(f"orchestration: {overhead / len(trials):.2f} s a trial, {share:.2%} of the trials' seconds")


def lanes(trials: Sequence[TrialResult], workers: int) -> list[list[float]]:
    """Seconds that each worker stood idle between two trials."""
    free_at: list[float | None] = [None] * workers
    idle: list[list[float]] = [[] for _ in range(workers)]
    for trial in sorted(trials, key=lambda trial: trial.started_s):
        free = [lane for lane in range(workers) if free_at[lane] is None or free_at[lane] <= trial.started_s + 1e-6]
        lane = max(free or range(workers), key=lambda lane: free_at[lane] or 0.0)
        if free_at[lane] is not None:
            idle[lane].append(max(0.0, trial.started_s - free_at[lane]))
        free_at[lane] = trial.ended_s
    return idle


def print_comparison(
    found: dict[str, list[Evaluation]], contestants: Sequence[Contestant], objective: Objective
) -> None:
    print(f"\n| network | params | test accuracy, % (n = {len(SEEDS)}) | step time ratio | reward |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for contestant in contestants:
        accuracies = [e.correct / e.num_evaluated for e in found[contestant.name]]
        ratios = [e.step_time.ratio for e in found[contestant.name]]
        params = contestant.arch.params
        rewards = [
            a * r**objective.w * objective.params_ratio(params) ** objective.v
            for a, r in zip(accuracies, ratios, strict=True)
        ]
        rows.append((contestant.name, params, accuracies, ratios, rewards))
        accuracy = f"{100 * mean(accuracies):.1f} +- {100 * stdev(accuracies):.1f}"
        ratio, reward = (f"{mean(ratios):.2f} +- {stdev(ratios):.2f}", f"{mean(rewards):.3f} +- {stdev(rewards):.3f}")
        print(f"| {contestant.name} | {params / 1e6:.3f}M | {accuracy} | {ratio} | {reward} |")
    drawn = [row for row in rows if row[0].startswith("random")]
    means = [mean(row[4]) for row in drawn]
    print(
        f"| random, mean of {len(drawn)} +- sd between them | {mean(row[1] for row in drawn) / 1e6:.3f}M "
        f"| {100 * mean(mean(row[2]) for row in drawn):.1f} +- {100 * stdev(mean(row[2]) for row in drawn):.1f} "
        f"| {mean(mean(row[3]) for row in drawn):.2f} +- {stdev(mean(row[3]) for row in drawn):.2f} "
        f"| {mean(means):.3f} +- {stdev(means):.3f} (best {max(means):.3f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"))
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", help="of a run of several devices, the one whose winner is meant")
    arguments = parser.parse_args()
    if not arguments.out.exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "nas.cli",
                "search",
                "--data",
                str(arguments.data),
                "--budget",
                arguments.budget,
                "--out",
                str(arguments.out),
                "--sampler",
                arguments.sampler,
                "--workers",
                str(arguments.workers),
            ],
            check=True,
        )
    run = Run(arguments.out)
    print_search(run)
    task, space = task_of(run)
    best = run.best(device=arguments.device)
    assert best is not None, "the search found no network"
    print(f"winner: trial {best.trial}, {best.arch}")
    rng = random.Random(2026)
    contestants = [
        Contestant(name="winner of the search", arch=best.arch),
        Contestant(name="reference of the space", arch=space.reference),
        Contestant(name="MobileNetV2, same params", arch=mobilenet_v2_of_size(best.params, space)),
        *(Contestant(name=f"random {number}", arch=space.sample(rng)) for number in range(1, NUM_RANDOM + 1)),
    ]
    found = evaluate_all(contestants, task, arguments.workers)
    print_comparison(found, contestants, run.objective)


if __name__ == "__main__":
    main()
