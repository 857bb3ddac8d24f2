"""How far a measured, and a predicted, step time can be trusted on a shared machine.

    python benchmarks/step_time.py collect RUN samples.jsonl     # about 45 minutes
    python benchmarks/step_time.py show RUN samples.jsonl

RUN is a finished search (its networks were drawn at random, its trials have accuracies). `collect` steps 20 of its
networks in turn with the space's reference while none, one and two neighbours train beside it, 60 rounds each, network
and neighbours in random order; then the other networks, 30 rounds each under random neighbours; then a block table;
last the truth: the 20 networks on the machine left alone, 4 x 60 rounds. Both clocks are read at every step, so every
estimator is computed from the same steps. `show` prints the README's tables.

Seen (2 cores of an AMD EPYC without AVX-512, 2026-11-22, 46 minutes): tau .978 with the truth under mixed load at 60
rounds, .984 at 30, wall clock .388; bias at most 2.0 %; the model .968 with an error of 2.5 %, table made in 41 s.

A neighbour is a process that trains the reference network on one thread, as another trial of a search does.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean, median, quantiles, stdev
from typing import Any

from scipy.stats import kendalltau, linregress

from nas.device import Compute, set_up_process
from nas.measure import Calibration, Precision, Samples, StepTimeModel, calibrate
from nas.measure.networks import training_step_call
from nas.measure.step_time import FIRST_LOOK, LOOKS_GROW, interval
from nas.train import Recipe
from results import Run, TrialResult, reward
from search_space import ArchSpec, Space, parse_json

NUM_TESTED = 20
ROUNDS, OTHER_ROUNDS = 60, 30
TRUTH_PASSES, TRUTH_ROUNDS = 4, 60
WARM_UP = 4
NEIGHBOURS = (0, 1, 2)
DRAWS = 1000
WALL, CPU = "wall", "cpu"
COMPUTE = Compute()


def space_of(run: Run) -> Space:
    space: Space = parse_json(Space, json.dumps(run.config["space"]))
    return space.with_num_classes(len(run.config["data"]["classes"]))


def split(run: Run) -> tuple[list[TrialResult], list[TrialResult]]:
    """The networks that are tested, and the others."""
    trials = [trial for trial in run.ok if not trial.repeat]
    random.Random(2026).shuffle(trials)
    return trials[:NUM_TESTED], trials[NUM_TESTED:]


def step_call(arch: ArchSpec, space: Space) -> Callable[[], None]:
    import torch

    return training_step_call(
        arch,
        recipe=Recipe(),
        compute=COMPUTE,
        batch_size=space.batch_size,
        image_size=space.image_size,
        generator=torch.Generator().manual_seed(0),
    )


def both_clocks(call: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turn(candidate: Callable[[], None], reference: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Steps by both clocks as `Samples` has them, and what they took in all."""
    start = time.perf_counter()
    for _ in range(WARM_UP):
        candidate()
        reference()
    references, candidates = [both_clocks(reference)], []
    for _ in range(rounds):
        candidates.append(both_clocks(candidate))
        references.append(both_clocks(reference))
    return {
        "candidate": {WALL: [pair[0] for pair in candidates], CPU: [pair[1] for pair in candidates]},
        "reference": {WALL: [pair[0] for pair in references], CPU: [pair[1] for pair in references]},
        "seconds": time.perf_counter() - start,
        "load": os.getloadavg()[0],
    }


@contextmanager
def neighbours(run_folder: Path) -> Iterator[Callable[[int], None]]:
    """A call that lets so many of two neighbours train, and stops the others."""
    command = [sys.executable, __file__, "neighbour", str(run_folder)]
    started = [subprocess.Popen(command) for _ in range(max(NEIGHBOURS))]

    def let(count: int) -> None:
        for number, process in enumerate(started):
            process.send_signal(signal.SIGCONT if number < count else signal.SIGSTOP)

    try:
        time.sleep(30)
        yield let
    finally:
        for process in started:
            process.kill()
            process.wait()


def be_neighbour(run_folder: Path) -> None:
    set_up_process(COMPUTE)
    space = space_of(Run(run_folder))
    step = step_call(space.reference, space)
    while True:
        step()


def collect(run_folder: Path, out: Path) -> None:
    set_up_process(COMPUTE)
    run, rng = Run(run_folder), random.Random(7)
    space = space_of(run)
    tested, others = split(run)
    reference = step_call(space.reference, space)
    with out.open("x", encoding="utf-8") as file:

        def write(kind: str, **facts: Any) -> None:
            file.write(json.dumps({"kind": kind, **facts}) + "\n")
            file.flush()

        def measure(kind: str, trial: TrialResult, rounds: int, count: int) -> None:
            found = in_turn(step_call(trial.arch, space), reference, rounds)
            write(kind, trial=trial.index, neighbours=count, **found)

        with neighbours(run_folder) as let:
            turns = [(trial, count) for trial in tested for count in NEIGHBOURS]
            rng.shuffle(turns)
            for trial, count in turns:
                let(count)
                measure("tested", trial, ROUNDS, count)
            for trial in others:
                count = rng.choice(NEIGHBOURS)
                let(count)
                measure("other", trial, OTHER_ROUNDS, count)
            let(0)
            made = calibrate(
                space, recipe=Recipe(), compute=COMPUTE, batch_size=space.batch_size, image_size=space.image_size
            )
            write("calibration", calibration=asdict(made))
        for _ in range(TRUTH_PASSES):
            for trial in rng.sample(tested, len(tested)):
                measure("truth", trial, TRUTH_ROUNDS, 0)


def samples(row: dict[str, Any], clock: str, rounds: int | None = None) -> Samples:
    candidate, reference = row["candidate"][clock], row["reference"][clock]
    rounds = rounds or len(candidate)
    return Samples(tuple(candidate[:rounds]), tuple(reference[: rounds + 1]), WARM_UP)


def rounds_taken(row: dict[str, Any], precision: Precision) -> int:
    """After how many rounds `time_in_turn` would have stopped."""
    look = FIRST_LOOK
    while look < precision.max_rounds:
        if interval(samples(row, CPU, look).ratios).width <= precision.width:
            return look
        look = int(look * LOOKS_GROW)
    return precision.max_rounds


def ours(row: dict[str, Any], precision: Precision) -> float:
    return median(samples(row, CPU, rounds_taken(row, precision)).ratios)


FAR, IN_A_SEARCH = Precision(max_rounds=ROUNDS), Precision(max_rounds=30)
OURS = f"CPU time, median of paired ratios (ours, to {ROUNDS} rounds)"
ESTIMATORS: dict[str, Callable[[dict[str, Any]], float]] = {
    "wall, median": lambda row: median(row["candidate"][WALL]),
    "wall, minimum": lambda row: min(row["candidate"][WALL]),
    "CPU time, median": lambda row: median(row["candidate"][CPU]),
    "CPU time, minimum": lambda row: min(row["candidate"][CPU]),
    "wall, ratio of medians": lambda row: median(row["candidate"][WALL]) / median(row["reference"][WALL]),
    "wall, median of paired ratios": lambda row: median(samples(row, WALL).ratios),
    OURS: partial(ours, precision=FAR),
    "the same, to 30 rounds": partial(ours, precision=IN_A_SEARCH),
}


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    return float(kendalltau(first, second).statistic)


def percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def show(run_folder: Path, source: Path) -> None:
    run = Run(run_folder)
    space = space_of(run)
    tested, others = split(run)
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    of_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in ("tested", "other", "truth")}
    true_ratio, true_seconds = {}, {}
    for trial in tested:
        passes = [row for row in of_kind["truth"] if row["trial"] == trial.index]
        true_ratio[trial.index] = median(ratio for row in passes for ratio in samples(row, WALL).ratios)
        true_seconds[trial.index] = {
            clock: median(taken for row in passes for taken in row["candidate"][clock]) for clock in (WALL, CPU)
        }
    spread = [
        stdev([median(samples(row, WALL).ratios) for row in of_kind["truth"] if row["trial"] == trial.index])
        / true_ratio[trial.index]
        for trial in tested
    ]
    print(
        f"truth: {len(tested)} networks of {space.name}, ratios {min(true_ratio.values()):.2f} to "
        f"{max(true_ratio.values()):.2f}; standard deviation between the {TRUTH_PASSES} passes "
        f"{100 * median(spread):.1f} % (median)\n"
    )
    by = {(row["trial"], row["neighbours"]): row for row in of_kind["tested"]}
    show_estimators(tested, by, true_ratio, true_seconds)
    show_cost(by)
    show_coverage(by, true_ratio)
    show_outcome(run, tested, by, true_ratio)
    made = parse_json(Calibration, json.dumps(next(row["calibration"] for row in rows if row["kind"] == "calibration")))
    show_model(made, tested, others, of_kind["other"], true_ratio)


def drawn(
    tested: Sequence[TrialResult], by: dict[tuple[int, int], dict[str, Any]], estimate: Callable[[Any], float]
) -> Iterator[list[float]]:
    """What a search would have: each network's estimate under neighbours that chance chose, again and again."""
    found = {key: estimate(row) for key, row in by.items()}
    rng = random.Random(1)
    for _ in range(DRAWS):
        yield [found[trial.index, rng.choice(NEIGHBOURS)] for trial in tested]


def show_estimators(
    tested: Sequence[TrialResult],
    by: dict[tuple[int, int], dict[str, Any]],
    true_ratio: dict[int, float],
    true_seconds: dict[int, dict[str, float]],
) -> None:
    print("| estimator | tau, mixed load | error, sd | bias, 0 | 1 | 2 neighbours |")
    print("| --- | --- | --- | --- | --- | --- |")
    truth = [true_ratio[trial.index] for trial in tested]
    for name, estimate in ESTIMATORS.items():
        is_ratio = "ratio" in name or "same" in name
        clock = WALL if name.startswith(WALL) else CPU

        def true(index: int, *, is_ratio: bool = is_ratio, clock: str = clock) -> float:
            return true_ratio[index] if is_ratio else true_seconds[index][clock]

        errors = {
            count: [estimate(by[trial.index, count]) / true(trial.index) - 1 for trial in tested]
            for count in NEIGHBOURS
        }
        taus = [tau(found, truth) for found in drawn(tested, by, estimate)]
        low, high = quantiles(taus, n=20)[0], quantiles(taus, n=20)[-1]
        everything = [error for count in NEIGHBOURS for error in errors[count]]
        biases = " | ".join(percent(median(errors[count])) for count in NEIGHBOURS)
        print(f"| {name} | {mean(taus):.3f} ({low:.2f} to {high:.2f}) | {100 * stdev(everything):.1f} % | {biases} |")


def show_cost(by: dict[tuple[int, int], dict[str, Any]]) -> None:
    print("\nseconds a candidate (wall clock, warm-up included), median of 20:")
    for name, precision in ((f"to {ROUNDS} rounds", FAR), ("to 30 rounds", IN_A_SEARCH)):
        taken = {
            count: [
                row["seconds"] * (rounds_taken(row, precision) + WARM_UP) / (ROUNDS + WARM_UP)
                for (_, neighbours), row in by.items()
                if neighbours == count
            ]
            for count in NEIGHBOURS
        }
        reached = mean(rounds_taken(row, precision) < precision.max_rounds for row in by.values())
        text = ", ".join(f"{median(taken[count]):.1f} s with {count}" for count in NEIGHBOURS)
        print(f"  {name}: {text} neighbours; 2 % reached early by {100 * reached:.0f} %")


def show_coverage(by: dict[tuple[int, int], dict[str, Any]], true_ratio: dict[int, float]) -> None:
    for rounds in (IN_A_SEARCH.max_rounds, ROUNDS):
        found = {key: interval(samples(row, CPU, rounds).ratios) for key, row in by.items()}
        held = mean(found[key].low <= true_ratio[key[0]] <= found[key].high for key in found)
        width = median(each.width for each in found.values())
        print(
            f"intervals of 95 % at {rounds} rounds: hold the truth in {100 * held:.0f} % of {len(found)}, "
            f"width {100 * width:.1f} % (median)"
        )


def show_outcome(
    run: Run,
    tested: Sequence[TrialResult],
    by: dict[tuple[int, int], dict[str, Any]],
    true_ratio: dict[int, float],
) -> None:
    objective = run.objective
    print(
        f"\nrank by reward (accuracies of the run, v {objective.v}) against the truth's, {DRAWS} draws of neighbours:"
    )

    def rewards(ratios: Sequence[float], w: float) -> list[float]:
        return [
            reward(trial.accuracy or 0.0, ratio, objective.params_ratio(trial.params), w=w, v=objective.v)
            for trial, ratio in zip(tested, ratios, strict=True)
        ]

    for w in (objective.w, 3 * objective.w):
        truth = rewards([true_ratio[trial.index] for trial in tested], w)
        for name in (
            "wall, median",
            OURS,
            "the same, to 30 rounds",
        ):
            taus, lost, same = [], [], []
            for found in drawn(tested, by, ESTIMATORS[name]):
                ranked = rewards(found, w)
                chosen = max(range(len(ranked)), key=ranked.__getitem__)
                taus.append(tau(ranked, truth))
                lost.append(1 - truth[chosen] / max(truth))
                same.append(truth[chosen] == max(truth))
            print(
                f"  w {w:+.2f}, {name}: tau {mean(taus):.3f} ({min(taus):.2f} at worst), the best is chosen in "
                f"{100 * mean(same):.0f} %, reward lost {100 * mean(lost):.2f} % (at most {100 * max(lost):.1f} %)"
            )


def show_model(
    made: Calibration,
    tested: Sequence[TrialResult],
    others: Sequence[TrialResult],
    measured: Sequence[dict[str, Any]],
    true_ratio: dict[int, float],
) -> None:
    truth = [true_ratio[trial.index] for trial in tested]
    rounds = next(iter(made.parts.values())).num_rounds
    print(f"\nblock table: {len(made.parts)} parts, {rounds} rounds, {made.seconds:.0f} s")
    arch_of = {trial.index: trial.arch for trial in others}

    def line(name: str, values: Sequence[float], note: str = "") -> None:
        errors = [abs(value / true - 1) for value, true in zip(values, truth, strict=True)]
        print(
            f"  {name}: tau {tau(values, truth):.3f}, error {100 * median(errors):.1f} % (median), "
            f"{100 * max(errors):.1f} % (largest){note}"
        )

    for count in (0, 5, 10, len(measured)):
        model = StepTimeModel(made)
        for row in measured[:count]:
            model.learn(arch_of[row["trial"]], *interval(samples(row, CPU).ratios))
        found = model.predict_all([trial.arch for trial in tested])
        held = mean(each.low <= true <= each.high for each, true in zip(found, truth, strict=True))
        width = median((each.high - each.low) / each.ratio for each in found)
        line(
            f"model, {count} networks learned",
            [each.ratio for each in found],
            f"; 95 % intervals hold {100 * held:.0f} %, width {100 * width:.0f} %",
        )
    for name, cost in (
        ("MACs", [float(trial.macs) for trial in tested]),
        ("params", [float(t.params) for t in tested]),
    ):
        fit = linregress(cost, truth)
        line(f"{name}, straight line fitted to these very networks", [fit.intercept + fit.slope * x for x in cost])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "show", "neighbour"))
    parser.add_argument("run", type=Path)
    parser.add_argument("samples", type=Path, nargs="?")
    arguments = parser.parse_args()
    match arguments.what:
        case "collect":
            collect(arguments.run, arguments.samples)
        case "show":
            show(arguments.run, arguments.samples)
        case "neighbour":
            be_neighbour(arguments.run)


if __name__ == "__main__":
    main()
