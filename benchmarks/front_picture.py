"""The picture of the README: every network of a run by step time and accuracy, its Pareto front in front.

python benchmarks/front_picture.py runs/cifar10 docs/front.png
"""

import argparse
from pathlib import Path

import matplotlib

from results import load
from results.plots import plot_front, style


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--device", help="of a run of several devices, the one to show")
    arguments = parser.parse_args()
    matplotlib.use("Agg")
    with style("notebook"):
        plot_front(load(arguments.run), device=arguments.device).figure.savefig(arguments.picture, dpi=130)
    print(arguments.picture)


if __name__ == "__main__":
    main()
