"""Candidates per second on one core: what a sampler pays to know a candidate's parameters and MACs, without torch.

    python benchmarks/cost_rate.py

Seen on one of two shared cores of an AMD EPYC, under load, CPU time, n = 9 repeats of 2000 candidates, median
(lowest - highest); Python 3.11:

    efficientnetv2       decode + cost      39,050  (28,484 - 56,795)
    efficientnetv2       cost alone         69,604  (59,561 - 83,979)
    efficientnetv2-tiny  decode + cost      56,684  (40,679 - 77,118)
    efficientnetv2-tiny  cost alone         80,611  (79,304 - 85,519)
    nas-bench-macro      decode + cost      45,352  (35,960 - 61,321)
    accel-nasbench       decode + cost      34,576  (25,659 - 47,082)
    encode 4,000 to 8,000, mutate 2,000 to 4,000
"""

import random
import statistics
import time
from collections.abc import Callable

from search_space import SPACES, Space, load_space

NUM_CANDIDATES = 2000
NUM_REPEATS = 9


def rates(work: Callable[[], object]) -> list[float]:
    """Candidates per second of CPU time, one figure a repeat."""
    found = []
    for _ in range(NUM_REPEATS):
        start = time.process_time()
        work()
        found.append(NUM_CANDIDATES / (time.process_time() - start))
    return found


def jobs(space: Space) -> dict[str, Callable[[], object]]:
    rng = random.Random(0)
    sizes = [len(decision.values) for decision in space.decisions]
    drawn = [[rng.randrange(size) for size in sizes] for _ in range(NUM_CANDIDATES)]
    archs = [space.decode(indices) for indices in drawn]
    return {
        "decode + cost": lambda: [space.decode(indices).cost(space.image_size) for indices in drawn],
        "cost alone": lambda: [arch.cost(space.image_size) for arch in archs],
        "encode": lambda: [space.encode(arch) for arch in archs],
        "mutate": lambda: [space.mutate(arch, rng) for arch in archs],
    }


def main() -> None:
    print(f"candidates per CPU second, median (lowest - highest) of {NUM_REPEATS} repeats of {NUM_CANDIDATES}")
    for name in SPACES:
        for job, work in jobs(load_space(name)).items():
            found = rates(work)
            spread = f"({min(found):,.0f} - {max(found):,.0f})"
            print(f"{name:20} {job:14} {statistics.median(found):>10,.0f}  {spread}")


if __name__ == "__main__":
    main()
