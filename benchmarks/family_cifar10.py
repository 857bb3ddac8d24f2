"""Is compound scaling with later-stage depth better than wider alone, or deeper alone? A family trained on CIFAR-10.

    python benchmarks/family_cifar10.py plan RUN FILE
    python benchmarks/family_cifar10.py train RUN FILE --epochs 3 --seeds 3 --workers 2
    python benchmarks/family_cifar10.py show FILE

RUN is a search on CIFAR-10; its winner is the base. `plan` derives, for each way of scaling, the members whose
predicted training step is 2 and 4 times the base's at the run's image size; `train` trains each of them, and the base,
for as many epochs with the run's recipe and seeds that the search never used, times its step against the base's, and
scores it on the test images. Ways are compared in pairs over seeds, with the 95 % interval (Student's t) of the mean
difference. `train` goes on where FILE ends.
"""

import argparse
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from threading import Lock
from typing import Any

from figures import read_rows
from scipy.stats import t as student_t
from search_cifar10 import task_of

from nas.cli.base import find_base
from nas.cli.part_times import part_timer
from nas.isolate import run_in_child
from nas.measure.family_times import StepTimeTable, places_by_step_time
from nas.measure.report import Setting
from results import Run
from scaling import Compound, parse_targets
from search_space import ArchSpec

TARGETS = "M=2x,L=4x"
WAYS = {
    "compound": Compound(resolution=1),
    "uniform compound": Compound(resolution=1, later=1, extra_stage=False),
    "wider": Compound(resolution=1, depth=1, later=1, extra_stage=False),
    "deeper": Compound(resolution=1, width=1, later=1, extra_stage=False),
}
FIRST_SEED = 7001
DEADLINE_S = 7200.0


def plan(arguments: argparse.Namespace) -> None:
    if arguments.file.exists():
        raise SystemExit(f"{arguments.file} is there already")
    task, space = task_of(Run(arguments.run))
    base = find_base("S", run=str(arguments.run), image_size=None, num_classes=space.head.num_classes).base
    setting = Setting(
        space=space,
        recipe=task.recipe,
        compute=task.compute,
        batch_size=task.batch_size,
        image_size=task.data.image_size,
    )

    table = StepTimeTable(part_timer(setting), setting.image_size, space.reference)
    rows = [{"way": "base", "member": "S", "predicted": 1.0, "arch": json.loads(base.arch.to_json())}]
    for way, compound in WAYS.items():
        for name, found in places_by_step_time(table, base, parse_targets(TARGETS), compound).items():
            arch = compound.member(base, *found.place).arch
            target = next(target for target in parse_targets(TARGETS) if target.name == name)
            predicted = found.share * target.value
            rows.append({"way": way, "member": name, "predicted": predicted, "arch": json.loads(arch.to_json())})
            print(f"{way}, {name}: {predicted:.2f} times the base, {arch.params} params, {arch}")
    arguments.file.write_text(json.dumps({"plan": rows}) + "\n")


def train(arguments: argparse.Namespace) -> None:
    rows = read_rows(arguments.file)
    planned, done = rows[0]["plan"], {(row["way"], row["member"], row["seed"]) for row in rows[1:]}
    task, _ = task_of(Run(arguments.run))
    # 45,000 images are what the search trained on.
    steps = round(arguments.epochs * 45_000 / task.batch_size)
    reference = ArchSpec.from_json(json.dumps(planned[0]["arch"]))
    lock = Lock()

    def one(job: tuple[dict[str, Any], int]) -> None:
        row, seed = job
        arch = ArchSpec.from_json(json.dumps(row["arch"]))
        trial = replace(task, arch=arch, reference=reference, seed=seed, steps=steps)
        outcome = run_in_child("nas.search.evaluate:evaluate", trial, deadline_s=DEADLINE_S)
        if outcome.ended != "returned":
            raise RuntimeError(f"{row['way']} {row['member']}: {outcome.reason}")
        found = outcome.value
        record = {
            "way": row["way"],
            "member": row["member"],
            "seed": seed,
            "steps": steps,
            "params": arch.params,
            "macs": arch.macs(task.data.image_size),
            "layers": sum(stage.depth for stage in arch.stages),
            "predicted": row["predicted"],
            "step_time": found.step_time.ratio,
            "accuracy": found.correct / found.num_evaluated,
        }
        with lock, arguments.file.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(record, file=sys.stderr, flush=True)

    # The small ones of every seed first: they say something before the large ones are done.
    jobs = [
        (row, seed)
        for member in sorted({row["member"] for row in planned}, key="SML".index)
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds)
        for row in planned
        if row["member"] == member and (row["way"], member, seed) not in done
    ]
    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(one, jobs))


def show(arguments: argparse.Namespace) -> None:
    rows = read_rows(arguments.file)[1:]
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["member"], row["way"]), {})[row["seed"]] = row
    print("| member | scaled | params | layers | step / base's, predicted | measured | test accuracy, % | n |")
    print("| --- " * 8 + "|")
    for (member, way), by_seed in found.items():
        some = next(iter(by_seed.values()))
        ratios = [row["step_time"] for row in by_seed.values()]
        accuracies = [100 * row["accuracy"] for row in by_seed.values()]
        print(
            f"| {member} | {way} | {some['params'] / 1e6:.3f}M | {some['layers']} | {some['predicted']:.2f} | "
            f"{mean(ratios):.2f} ± {spread(ratios)} | {mean(accuracies):.1f} ± {spread(accuracies)} | {len(by_seed)} |"
        )
    print("\n| member | compound minus | accuracy, points | n |\n| --- | --- | --- | --- |")
    for (member, way), by_seed in found.items():
        ours = found.get((member, "compound"), {})
        pairs = [100 * (ours[seed]["accuracy"] - row["accuracy"]) for seed, row in by_seed.items() if seed in ours]
        if way not in ("base", "compound") and len(pairs) > 1:
            half = student_t.ppf(0.975, len(pairs) - 1) * stdev(pairs) / math.sqrt(len(pairs))
            print(f"| {member} | {way} | {mean(pairs):+.2f} ± {half:.2f} | {len(pairs)} |")


def spread(values: list[float]) -> str:
    return f"{stdev(values):.2f}" if len(values) > 1 else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, do in (("plan", plan), ("train", train), ("show", show)):
        command = commands.add_parser(name)
        if name != "show":
            command.add_argument("run", type=Path)
        command.add_argument("file", type=Path)
        command.set_defaults(do=do)
        if name == "train":
            command.add_argument("--epochs", type=float, default=3)
            command.add_argument("--seeds", type=int, default=3)
            command.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
