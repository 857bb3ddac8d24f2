"""Does growing image size and regularisation together save training time? (EfficientNetV2, Tables 12 and 13.)

    python benchmarks/progressive.py train ARCH DIR FOLDER --epochs 16 --seeds 3
    python benchmarks/progressive.py show FOLDER

`train` trains ARCH (as `nas train` takes it) on the images in DIR in three ways, with as many epochs each, and scores
the averaged weights on the test images once, at the end:

    adaptive    image size grows, and RandAugment, mixup and dropout with it (Algorithm 1)
    constant    image size grows; regularisation is what it ends with from the first step on
    fixed       both are what they end with from the first step on

The ways take turns, seed by seed; pin it to a core that has no other work. Time is that of the steps with their data,
evaluations left out. `show` prints each way's test accuracy and its time as a share of that of `fixed` with the same
seed, mean and standard deviation over seeds, and in pairs with the 95 % interval (Student's t); then how far each way
was (held-out accuracy of the averaged weights) at shares of the time that `fixed` took. `train` goes on where it was.
"""

import argparse
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev

from figures import spread
from scipy.stats import t as student_t

from scaling import ProgressiveRecipe, Ramp, SizeRamp

WAYS = ("adaptive", "constant", "fixed")
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def recipe_of(way: str, arguments: argparse.Namespace) -> ProgressiveRecipe:
    adaptive = ProgressiveRecipe(
        train_size=SizeRamp(*arguments.sizes),
        eval_size=arguments.eval_size,
        randaugment=Ramp(*arguments.randaugment),
        mixup=Ramp(0, arguments.mixup),
        cutmix=Ramp(0, 0),
        dropout=Ramp(0, arguments.dropout),
        stochastic_depth=arguments.stochastic_depth,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        phases=arguments.phases,
    )
    if way != "constant":
        return adaptive
    names = ("randaugment", "mixup", "cutmix", "dropout")
    return replace(adaptive, **{name: Ramp(*2 * [getattr(adaptive, name).last]) for name in names})


def train(arguments: argparse.Namespace) -> None:
    nas = [sys.executable, "-m", "nas.cli", "train"]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for way in arguments.ways:
            run = arguments.folder / f"{way}-{seed}"
            if (run / "config.json").exists():
                subprocess.run([*nas, "--resume", str(run)], check=True)
                continue
            recipe = arguments.folder / f"{way}.recipe.json"
            recipe.write_text(json.dumps(asdict(recipe_of(way, arguments))))
            growth = "fixed" if way == "fixed" else "progressive"
            command = [*nas, arguments.arch, "--data", str(arguments.data), "--recipe", str(recipe), "--growth", growth]
            command += ["--optimizer", arguments.optimizer, "--seed", str(seed), "--out", str(run)]
            command += ["--lr", str(arguments.lr)] if arguments.lr else []
            subprocess.run(command, check=True)


def curve(run: Path) -> list[tuple[float, float]]:
    """(seconds of training so far, held-out accuracy of the averaged weights) at each evaluation."""
    config = json.loads((run / "config.json").read_text())
    batch_size = config["job"]["recipe"]["batch_size"]
    points, seconds, step = [], 0.0, 0
    for line in (run / "metrics.jsonl").read_text().splitlines():
        metrics = json.loads(line)
        seconds += (metrics["step"] - step) * batch_size / metrics["images_per_s"]
        step = metrics["step"]
        points.append((seconds, metrics["ema_accuracy"]))
    return points


def show(arguments: argparse.Namespace) -> None:
    curves: dict[str, dict[int, list[tuple[float, float]]]] = {way: {} for way in WAYS}
    tested: dict[str, dict[int, float]] = {way: {} for way in WAYS}
    for run in sorted(arguments.folder.iterdir()):
        way, _, seed = run.name.rpartition("-")
        if (run / "result.json").exists():
            result = json.loads((run / "result.json").read_text())
            curves[way][int(seed)] = curve(run)
            tested[way][int(seed)] = 100 * result["ema_accuracy"]
    print("| way | test accuracy, % | minus fixed, points | time / fixed | seconds | n |")
    print("| --- " * 6 + "|")
    for way in WAYS:
        seeds = sorted(set(tested[way]) & set(tested["fixed"]))
        gains = [tested[way][seed] - tested["fixed"][seed] for seed in seeds]
        shares = [curves[way][seed][-1][0] / curves["fixed"][seed][-1][0] for seed in seeds]
        seconds = [curves[way][seed][-1][0] for seed in seeds]
        print(
            f"| {way} | {spread([tested[way][seed] for seed in seeds], 1)} | {interval(gains)} | {spread(shares, 2)} | "
            f"{spread(seconds, 0)} | {len(seeds)} |"
        )
    print(f"\n| of fixed's time | {' | '.join(WAYS)} |\n{'| --- ' * (1 + len(WAYS))}|")
    for share in SHARES:
        cells = []
        for way in WAYS:
            seeds = sorted(set(tested[way]) & set(tested["fixed"]))
            reached = [100 * at(curves[way][seed], share * curves["fixed"][seed][-1][0]) for seed in seeds]
            cells.append(spread(reached, 1))
        print(f"| {share:.0%} | {' | '.join(cells)} |")


def at(points: list[tuple[float, float]], seconds: float) -> float:
    """The accuracy at the last evaluation that was begun by then; 0 before the first."""
    return max((point for point in points if point[0] <= seconds * 1.0001), default=(0.0, 0.0))[1]


def interval(differences: list[float]) -> str:
    if len(differences) < 2 or not any(differences):
        return "-"
    half = student_t.ppf(0.975, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return f"{mean(differences):+.1f} ± {half:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("arch")
    command.add_argument("data", type=Path)
    command.add_argument("folder", type=Path)
    command.add_argument("--epochs", type=int, default=16)
    command.add_argument("--seeds", type=int, default=3)
    command.add_argument("--first-seed", type=int, default=1)
    command.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    command.add_argument("--sizes", type=int, nargs=2, default=(40, 112))
    command.add_argument("--eval-size", type=int, default=128)
    command.add_argument("--phases", type=int, default=4)
    command.add_argument("--batch-size", type=int, default=64)
    command.add_argument("--randaugment", type=float, nargs=2, default=(0, 10))
    command.add_argument("--mixup", type=float, default=0.0)
    command.add_argument("--dropout", type=float, default=0.2)
    command.add_argument("--stochastic-depth", type=float, default=0.0)
    command.add_argument("--optimizer", default="rmsprop")
    command.add_argument("--lr", type=float)
    command.set_defaults(do=train)
    command = commands.add_parser("show")
    command.add_argument("folder", type=Path)
    command.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
