"""Where samplers are asked for candidates, without any training: a space of networks, of which nobody knows step times,
and a table that has no ops and no network."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from nas.search.proposals import space_domain
from nas.search.samplers import (
    Asked,
    Candidate,
    CostAwareSampler,
    Costs,
    Domain,
    EvolutionSampler,
    Goal,
    NSGA2Sampler,
    Outcome,
    Sampler,
    Told,
    TPESampler,
)
from results import Limits, Objective
from search_space import Decision, Space

AnySampler = Sampler[Any]
EARLY: dict[type[AnySampler], dict[str, int]] = {
    EvolutionSampler: {"POPULATION": 6, "SAMPLE": 3},
    TPESampler: {"START_UP_TRIALS": 6},
    NSGA2Sampler: {"POPULATION": 6},
    CostAwareSampler: {"START_UP": 5, "POOL": 48, "GENERATIONS": 1, "CHILDREN": 24},
}
"""Settings under which a model has its say after a few trials, in little time."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where candidates come from, what would be measured of each, and whether a front is searched for."""

    domain: Domain[Any]
    outcome: Callable[[Any], Outcome]
    front: bool = False

    @property
    def params(self) -> list[int]:
        """Of every thing in it that was drawn often enough to be seen, in order."""
        rng = random.Random(0)
        domain = self.domain
        drawn = [domain.decode([rng.randrange(size) for size in domain.sizes]) for _ in range(3000)]
        return sorted(costs.params for costs in domain.costs(drawn))

    def params_of(self, candidate: Candidate[Any]) -> int:
        return self.domain.costs([candidate.arch])[0].params


def world_of(space: Space) -> World:
    """A space's networks: the smaller the more accurate, with no chance in it."""
    domain = space_domain(space, space.image_size, lambda archs: [None] * len(archs))
    return World(domain=domain, outcome=lambda arch: Outcome(accuracy=1 / (1 + arch.params / 10_000), step_time=1.5))


Row = tuple[int, int, float | None]


def table_of(depths: Sequence[int], widths: Sequence[int], ratios: Sequence[float]) -> World:
    """Somebody's measurements. A row's third part has a meaning only where its switch is on."""
    rows: dict[Row, tuple[Costs, Outcome]] = {}
    for depth, width, ratio in product(depths, widths, (None, *ratios)):
        step_time = 0.2 * depth + width / 100 + (ratio or 0.0)
        costs = Costs(params=depth * width**2, macs=9 * depth * width**2, step_time=step_time, step_time_low=step_time)
        accuracy = 0.5 + 0.05 * depth - 0.002 * abs(width - 24) + 0.1 * (ratio or 0.0)
        rows[depth, width, ratio] = costs, Outcome(accuracy=accuracy, step_time=step_time)

    def decode(positions: Sequence[int]) -> Row:
        depth, width, switch, ratio = positions
        return depths[depth], widths[width], ratios[ratio] if switch else None

    def encode(row: Row) -> tuple[int, ...]:
        depth, width, ratio = row
        on = ratio is not None
        return depths.index(depth), widths.index(width), int(on), ratios.index(ratio) if on else 0

    decisions = {"depth": depths, "width": widths, "switch": ("off", "on"), "ratio": ratios}
    domain = Domain(
        name="table",
        decisions=tuple(Decision(name=name, values=tuple(values)) for name, values in decisions.items()),
        decode=decode,
        encode=encode,
        active=lambda positions: (True, True, True, bool(positions[2])),
        size=len(rows),
        costs=lambda asked: [rows[row][0] for row in asked],
    )
    return World(domain=domain, outcome=lambda row: rows[row][1])


def make(kind: type[AnySampler], world: World, *, seed: int = 0, limits: Limits | None = None) -> AnySampler:
    goal = Goal(objective=Objective(reference_params=10_000), limits=limits or Limits(), front=world.front)
    return kind(world.domain, goal=goal, seed=seed)


def ask_and_tell(
    sampler: AnySampler, world: World, count: int, outcome: Callable[[Candidate[Any]], Outcome] | None = None
) -> list[Candidate[Any]]:
    candidates = []
    for _ in range(count):
        candidates.append(sampler.ask())
        told = outcome(candidates[-1]) if outcome else world.outcome(candidates[-1].arch)
        sampler.tell(candidates[-1], told)
    return candidates


def decisions(candidates: Iterable[Candidate[Any]]) -> list[tuple[int, ...]]:
    return [candidate.decisions for candidate in candidates]


def at_once(
    sampler: AnySampler, world: World, count: int, workers: int
) -> tuple[list[Asked | Told], list[Candidate[Any]]]:
    """So many trials, some running at once and ending in any order, some failing: the history, and what still runs."""
    rng = random.Random(1)
    running: list[Candidate[Any]] = []
    history: list[Asked | Told] = []
    for _ in range(count):
        running.append(sampler.ask())
        history.append(Asked(index=running[-1].index, decisions=running[-1].decisions))
        if len(running) == workers:
            ended = running.pop(rng.randrange(workers))
            outcome = Outcome() if rng.random() < 0.2 else world.outcome(ended.arch)
            sampler.tell(ended, outcome)
            history.append(Told(index=ended.index, outcome=outcome))
    return history, running
