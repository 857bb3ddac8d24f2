"""What a long run costs: seconds, CPU seconds and peak memory to open it, to ask it, to go on with it.

    python benchmarks/scale.py make /tmp/long --trials 5000 50000
    python benchmarks/scale.py show /tmp/long [--parts open report tpe] [--repeats 3]

`make` drives the search's own loop, sampler and writer with measurements that are made up; nothing is trained. Each
figure of `show` is of a fresh process, imports included, but for the samplers': theirs are of one process that takes
the record in and proposes `ASKS` networks, a trial told after each.

Seen on one of two shared cores under a load of 9, so CPU seconds count; n = 1. What the driver pays for a trial, CPU:
0.37 to 0.52 ms in every fifth of 5,000, and 0.43 to 0.49 ms in every fifth of 50,000.

    trials  on disk  open         front        resume       nas runs     nas report           cost-aware
    5,000   7.5 MB   1.7 s 108 MB 1.9 s 109 MB 3.5 s 113 MB 1.3 s  83 MB  2.2 s 109 MB        not measured
    50,000  75 MB    7.6 s 378 MB 11 s  377 MB 20 s  403 MB 8.0 s 352 MB 17.9 s 548 MB, 16 MB 1.2 to 7.8 s wall an ask

At 5,000 random and evolution ask in up to 2 ms. TPE looks at every trial for each proposal: 14 to 17 s of wall time
at 5,000 under that load, not measured at 50,000. NSGA-II was ended unfinished at 5,000 (280 s, before its space was
told to it): for each trial on record Optuna counts the generations of all.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from figures import spread
from made_up import measurements

from nas.search.budget import Budget, BudgetKeeper
from nas.search.config import SearchConfig
from nas.search.confirm import Confirming
from nas.search.forecast import Forecast
from nas.search.loop import Finished, SearchLoop
from nas.search.plan import Plan
from nas.search.proposals import history_events, make_sampler
from nas.search.samplers import SAMPLERS, Outcome
from results import Run, RunWriter, TrialStatus, load
from search_space import ArchSpec, load_space

FAILED = 0.02
TRIAL_S = 60.0
ASKS = 5
COMMANDS = {"runs": ("runs", "."), "pareto": ("pareto", "{run}"), "report": ("report", "{run}", "--html", "{out}")}
PARTS = ("import", "open", "front", "frames", "resume", *COMMANDS, *SAMPLERS)


def finished(arch: ArchSpec, image_size: int, rng: random.Random) -> Finished:
    """Measurements that are made up; now and then a trial fails."""
    if rng.random() < FAILED:
        return Finished(status=TrialStatus.FAILED, reason="made up: it failed", seconds=TRIAL_S)
    evaluation = measurements(arch, image_size, rng)
    return Finished(status=TrialStatus.OK, reason=None, seconds=TRIAL_S, worker="host:1", evaluation=evaluation)


def loop_of(plan: Plan, writer: RunWriter) -> SearchLoop:
    return SearchLoop(
        sampler=plan.sampler(Forecast()),
        space=plan.space,
        keeper=BudgetKeeper(Budget.parse(plan.config.budget)),
        writer=writer,
        objective=plan.objective(),
        image_size=plan.image_size,
        seed=plan.training_seed,
        max_running=1,
        devices=1.0,
        now_s=lambda: TRIAL_S * len(writer.trials),
        on_finished=lambda result: None,
        forecast=Forecast(),
        confirming=Confirming(),
    )


def make(arguments: argparse.Namespace) -> None:
    """A run of each length; beside it, what the driver paid for a trial early and late in the longest."""
    for num_trials in arguments.trials:
        config = SearchConfig(sampler="random", confirm_share=0.0, budget=str(num_trials))
        plan = Plan.of(config.anchored(), load_space(config.space))
        rng = random.Random(0)
        folder = arguments.folder / str(num_trials) / "long"
        with RunWriter.create(folder, config=plan.for_record(), objective=plan.objective()) as writer:
            loop = loop_of(plan, writer)
            marks = [(0, time.perf_counter(), time.process_time())]
            while (candidate := loop.next()) is not None:
                loop.finish(candidate.index, finished(candidate.arch, plan.image_size, rng))
                if len(writer.trials) % (num_trials // 5) == 0:
                    marks.append((len(writer.trials), time.perf_counter(), time.process_time()))
            writer.write_summary(wall_s=loop.keeper.budget.amount, budget=config.budget, stop_reason=loop.stop_reason)
        for (first, wall, cpu), (last, later, cpu_later) in pairwise(marks):
            n = last - first
            print(
                f"{num_trials} trials: {first} to {last}: driver {1e3 * (cpu_later - cpu) / n:.2f} ms CPU, "
                f"{1e3 * (later - wall) / n:.2f} ms wall a trial",
                flush=True,
            )


def plan_of(run: Run, sampler: str) -> Plan:
    config = SearchConfig(sampler=sampler, confirm_share=0.0, budget="1000000")
    return Plan.of(config.anchored(), load_space(config.space))


def part(arguments: argparse.Namespace) -> None:
    """One part, in this process; what it has to tell as JSON."""
    name, folder = arguments.part, arguments.run
    told: dict[str, Any] = {}
    if name == "open":
        load(folder)
    elif name == "front":
        run = load(folder)
        start = time.perf_counter()
        told = {"front": len(run.front()), "hypervolume": run.hypervolume(), "best": run.best().trial}
        told["s_alone"] = time.perf_counter() - start
    elif name == "frames":
        run = load(folder)
        start = time.perf_counter()
        frames = run.trials_frame(), run.stages_frame(), run.networks_frame()
        told = {"MB": sum(frame.memory_usage(deep=True).sum() for frame in frames) / 1e6}
        told["s_alone"] = time.perf_counter() - start
    elif name == "resume":
        plan = plan_of(load(folder), "random")
        start = time.perf_counter()
        with RunWriter.resume(folder) as writer:
            assert loop_of(plan, writer).next() is not None
        told = {"s_alone": time.perf_counter() - start}
    elif name in SAMPLERS:
        told = proposals(folder, name)
    print(json.dumps(told))


def proposals(folder: Path, name: str) -> dict[str, Any]:
    run = load(folder)
    plan = plan_of(run, name)
    sampler = make_sampler(
        plan.config,
        plan.space,
        image_size=plan.image_size,
        objective=run.objective,
        step_times=Forecast().step_times,
    )
    start = time.perf_counter()
    sampler.recover(history_events(run.history, plan.space, folder=folder))
    told: dict[str, Any] = {"recover_s": time.perf_counter() - start, "ask_s": []}
    for _ in range(ASKS):
        start = time.perf_counter()
        candidate = sampler.ask()
        told["ask_s"].append(time.perf_counter() - start)
        sampler.tell(candidate, Outcome(accuracy=0.8, step_time=1.0))
    return told


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Wall and CPU seconds, peak MB of a process that does the part."""
    with tempfile.TemporaryDirectory() as scratch:
        if name in COMMANDS:
            words = [word.format(run=folder, out=f"{scratch}/report.html") for word in COMMANDS[name]]
            command = [sys.executable, "-m", "nas.cli", *words]
        else:
            command = [sys.executable, __file__, "part", name, str(folder)]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder.parent, text=True)
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)}: failed")
        told = {} if name in COMMANDS else json.loads(out)
        page = Path(scratch) / "report.html"
        if page.exists():
            told["MB"] = page.stat().st_size / 1e6
    cpu = usage.ru_utime + usage.ru_stime
    return {"s": time.perf_counter() - start, "cpu_s": cpu, "peak_MB": usage.ru_maxrss / 1024, **told}


def show(arguments: argparse.Namespace) -> None:
    for folder in sorted(arguments.folder.glob("*/long"), key=lambda folder: int(folder.parent.name)):
        size = {path.name: path.stat().st_size / 1e6 for path in sorted(folder.iterdir())}
        shown = ", ".join(f"{name} {megabytes:.2f}" for name, megabytes in size.items() if megabytes > 0.01)
        print(f"{folder.parent.name} trials, MB on disk: {shown}", flush=True)
        print(f"| part | s | CPU s | peak MB | more | n |\n{'| --- ' * 6}|")
        for name in arguments.parts:
            found = [measure(name, folder) for _ in range(arguments.repeats)]
            more = {key: flat(found, key) for key in found[0] if key not in ("s", "cpu_s", "peak_MB")}
            told = ", ".join(f"{key} {spread(values, 3)}" for key, values in more.items())
            figures = (spread([each[key] for each in found], 2) for key in ("s", "cpu_s"))
            peak = spread([each["peak_MB"] for each in found], 0)
            print(f"| {name} | {' | '.join(figures)} | {peak} | {told} | {len(found)} |", flush=True)


def flat(found: list[dict[str, Any]], key: str) -> list[float]:
    return [value for each in found for value in (each[key] if isinstance(each[key], list) else [each[key]])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.add_argument("folder", type=Path)
    command.add_argument("--trials", type=int, nargs="+", default=[5000, 50_000])
    command.set_defaults(do=make)
    command = commands.add_parser("show")
    command.add_argument("folder", type=Path)
    command.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    command.add_argument("--repeats", type=int, default=3)
    command.set_defaults(do=show)
    command = commands.add_parser("part")
    command.add_argument("part", choices=PARTS)
    command.add_argument("run", type=Path)
    command.set_defaults(do=part)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
