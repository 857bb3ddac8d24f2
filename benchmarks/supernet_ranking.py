"""Does a supernet rank networks as training each of them alone does?

    nas supernet train --space nas-bench-macro --data DIR --budget 60m --out RUN ...
    python benchmarks/supernet_ranking.py judge RUN TABLES FILE --networks 200 --processes 2
    python benchmarks/supernet_ranking.py show FILE --short-seconds 60
    python benchmarks/supernet_ranking.py train RUN TABLES FILE2 --networks 30 --steps 50 150
    python benchmarks/supernet_ranking.py compare FILE2 FILE

DIR holds CIFAR-10, TABLES nas_bench_macro_cifar10.csv.gz: the test accuracy of three full trainings of every network of
the space. `judge` draws that many different networks of it, uniformly, and takes the held-out accuracy of each with the
supernet's averaged weights. `show` prints Kendall's tau between that and the table's mean, with its 95 %
interval (bootstrap over the networks); tau of MACs and params, which cost nothing; and the table's accuracy of the
network that the supernet puts first, beside the expected best of as many random networks as could have been trained
alone, `--short-seconds` each, in the supernet's time (and judged without error). `judge` goes on where FILE ends.

Is a short training a better judge where it begins with inherited weights? `train` trains the first networks that
`judge` drew alone, for so many steps, from random weights and from the supernet's; `compare` prints tau of each with
the table.
"""

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from figures import read_rows
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.device import set_up_process
from nas.measure import Precision
from nas.search import SearchConfig
from nas.search.evaluate import evaluate
from nas.search.plan import Plan
from nas.search.task import TrialTask
from nas.train.feed import Feed
from nas.train.job import read_result
from nas.train.supernets import judge
from nas.train.trained import TrainedSupernet, read_supernet
from results import Weights
from search_space import Space

SEED, DRAWS = 7, 2000


def table(folder: Path) -> dict[tuple[int, ...], float]:
    """Mean test accuracy of each network's three trainings, by the positions of its decisions."""
    rows = pd.read_csv(folder / "nas_bench_macro_cifar10.csv.gz", dtype={"arch": str})
    means = rows[["acc0", "acc1", "acc2"]].mean(axis=1) / 100
    return {tuple(map(int, digits)): mean for digits, mean in zip(rows.arch, means, strict=True)}


@cache
def opened(run: Path) -> tuple[TrainedSupernet, Feed]:
    trained = read_supernet(run)
    set_up_process(trained.config.job.compute)
    return trained, Feed(trained.config.job)


def judged(run: Path, positions: tuple[int, ...]) -> dict[str, Any]:
    trained, feed = opened(run)
    arch = trained.space.decode(positions)
    began = time.perf_counter()
    correct, count = judge(trained.config.job, trained.supernet, arch, feed)
    return {
        "kind": "network",
        "positions": positions,
        "accuracy": correct / count,
        "seconds": time.perf_counter() - began,
        "params": arch.params,
        "macs": arch.macs(trained.space.image_size),
    }


def drawn(space: Space, truth: dict[tuple[int, ...], float], count: int) -> list[tuple[int, ...]]:
    different = sorted(positions for positions in truth if space.canonical(positions) == positions)
    return random.Random(SEED).sample(different, count)


def judge_all(args: argparse.Namespace) -> None:
    truth = table(args.tables)
    trained = read_supernet(args.run)
    with closing(Feed(trained.config.job)):  # the data are made ready once, for all processes
        pass
    result = read_result(args.run)
    assert result is not None, "a supernet is read where its training has ended"
    chosen = drawn(trained.space, truth, args.networks)
    rows = read_rows(args.file)
    done = {tuple(row["positions"]) for row in rows if row["kind"] == "network"}
    with args.file.open("a") as file, ProcessPoolExecutor(args.processes) as pool:
        if not rows:
            head = {"kind": "supernet", "seconds": result.seconds, "steps": result.steps, "params": result.params}
            file.write(json.dumps(head) + "\n")
        left = [pool.submit(judged, args.run, positions) for positions in chosen if positions not in done]
        for future in as_completed(left):
            found = future.result()
            file.write(json.dumps({**found, "truth": truth[tuple(found["positions"])]}) + "\n")
            file.flush()


def tau(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    """Kendall's, with its 95 % interval over draws of the networks."""
    generator = np.random.default_rng(0)
    draws = [generator.integers(len(one), size=len(one)) for _ in range(DRAWS)]
    low, high = np.quantile([kendalltau(one[draw], other[draw]).statistic for draw in draws], [0.025, 0.975])
    return float(kendalltau(one, other).statistic), float(low), float(high)


def expected_best(values: NDArray[np.float64], count: int) -> float:
    """Mean of the largest of `count` values drawn without putting back."""
    generator = np.random.default_rng(0)
    best = [generator.choice(values, size=min(count, len(values)), replace=False).max() for _ in range(DRAWS)]
    return float(np.mean(best))


def train_all(args: argparse.Namespace) -> None:
    truth = table(args.tables)
    job = read_supernet(args.run).config.job
    config = SearchConfig(
        evaluator="supernet",
        supernet=str(args.run),
        budget="1h",
        data=job.data.data,
        data_root=job.data.root,
        batch_size=job.recipe.batch_size,
    )
    plan = Plan.of_supernet(config, str(args.run))
    reference = plan.space.reference
    task = TrialTask(
        arch=reference,
        reference=reference,
        seed=0,
        steps=0,
        batch_size=plan.batch_size,
        recipe=config.recipe,
        data=plan.data.config,
        compute=job.compute,
    )
    rows = read_rows(args.file)
    done = {(row["steps"], row["weights"], tuple(row["positions"])) for row in rows}
    with args.file.open("a") as file:
        for number, positions in enumerate(drawn(plan.space, truth, args.networks)):
            for steps, weights in product(args.steps, (Weights.OWN, Weights.INHERITED)):
                if (steps, weights.value, positions) in done:
                    continue
                trial = replace(plan, alone_steps=steps).trial(task, weights)
                trial = replace(
                    trial, arch=plan.space.decode(positions), seed=number, precision=Precision(max_rounds=6)
                )
                began = time.perf_counter()
                found = evaluate(trial)
                accuracy = found.correct / found.num_evaluated if found.correct and found.num_evaluated else 0.0
                row = {
                    "positions": positions,
                    "steps": steps,
                    "weights": weights.value,
                    "accuracy": accuracy,
                    "seconds": time.perf_counter() - began,
                    "truth": truth[positions],
                }
                file.write(json.dumps(row) + "\n")
                file.flush()


def compare(args: argparse.Namespace) -> None:
    trained = pd.DataFrame(read_rows(args.file))
    judged = pd.DataFrame([row for row in read_rows(args.judged) if row["kind"] == "network"])
    for frame in (trained, judged):
        frame["positions"] = frame.positions.map(tuple)
    judged = judged[judged.positions.isin(trained.positions)].assign(steps=0, weights="supernet")
    print("| begins with | steps | networks | accuracy, % | tau with the table | 95 % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (steps, weights), group in pd.concat([judged, trained]).groupby(["steps", "weights"]):
        middle, low, high = tau(group.accuracy.to_numpy(), group.truth.to_numpy())
        print(f"| {weights} | {steps} | {len(group)} | {100 * group.accuracy.mean():.1f} ", end="")
        print(f"| {middle:.3f} | {low:.3f} to {high:.3f} |")


def show(args: argparse.Namespace) -> None:
    rows = read_rows(args.file)
    head = next(row for row in rows if row["kind"] == "supernet")
    networks = pd.DataFrame([row for row in rows if row["kind"] == "network"])
    truth = networks.truth.to_numpy()
    print(f"supernet: {head['steps']:,} steps in {head['seconds'] / 60:.0f} min; {len(networks)} networks, ", end="")
    print(f"{networks.seconds.median():.1f} s each ({networks.seconds.min():.1f} to {networks.seconds.max():.1f})")
    print(f"accuracy by the supernet {100 * networks.accuracy.min():.1f} to {100 * networks.accuracy.max():.1f} %\n")
    print("| ranked by | Kendall's tau with the table | 95 % |\n| --- | --- | --- |")
    for name in ("accuracy", "macs", "params"):
        middle, low, high = tau(networks[name].to_numpy(), truth)
        print(f"| {'the supernet' if name == 'accuracy' else name} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    pick = networks.loc[networks.accuracy.idxmax()]
    spent = head["seconds"] + networks.seconds.sum()
    count = int(spent // args.short_seconds)
    everything = np.array(list(table(args.tables).values())) if args.tables else truth
    better = float((everything > pick.truth).mean())
    print(f"\nthe supernet's pick of the {len(networks)}: {100 * pick.truth:.2f} % in the table ", end="")
    print(f"({100 * better:.1f} % of its networks are better)")
    print(f"expected best of {count} random ones ({args.short_seconds:g} s each, judged without error): ", end="")
    print(f"{100 * expected_best(everything, count):.2f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    judging = commands.add_parser("judge")
    judging.add_argument("run", type=Path)
    judging.add_argument("tables", type=Path)
    judging.add_argument("file", type=Path)
    judging.add_argument("--networks", type=int, default=200)
    judging.add_argument("--processes", type=int, default=1)
    judging.set_defaults(call=judge_all)
    showing = commands.add_parser("show")
    showing.add_argument("file", type=Path)
    showing.add_argument("--tables", type=Path)
    showing.add_argument("--short-seconds", type=float, required=True)
    showing.set_defaults(call=show)
    training = commands.add_parser("train")
    training.add_argument("run", type=Path)
    training.add_argument("tables", type=Path)
    training.add_argument("file", type=Path)
    training.add_argument("--networks", type=int, default=30)
    training.add_argument("--steps", type=int, nargs="+", default=[50, 150])
    training.set_defaults(call=train_all)
    comparing = commands.add_parser("compare")
    comparing.add_argument("file", type=Path)
    comparing.add_argument("judged", type=Path)
    comparing.set_defaults(call=compare)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
