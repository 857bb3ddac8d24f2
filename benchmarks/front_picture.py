"""The picture of the README: every network of a run by step time and accuracy, its Pareto front in front.

python benchmarks/front_picture.py runs/cifar10 docs/front.png
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from results import Run, TrialResult, accuracy_interval


def area(trial: TrialResult) -> float:
    """Points squared: the area of a marker is in proportion to the parameters."""
    return 12 + trial.params / 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", help="of a run of several devices, the one to show")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    front, best = run.front(device=arguments.device), run.best(device=arguments.device)
    assert best is not None, "the run has no network that was measured in full"
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    measured = [trial for trial in run.ok if trial.device == best.device]
    others = [trial for trial in measured if trial not in front]
    axes.scatter(
        [trial.step_time_ratio for trial in others],
        [100 * (trial.accuracy or 0) for trial in others],
        s=[area(trial) for trial in others],
        color="#9aa5b1",
        alpha=0.6,
        label=f"dominated ({len(others)})",
    )
    for trial in front:
        low, high = accuracy_interval(trial) or (0.0, 0.0)
        axes.plot([trial.step_time_ratio] * 2, [100 * low, 100 * high], color="#0b5394", linewidth=1, alpha=0.5)
    axes.scatter(
        [trial.step_time_ratio for trial in front],
        [100 * (trial.accuracy or 0) for trial in front],
        s=[area(trial) for trial in front],
        color="#0b5394",
        label=f"front in accuracy, step time, params ({len(front)})",
    )
    axes.annotate(
        f"best reward: trial {best.index}, {best.params / 1e6:.2f}M params",
        (best.step_time_ratio or 0, 100 * (best.accuracy or 0)),
        xytext=(-150, 34),
        textcoords="offset points",
        arrowprops={"arrowstyle": "->"},
        fontsize=9,
    )
    axes.set_xlabel("time of a training step, as a ratio to the reference network")
    axes.set_ylabel("held-out accuracy after short training, %")
    axes.set_title(f"{len(measured)} networks of {run.config['space']['name']}; area: params; bars: 95 %", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", fontsize=8)
    axes.margins(y=0.14)
    figure.savefig(arguments.picture, dpi=130)
    print(f"{arguments.picture}: {len(measured)} networks, {len(front)} on the front")


if __name__ == "__main__":
    main()
