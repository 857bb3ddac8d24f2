"""The picture of the README: every network of a run by step time and accuracy, its Pareto front in front.

python benchmarks/front_picture.py runs/cifar10 docs/front.png
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from results import Network, Run, best_network, pareto_front


def area(network: Network) -> float:
    """Points squared: the area of a marker is in proportion to the parameters."""
    return 12 + network.params / 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", help="of a run of several devices, the one to show")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    networks = run.networks(device=arguments.device)
    front, best = pareto_front(networks), best_network(networks)
    assert best is not None, "the run has no network that was measured in full"
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    on_front = {network.trial for network in front}
    others = [network for network in networks if network.trial not in on_front]
    axes.scatter(
        [network.step_time_ratio for network in others],
        [100 * network.accuracy for network in others],
        s=[area(network) for network in others],
        color="#9aa5b1",
        alpha=0.6,
        label=f"dominated ({len(others)})",
    )
    for network in front:
        bar = [100 * (network.accuracy_low or 0), 100 * (network.accuracy_high or 0)]
        axes.plot([network.step_time_ratio] * 2, bar, color="#0b5394", linewidth=1, alpha=0.5)
    axes.scatter(
        [network.step_time_ratio for network in front],
        [100 * network.accuracy for network in front],
        s=[area(network) for network in front],
        color="#0b5394",
        label=f"front in accuracy, step time, params ({len(front)})",
    )
    axes.annotate(
        f"best reward: trial {best.trial}, {best.params / 1e6:.2f}M params",
        (best.step_time_ratio, 100 * best.accuracy),
        xytext=(-150, 34),
        textcoords="offset points",
        arrowprops={"arrowstyle": "->"},
        fontsize=9,
    )
    axes.set_xlabel("time of a training step, as a ratio to the reference network")
    axes.set_ylabel("held-out accuracy after short training, %")
    axes.set_title(f"{len(networks)} networks of {run.config['space']['name']}; area: params; bars: 95 %", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", fontsize=8)
    axes.margins(y=0.14)
    figure.savefig(arguments.picture, dpi=130)
    print(f"{arguments.picture}: {len(networks)} networks, {len(front)} on the front")


if __name__ == "__main__":
    main()
