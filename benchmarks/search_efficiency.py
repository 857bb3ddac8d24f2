"""How good is what each sampler finds, by number of trials? Whole searches replayed on other people's tables.

    python benchmarks/search_efficiency.py run TABLES FILE --seeds 20 --processes 2
    python benchmarks/search_efficiency.py show FILE
    python benchmarks/search_efficiency.py regressors TABLES
    python benchmarks/search_efficiency.py proposals

TABLES is the folder of accel_nasbench.csv.gz and nas_bench_macro_cifar10.csv.gz; benchmarks/worlds.py says what is made
of them. A sampler's pick after n trials is the network that it holds for the best (`picks`: of those that it tried,
the highest reward that it saw; for cost-aware, the highest that it believes in); what counts is that network's true
reward, or for a front the true hypervolume of all n. Samplers of one seed are compared in pairs, with the 95 % interval
(Student's t) of the mean difference. `run` goes on where FILE ends. Set OMP_NUM_THREADS=1.
"""

import argparse
import json
import math
import random
import statistics
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from worlds import TIME_NOISE, WORLDS, Decisions, World

from nas.search.samplers import (
    SAMPLERS,
    CostAwareSampler,
    Costs,
    Domain,
    EvolutionSampler,
    Goal,
    NSGA2Sampler,
    Outcome,
    Sampler,
    TPESampler,
)
from nas.search.samplers._optuna import OptunaSampler
from nas.search.samplers._surrogate import Surrogate
from results import Limits, Objective
from results.pareto import MAXIMISE, WORST_RATIO
from search_space import ArchSpec, load_space

COUNTS = (30, 50, 100, 250, 300)
OURS = "cost-aware"
SMALL = 0.2
"""With a limit of size, this share of the space's networks keep to it."""

QUESTIONS: dict[str, dict[str, Any]] = {
    "reward": {},
    "accuracy": {"w": 0.0, "v": 0.0},
    "cheap": {"w": -0.14, "v": -0.05},
    "limited": {"limited": True},
    "front": {"front": True},
}
RIVALS = ("random", "evolution", "tpe", "nsga2")


class GPSampler(OptunaSampler[Any]):
    """Optuna's Gaussian process; slow, so for few trials."""

    MODEL_TRIES = 5
    TRIALS = 100

    def _optuna_sampler(self, seed: int) -> Any:
        import optuna

        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=10, deterministic_objective=False)


class Evolution50(EvolutionSampler[Any]):
    POPULATION, SAMPLE = 50, 12


class NSGA50(NSGA2Sampler[Any]):
    POPULATION = 50


class TPE10(TPESampler[Any]):
    START_UP_TRIALS = 10


class Forest(Surrogate):
    """A random forest in place of the Gaussian process; its trees' disagreement is the deviation."""

    def fit(self, features: Any, values: Any, pending: Any) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._process = RandomForestRegressor(100, min_samples_leaf=2, max_features=0.5, random_state=0)
        self._process.fit(features, values)

    def predict(self, features: Any) -> tuple[Any, Any]:
        by_tree = np.array([tree.predict(features) for tree in self._process.estimators_])
        return by_tree.mean(0), np.maximum(by_tree.std(0), 1e-6)


class ForestSampler(CostAwareSampler[Any]):
    def __init__(self, domain: Domain[Any], *, goal: Goal, seed: int) -> None:
        super().__init__(domain, goal=goal, seed=seed)
        self._belief._accuracy, self._belief._step_time = Forest(), Forest()


VARIANTS: dict[str, type[Sampler[Any]]] = {
    "cost-aware-forest": ForestSampler,
    "optuna-gp": GPSampler,
    "evolution-50": Evolution50,
    "nsga2-50": NSGA50,
    "tpe-10": TPE10,
}


class Search(NamedTuple):
    """One line of FILE, but for what was found."""

    world: str
    question: str
    sampler: str
    workers: int
    seed: int
    trials: int


def goal_of(world: World, question: str) -> Goal:
    asked = dict(QUESTIONS[question])
    limited, front = asked.pop("limited", False), asked.pop("front", False)
    limit = int(np.quantile(world.random_sizes(4000)[:, 0], SMALL)) if limited else None
    objective = Objective(reference_params=world.space.reference.params, **asked)
    return Goal(objective=objective, limits=Limits(max_params=limit), front=front)


def worth(world: World, goal: Goal, networks: list[Decisions]) -> float:
    """The true reward of the first, or the true hypervolume of all."""
    truths = [world.truth(network) for network in networks]
    objective = goal.objective
    if not goal.front:
        return objective.weigh(truths[0].accuracy, truths[0].step_time, truths[0].params)
    import moocore

    points = [(each.accuracy, each.step_time, objective.params_ratio(each.params)) for each in truths]
    volume = moocore.hypervolume(points, ref=(0.0, WORST_RATIO, WORST_RATIO), maximise=MAXIMISE)
    return float(volume) / WORST_RATIO**2


@cache
def world_of(name: str, tables: Path) -> World:
    return WORLDS[name](tables)


def play(search: Search, tables: Path) -> dict[str, Any]:
    """A whole search; with several workers, that many candidates are always in training."""
    world = world_of(search.world, tables)
    goal = goal_of(world, search.question)
    measured: dict[Decisions, float] = {}
    kind = (SAMPLERS | VARIANTS)[search.sampler]
    sampler = kind(world.domain(measured), goal=goal, seed=search.seed)
    rng = random.Random(search.seed)
    running, ended, found = [], [], {}
    start = time.process_time()
    for _ in range(search.trials):
        while len(running) < search.workers:
            running.append(sampler.ask())
        candidate = running.pop(0)
        step_time = world.truth(candidate.decisions).step_time * math.exp(rng.gauss(0, TIME_NOISE))
        measured[candidate.decisions] = step_time
        sampler.tell(candidate, Outcome(accuracy=world.train(candidate.decisions, rng), step_time=step_time))
        ended.append(candidate.decisions)
        if len(ended) in COUNTS:
            best = ended if goal.front else [sampler.picks()[0].decisions]
            found[str(len(ended))] = worth(world, goal, best)
    return {**search._asdict(), "found": found, "seconds": round(time.process_time() - start, 2)}


def searches(args: argparse.Namespace) -> list[Search]:
    """All that are wanted, so that every prefix compares all samplers over the same seeds."""
    wanted = []
    for seed, question, world in ((s, q, w) for s in range(args.seeds) for q in args.questions for w in args.worlds):
        names = args.samplers or [OURS, *RIVALS]
        for name in names:
            if question == "front" and not (SAMPLERS | VARIANTS)[name].FINDS_FRONTS:
                continue
            trials = min(args.trials, GPSampler.TRIALS) if name == "optuna-gp" else args.trials
            wanted.append(Search(world, question, name, args.workers, seed, trials))
    return wanted


def run(args: argparse.Namespace) -> None:
    lines = args.file.read_text().splitlines() if args.file.exists() else []
    done = {Search(**{name: row[name] for name in Search._fields}) for row in map(json.loads, lines)}
    wanted = [search for search in searches(args) if search not in done]
    with ProcessPoolExecutor(args.processes) as pool, args.file.open("a") as file:
        for future in as_completed([pool.submit(play, search, args.tables) for search in wanted]):
            file.write(json.dumps(future.result()) + "\n")
            file.flush()


Found = dict[tuple[str, str], dict[str, dict[int, dict[int, float]]]]
"""By (world, question) and sampler, seed and number of trials: what was found."""


def read(file: Path) -> Found:
    found: Found = defaultdict(lambda: defaultdict(dict))
    for row in map(json.loads, file.read_text().splitlines()):
        name = row["sampler"] if row["workers"] == 1 else f"{row['sampler']}, {row['workers']} at once"
        by_count = {int(count): value for count, value in row["found"].items()}
        found[row["world"], row["question"]][name].setdefault(row["seed"], {}).update(by_count)
    return found


def difference(first: dict[int, dict[int, float]], count: int, second: dict[int, dict[int, float]], of: int) -> str:
    """Mean of first at `count` minus second at `of` over their common seeds, in points, with its 95 % interval."""
    from scipy.stats import t

    seeds = [seed for seed in first if count in first[seed] and of in second.get(seed, {})]
    if len(seeds) < 2:
        return "-"
    pairs = 100 * np.array([first[seed][count] - second[seed][of] for seed in seeds])
    half = t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / math.sqrt(len(pairs))
    return f"{pairs.mean():+.2f} ± {half:.2f} ({len(seeds)})"


def show(args: argparse.Namespace) -> None:
    """In points (hundredths): means with standard errors, then cost-aware minus each with 95 % interval and seeds."""
    for (world, question), samplers in sorted(read(args.file).items()):
        shown = [n for n in COUNTS if any(n in each for by_seed in samplers.values() for each in by_seed.values())]
        print(f"\n### {world}, {question}\n\n| sampler | seeds | {' | '.join(f'n = {n}' for n in shown)} |")
        print("| --- " * (len(shown) + 2) + "|")
        for name, by_seed in samplers.items():
            cells = []
            for n in shown:
                values = [100 * each[n] for each in by_seed.values() if n in each]
                spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
                cells.append(f"{statistics.mean(values):.2f} ± {spread:.2f}" if values else "-")
            print(f"| {name} | {len(by_seed)} | {' | '.join(cells)} |")
        ours = samplers.get(OURS, {})
        print(f"\n| {OURS} minus | {' | '.join(f'n = {n}' for n in shown)} | ours at 50, theirs at 250 |")
        print("| --- " * (len(shown) + 2) + "|")
        for name, by_seed in samplers.items():
            if name != OURS:
                cells = [difference(ours, n, by_seed, n) for n in shown]
                print(f"| {name} | {' | '.join(cells)} | {difference(ours, 50, by_seed, 250)} |")


def regressors(args: argparse.Namespace) -> None:
    """Which regressor orders good networks best, from few that were drawn at random? Means over seeds."""
    from regressors import compare

    for name in args.worlds:
        compare(world_of(name, args.tables), seeds=args.seeds)


def proposals(args: argparse.Namespace) -> None:
    """Seconds that one proposal takes after 300 trials, on the product's default space."""
    space = load_space("efficientnetv2-tiny")
    reference = space.reference

    def costs(archs: Any) -> list[Costs]:
        sizes = [arch.cost(space.image_size) for arch in archs]
        base = reference.macs(space.image_size)
        return [Costs(params=p, macs=m, step_time=m / base, step_time_low=0.9 * m / base) for p, m in sizes]

    domain: Domain[ArchSpec] = Domain(
        name=space.name, decisions=space.decisions, decode=space.decode, encode=space.encode, active=space.active,
        size=space.size(), costs=costs,
    )  # fmt: skip
    print("| sampler | goal | median s | highest s |\n| --- | --- | --- | --- |")
    for name, kind in SAMPLERS.items():
        for front in (False, True)[: 1 + kind.FINDS_FRONTS]:
            goal = Goal(objective=Objective(reference_params=reference.params), limits=Limits(), front=front)
            sampler, rng = kind(domain, goal=goal, seed=0), random.Random(0)
            sampler.START_UP = 300
            taken = []
            for index in range(301 + args.proposals):
                if index == 300:
                    del sampler.START_UP
                start = time.process_time()
                candidate = sampler.ask()
                ratio = candidate.arch.params / reference.params
                accuracy = 0.8 - 0.1 / (1 + ratio) + rng.gauss(0, 0.01)
                sampler.tell(candidate, Outcome(accuracy=accuracy, step_time=ratio))
                taken.append(time.process_time() - start)
            # The first fits the kernel's parameters, as every search has by then.
            late = taken[301:]
            print(f"| {name} | {'front' if front else 'reward'} | {statistics.median(late):.3f} | {max(late):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    command.add_argument("tables", type=Path)
    command.add_argument("file", type=Path)
    command.add_argument("--seeds", type=int, default=20)
    command.add_argument("--trials", type=int, default=300)
    command.add_argument("--workers", type=int, default=1)
    command.add_argument("--processes", type=int, default=1)
    command.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    command.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=QUESTIONS)
    command.add_argument("--samplers", nargs="+", choices=[*SAMPLERS, *VARIANTS])
    command.set_defaults(do=run)
    command = commands.add_parser("show")
    command.add_argument("file", type=Path)
    command.set_defaults(do=show)
    command = commands.add_parser("regressors")
    command.add_argument("tables", type=Path)
    command.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=WORLDS)
    command.add_argument("--seeds", type=int, default=10)
    command.set_defaults(do=regressors)
    command = commands.add_parser("proposals")
    command.add_argument("--proposals", type=int, default=10)
    command.set_defaults(do=proposals)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
