"""Do many short trainings, of which the promising go on, find more than fewer full ones at equal budget? Simulated.

    OMP_NUM_THREADS=1 python benchmarks/successive_halving.py run TABLES FILE --seeds 20 --budget 100
    python benchmarks/successive_halving.py show FILE

A budget counts full trials, of which `FIXED` does not shrink with the steps: start, step time, evaluation. A search
trains

* full: every network in full;
* halving: brackets of nine networks for a third of the steps, of which the best three go on from their checkpoints
  (eta 3, rungs at 1/3 and 1). The sampler is told what the first rung saw; networks go on in the order in which it
  holds them for good; what a budget's end leaves of a bracket is a smaller bracket;
* short: every network for a third of the steps, with a schedule of that length.

The pick is what the sampler holds for the best of all that was trained in full (of all where all are short), and what
counts is its true reward. Networks, true accuracies and costs are of benchmarks/worlds.py; what trainings show
of them is one of `SETTINGS`. In both worlds it is noise added to the logs, in units of the spread of true accuracy, so
that correlations are as measured.

Seen (2026-11-24; macro, cifar, 20 seeds; budgets 30, 50, 100): halving changes cost-aware by -0.44 +- 0.80, -0.77 +-
0.53, -0.08 +- 0.41 %. Not run: cost-aware on accel, under imagenet, at 300. It was run beside other work in several
parts, so its time is not known.
"""

import argparse
import itertools
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from figures import read_rows
from numpy.typing import NDArray
from scipy.stats import t as student
from worlds import TIME_NOISE, WORLDS, Decisions, World

from nas.search.samplers import (
    SAMPLERS,
    Asked,
    Candidate,
    CostAwareSampler,
    Costs,
    Domain,
    EvolutionSampler,
    Goal,
    Outcome,
    RandomSampler,
    Sampler,
    Told,
)
from results import Limits, Objective

Floats = NDArray[np.float64]

BUDGETS = (30, 50, 100, 300)
FIXED, FIXED_AGAIN = 0.15, 0.05
SHARE, BRACKET, ETA = 1 / 3, 9, 3
SHORT = FIXED + (1 - FIXED) * SHARE
REST = FIXED_AGAIN + (1 - FIXED) * (1 - SHARE)
MODES = ("full", "halving", "short")


class Short(NamedTuple):
    """What a short training shows, in the unit of `Setting`: slope * z + bias * g + noise * d, where z is the true
    accuracy in full, g is of the network and unrelated to z (half of its variance a linear function of the decisions,
    half of each network alone), and d is of the training; `shared` is d's correlation with the noise of that training
    when it goes on to its end."""

    slope: float
    bias: float
    noise: float
    shared: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Logs of accuracy in units of the true log accuracy's standard deviation over random networks. `noise` is a full
    training's; `stopped` is looked at a third of the way, `annealed` has a schedule that ends there."""

    noise: float
    stopped: Short
    annealed: Short

    def seen(self, mode: str) -> tuple[object, ...]:
        """All that a search in this mode depends on."""
        return {"full": (self.noise,), "halving": (self.noise, self.stopped), "short": (self.annealed,)}[mode]


_ACCEL = Short(slope=1.21, bias=0.14, noise=0.107)
_CIFAR = Short(slope=0.46, bias=1.71, noise=1.08)
SETTINGS = {
    "cifar": Setting(noise=0.81, stopped=Short(slope=0.37, bias=0.60, noise=2.2, shared=0.75), annealed=_CIFAR),
    "hopeful": Setting(noise=0.81, stopped=Short(slope=1.85, bias=0.98, noise=0.98), annealed=_CIFAR),
    "imagenet": Setting(noise=0.054, stopped=_ACCEL, annealed=_ACCEL),
}


class QuickCostAwareSampler(CostAwareSampler[Decisions]):
    """Considers 370 networks a proposal and not 900: for all ways to train alike."""

    POOL: ClassVar[int] = 128
    GENERATIONS: ClassVar[int] = 3
    CHILDREN: ClassVar[int] = 80


KINDS: dict[str, type[Sampler[Decisions]]] = {
    "random": RandomSampler,
    "evolution": EvolutionSampler,
    "tpe": SAMPLERS["tpe"],
    "cost-aware": QuickCostAwareSampler,
}


def _drawn(*parts: object) -> float:
    """Standard normal, a function of `parts`."""
    return random.Random(":".join(map(str, parts))).gauss(0, 1)


class Trainings:
    """What trainings of a world's networks show: for one seed always the same, so that ways to search are paired."""

    SAMPLE: ClassVar[int] = 600

    def __init__(self, world: World, setting: Setting, seed: int) -> None:
        self._world, self._setting, self._seed = world, setting, seed
        rng = np.random.default_rng(seed)
        self._sizes = np.array([len(decision.values) for decision in world.space.decisions])
        self._weights = rng.standard_normal(len(self._sizes))
        # The same networks for all seeds: the unit of accuracy does not change.
        rows = np.random.default_rng(0).integers(0, self._sizes, (self.SAMPLE, len(self._sizes)))
        networks = [world._canonical(row) for row in rows.tolist()]
        logs = np.log([network.accuracy for network in map(world.truth, networks)])
        self._centre, self._spread = float(logs.mean()), float(logs.std())
        z = (logs - self._centre) / self._spread
        linear = self._linear(np.array(networks))
        self._slope, self._linear_centre = np.polyfit(z, linear, 1)
        self._linear_spread = float(np.std(linear - self._slope * z))

    def _linear(self, networks: Floats) -> Floats:
        values: Floats = (networks / np.maximum(self._sizes - 1, 1)) @ self._weights
        return values

    def _z(self, network: Decisions) -> float:
        return (math.log(self._world.truth(network).accuracy) - self._centre) / self._spread

    def _accuracy(self, score: float) -> float:
        return math.exp(self._centre + self._spread * score)

    def full(self, network: Decisions) -> float:
        return self._accuracy(self._z(network) + self._setting.noise * _drawn(self._seed, "full", network))

    def short(self, network: Decisions, *, stopped: bool) -> float:
        """On a scale of its own."""
        short = self._setting.stopped if stopped else self._setting.annealed
        z = self._z(network)
        linear = float(self._linear(np.array([network]))[0]) - self._slope * z - self._linear_centre
        own = _drawn(self._seed, "own", network)
        bias = math.sqrt(0.5) * (linear / self._linear_spread + own)
        noise = short.shared * _drawn(self._seed, "full", network)
        noise += math.sqrt(1 - short.shared**2) * _drawn(self._seed, "short", stopped, network)
        return self._accuracy(short.slope * z + short.bias * bias + short.noise * noise)


@dataclass(kw_only=True)
class Search:
    """One search: its sampler, what it has spent, and what it has trained in full."""

    world: World
    trainings: Trainings
    kind: str
    seed: int
    goal: Goal = field(init=False)
    spent: float = 0.0
    measured: dict[Decisions, float] = field(default_factory=dict)
    full: dict[int, tuple[Candidate[Decisions], Outcome]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        reference = self.world.space.reference.params
        self.goal = Goal(objective=Objective(reference_params=reference), limits=Limits())
        self.sampler = self._new_sampler()

    def _domain(self) -> Domain[Decisions]:
        return self.world.domain(self.measured)

    def _new_sampler(self) -> Sampler[Decisions]:
        return KINDS[self.kind](self._domain(), goal=self.goal, seed=self.seed)

    def _outcome(self, candidate: Candidate[Decisions], accuracy: float) -> Outcome:
        network = candidate.decisions
        if network not in self.measured:
            true = self.world.truth(network).step_time
            self.measured[network] = true * math.exp(TIME_NOISE * _drawn(self.seed, "time", network))
        return Outcome(accuracy=accuracy, step_time=self.measured[network])

    def train_full(self, candidate: Candidate[Decisions]) -> Outcome:
        outcome = self._outcome(candidate, self.trainings.full(candidate.decisions))
        self.full[candidate.index] = candidate, outcome
        return outcome

    def train_short(self, candidate: Candidate[Decisions], *, stopped: bool) -> Outcome:
        return self._outcome(candidate, self.trainings.short(candidate.decisions, stopped=stopped))

    def pick_of_full(self) -> Candidate[Decisions]:
        """What the sampler would hold for the best, had it been told only of what was trained in full."""
        kind: type[Sampler[Decisions]] = RandomSampler if self.kind != "cost-aware" else QuickCostAwareSampler
        judge = kind(self._domain(), goal=self.goal, seed=self.seed)
        for index, (candidate, outcome) in self.full.items():
            judge.recover((Asked(index=index, decisions=candidate.decisions), Told(index=index, outcome=outcome)))
        return judge.picks()[0]

    def true_reward(self, candidate: Candidate[Decisions]) -> float:
        network = self.world.truth(candidate.decisions)
        outcome = Outcome(accuracy=network.accuracy, step_time=network.step_time)
        reward = self.goal.reward(outcome, Costs(params=network.params, macs=0))
        assert reward is not None, "nothing is limited"
        return reward

    def by_budget(self, mode: str, budgets: Sequence[int]) -> Iterator[tuple[int, float]]:
        """Each budget and the true reward of the pick there."""
        yield from self._halving(budgets) if mode == "halving" else self._plain(budgets, short=mode == "short")

    def _plain(self, budgets: Sequence[int], *, short: bool) -> Iterator[tuple[int, float]]:
        cost = SHORT if short else 1.0
        for budget in budgets:
            while self.spent + cost <= budget + 1e-9:
                candidate = self.sampler.ask()
                self.sampler.tell(
                    candidate,
                    self.train_short(candidate, stopped=False) if short else self.train_full(candidate),
                )
                self.spent += cost
            yield budget, self.true_reward(self.sampler.picks()[0])

    def _halving(self, budgets: Sequence[int]) -> Iterator[tuple[int, float]]:
        left = list(budgets)
        while left:
            bracket: set[int] = set()
            for count in range(1, BRACKET + 1):
                while left and self.spent + _bracket_cost(count) > left[0] + 1e-9:
                    yield left.pop(0), self._pick_if_ended(bracket)
                if not left:
                    return
                candidate = self.sampler.ask()
                self.sampler.tell(candidate, self.train_short(candidate, stopped=True))
                bracket.add(candidate.index)
            self._promote(bracket)
            self.spent += _bracket_cost(BRACKET)

    def _promote(self, bracket: set[int]) -> None:
        ranked = [candidate for candidate in self.sampler.picks() if candidate.index in bracket]
        for candidate in ranked[: len(bracket) // ETA]:
            self.train_full(candidate)

    def _pick_if_ended(self, bracket: set[int]) -> float:
        """The true reward of the pick, were this bracket complete; the search goes on as if it had not been asked."""
        before = dict(self.full)
        self._promote(bracket)
        found = self.true_reward(self.pick_of_full())
        self.full = before
        return found


def _bracket_cost(count: int) -> float:
    return count * SHORT + count // ETA * REST


def run(arguments: argparse.Namespace) -> None:
    budgets = [budget for budget in BUDGETS if budget <= arguments.budget]
    names = ("world", "setting", "kind", "mode", "seed")
    done = {tuple(row[name] for name in names) for row in read_rows(arguments.file)}
    worlds = {name: WORLDS[name](arguments.tables) for name in arguments.worlds.split(",")}
    for seed in range(arguments.seeds):
        # Settings that differ only in what a search does not see.
        known: dict[tuple[object, ...], dict[int, float]] = {}
        for place in itertools.product(worlds, arguments.settings.split(","), arguments.samplers.split(","), MODES):
            if (*place, seed) in done:
                continue
            world, setting, kind, mode = place
            seen = (world, kind, mode, SETTINGS[setting].seen(mode))
            if seen not in known:
                trainings = Trainings(worlds[world], SETTINGS[setting], seed)
                search = Search(world=worlds[world], trainings=trainings, kind=kind, seed=seed)
                known[seen] = dict(search.by_budget(mode, budgets))
            row = dict(zip(names, (*place, seed), strict=True))
            with arguments.file.open("a") as file:
                file.write(json.dumps({**row, "rewards": known[seen]}) + "\n")
        print(f"seed {seed}", file=sys.stderr, flush=True)


def show(arguments: argparse.Namespace) -> None:
    """A row each world, setting, sampler and way to train; the difference is to `full` of the same sampler, in %."""
    found: dict[tuple[str, str, str], dict[str, dict[int, dict[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for row in read_rows(arguments.file):
        found[row["world"], row["setting"], row["kind"]][row["mode"]][row["seed"]] = row["rewards"]
    print("| world | trainings | sampler | trials | seeds |" + "".join(f" {budget} |" for budget in BUDGETS))
    print("| --- " * (5 + len(BUDGETS)) + "|")
    for place, modes in found.items():
        for mode, by_seed in modes.items():
            cells = [_cell(by_seed, modes["full"], str(budget), mode) for budget in BUDGETS]
            print("| " + " | ".join([*place, mode, str(len(by_seed)), *cells]) + " |")


def _cell(by_seed: dict[int, dict[str, float]], full: dict[int, dict[str, float]], budget: str, mode: str) -> str:
    seeds = [seed for seed in by_seed if budget in by_seed[seed] and budget in full.get(seed, {})]
    if not seeds:
        return ""
    rewards = np.array([by_seed[seed][budget] for seed in seeds])
    if mode == "full":
        return f"{rewards.mean():.4f}"
    gains = 100 * (rewards / np.array([full[seed][budget] for seed in seeds]) - 1)
    half = (
        student.ppf(0.975, len(seeds) - 1) * gains.std(ddof=1) / math.sqrt(len(seeds)) if len(seeds) > 1 else math.inf
    )
    return f"{rewards.mean():.4f} ({gains.mean():+.2f} ± {half:.2f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("tables", type=Path)
    running.add_argument("file", type=Path)
    running.add_argument("--seeds", type=int, default=20)
    running.add_argument("--budget", type=int, default=max(BUDGETS), help="the largest of the budgets")
    running.add_argument("--worlds", default="accel,macro")
    running.add_argument("--settings", default=",".join(SETTINGS))
    running.add_argument("--samplers", default="random,cost-aware")
    running.set_defaults(do=run)
    showing = commands.add_parser("show")
    showing.add_argument("file", type=Path)
    showing.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
