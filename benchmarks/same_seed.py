"""The same search twice, with one seed at one worker: are the trials identical?

    python benchmarks/same_seed.py --budget 6 --data digits

Prints, trial by trial, whether network, seed and accuracy are equal, and how far the measured step-time ratios differ
(they are measured anew, so they differ by noise). Exit code 1 where a trial differs.

Seen (2 cores of an AMD EPYC, load 4, 2026-11-22): 6 of 6 trials identical; ratios differ by a median of 5.6 %.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from results import Run, TrialResult


def search(arguments: argparse.Namespace, out: Path) -> list[TrialResult]:
    command = [sys.executable, "-m", "nas.cli", "search", "--budget", arguments.budget, "--data", arguments.data]
    command += ["--seed", str(arguments.seed), "--workers", "1", "--sampler", arguments.sampler, "--out", str(out)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return Run(out).trials


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="6")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sampler", default="random")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, second = (search(arguments, Path(folder) / name) for name in ("first", "second"))
    pairs = list(zip(first, second, strict=True))
    same = [(a.key, a.seed, a.status, a.accuracy) == (b.key, b.seed, b.status, b.accuracy) for a, b in pairs]
    apart = [
        abs(a.step_time_ratio / b.step_time_ratio - 1) for a, b in pairs if a.step_time_ratio and b.step_time_ratio
    ]
    print(f"{sum(same)} of {len(same)} trials identical (network, seed, status, accuracy)")
    print(f"step-time ratios differ by a median of {median(apart):.1%}, at most {max(apart):.1%} (n = {len(apart)})")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
