"""A newcomer's path, timed: from a clone to a Pareto front in a notebook, on images that come with scikit-learn.

    python benchmarks/newcomer.py --times 3

Each time, in an empty folder: git clone of this checkout's last commit, the virtual environment with the notebook's
packages (pip's cache as it is on the machine), and the first notebook up to its front: a search of 26 trials and the
plot. Prints the seconds of each step, mean and standard deviation.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import nbformat
from figures import spread

ROOT = Path(__file__).parents[1]
NOTEBOOK = "notebooks/look_at_a_search.ipynb"


def to_the_front(notebook: Path) -> None:
    """Leave out of the notebook what comes after its front."""
    content = nbformat.read(notebook, as_version=4)
    [front] = [number for number, cell in enumerate(content.cells) if "plot_front" in cell.source]
    content.cells = content.cells[: front + 1]
    nbformat.write(content, notebook)


def path(folder: Path) -> dict[str, float]:
    """Seconds of each step."""
    clone = folder / "clone"
    steps = {
        "clone": ["git", "clone", "--quiet", str(ROOT), str(clone)],
        "install": ["make", "--quiet", "-C", str(clone), ".venv/.installed"],
        "the notebook's packages": [
            *(str(clone / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("-c", str(clone / "constraints.txt"), "-e", f"{clone}[notebook]"),
        ],
        "search and front": [str(clone / ".venv/bin/jupyter-execute"), "--timeout=900", str(clone / NOTEBOOK)],
    }
    seconds = {}
    for name, command in steps.items():
        if name == "search and front":
            to_the_front(clone / NOTEBOOK)
        begin = perf_counter()
        subprocess.run(
            command, check=True, stdout=sys.stderr, env={**os.environ, "NAS_CACHE_DIR": str(folder / "cache")}
        )
        seconds[name] = perf_counter() - begin
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    seen = []
    for _ in range(arguments.times):
        with tempfile.TemporaryDirectory() as folder:
            seen.append(path(Path(folder)))
    for name in seen[0]:
        print(f"{name}: {spread([one[name] for one in seen], 0)} s")
    print(f"all: {spread([sum(one.values()) for one in seen], 0)} s (n = {len(seen)})")


if __name__ == "__main__":
    main()
