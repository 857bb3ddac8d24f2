"""Candidates per second on one core: what a sampler pays to know a candidate's parameters and MACs, without torch.

    python benchmarks/cost_rate.py

Seen: to be filled in.
"""

import random
import statistics
import time
from collections.abc import Callable

from search_space import SPACES, load_space

NUM_CANDIDATES = 2000
NUM_REPEATS = 9


def rates(work: Callable[[], object], num: int) -> list[float]:
    """Candidates per second of CPU time, one figure a repeat."""
    found = []
    for _ in range(NUM_REPEATS):
        start = time.process_time()
        work()
        found.append(num / (time.process_time() - start))
    return found


def main() -> None:
    print(f"candidates per CPU second, median (lowest - highest) of {NUM_REPEATS} repeats of {NUM_CANDIDATES}")
    for name in SPACES:
        space, rng = load_space(name), random.Random(0)
        drawn = [[rng.randrange(len(decision.values)) for decision in space.decisions] for _ in range(NUM_CANDIDATES)]
        archs = [space.decode(indices) for indices in drawn]
        jobs: dict[str, Callable[[], object]] = {
            "decode + cost": lambda: [space.decode(indices).cost(space.image_size) for indices in drawn],
            "cost alone": lambda: [arch.cost(space.image_size) for arch in archs],
            "encode": lambda: [space.encode(arch) for arch in archs],
            "mutate": lambda: [space.mutate(arch, rng) for arch in archs],
        }
        for job, work in jobs.items():
            found = rates(work, NUM_CANDIDATES)
            spread = f"({min(found):,.0f} - {max(found):,.0f})"
            print(f"{name:20} {job:14} {statistics.median(found):>10,.0f}  {spread}")


if __name__ == "__main__":
    main()
