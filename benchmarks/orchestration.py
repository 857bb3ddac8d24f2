"""What it costs to run trials: beside the work itself, and when the driver is killed; `nas search` and stock Ray Tune.

    python benchmarks/orchestration.py --trials 100 --seconds 20 --repeats 3
    python benchmarks/orchestration.py --trials 20 --seconds 3 --ways nas tune --parts whole

The work of a trial is a sleep, two at once, and its measurements are made up (benchmarks/made_up.py); all else is real.

    nas         `nas search` as it comes: the cost-aware sampler, the best trained anew, a child process a trial, a
                record that is on the disk before the next trial
    tune        ray.tune.Tuner with OptunaSearch (TPE) over the same choices, all else by default: a new process a trial
    tune-reuse  the same with reuse_actors

`whole` is a run from the command to its end. Start-up lasts until the first trial's work begins; the ideal is trials x
seconds / 2; what is beyond both is orchestration, the end included. Lines are those that a pipe gets. `killed` is a run
whose driver is killed (SIGKILL) when half of the trials have ended and one is in the middle, and which is gone on with
at once (`nas search --resume`, `Tuner.restore`): how many trials' work was begun again, how many of those had ended
before the kill, how many trials that had ended are in no result at the end; the seconds from the second command to the
first work. Means and standard deviations over the repeats. Stock Ray's workers would run at nice 15, and starve on a
machine that others use; here they do not.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from figures import spread
from made_up import Work, read_log

HERE = Path(__file__).parent
WORKERS = 2
MARK = "NAS_BENCHMARK"
WAYS = ("nas", "tune", "tune-reuse")
LATE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """One process: when it was started and had ended, and what it said. Seconds of `time.monotonic()`."""

    started: float
    ended: float
    output: str


@contextmanager
def nothing_left() -> Iterator[dict[str, str]]:
    """An environment for processes; those that have it, and their children, are ended afterwards."""
    mark = secrets.token_hex(16)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield {MARK: mark}
    finally:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == mark:
                    process.kill()


def environment(folder: Path, seconds: float, mark: dict[str, str]) -> dict[str, str]:
    """For one run in `folder`: nothing is found or left in the home folder."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        **mark,
        "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE))),
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "NAS_CACHE_DIR": str(folder / "cache"),
        "WORK_S": str(seconds),
        "WORK_LOG": str(folder / "log"),
        "WORK_TORCH": "1",
        "RAY_worker_niceness": "0",
    }


def run_session(words: list[str], env: dict[str, str], *, until: Callable[[], bool], late_s: float) -> Session:
    """Run this script so; it is killed when `until` holds, or when it is late."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, __file__, *words], env=env, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None and not until():
            if time.monotonic() - started > late_s:
                print(f"{' '.join(words)}: not at its end after {late_s:.0f} s, killed", file=sys.stderr)
                break
            time.sleep(0.05)
        was_killed = process.poll() is None
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        code, ended = process.wait(), time.monotonic()
        said.seek(0)
        output = said.read()
    if code and not was_killed:
        sys.exit(f"{output}\n{' '.join(words)}: exit code {code}")
    return Session(started=started, ended=ended, output=output)


def whole(way: str, folder: Path, arguments: argparse.Namespace, env: dict[str, str]) -> dict[str, float]:
    ideal = arguments.trials * arguments.seconds / WORKERS
    words = ["session", way, str(folder), str(arguments.trials)]
    session = run_session(words, env, until=lambda: False, late_s=3 * ideal + LATE_S)
    log = read_log(folder / "log")
    start_up, end = log[0].began - session.started, session.ended - max(work.ended or 0 for work in log)
    beyond = session.ended - log[0].began - ideal
    return {
        "start-up s": start_up,
        "beyond s": beyond,
        "beyond %": 100 * beyond / ideal,
        "of it after the last trial s": end,
        "lines": len(session.output.splitlines()),
        "trials with a result": len(set(results(folder))),
    }


def killed(way: str, folder: Path, arguments: argparse.Namespace, env: dict[str, str]) -> dict[str, float]:
    log, words = folder / "log", ["session", way, str(folder), str(arguments.trials)]
    late_s = 3 * arguments.trials * arguments.seconds / WORKERS + LATE_S

    def in_the_middle() -> bool:
        works = read_log(log)
        running = [work for work in works if work.ended is None]
        half_ended = len(works) - len(running) >= arguments.trials / 2
        return half_ended and any(time.monotonic() - work.began > 0.4 * arguments.seconds for work in running)

    first = run_session(words, env, until=in_the_middle, late_s=late_s)
    before = read_log(log)
    if all(work.ended is not None for work in before):
        sys.exit(f"{way}: was not killed in the middle of a trial")
    second = run_session([*words, "--resume"], env, until=lambda: False, late_s=late_s)
    after = [work for work in read_log(log) if work.began > first.ended]
    had_ended = {work.key for work in before if work.ended is not None}
    began = {work.key for work in before}
    return {
        "ended before": len(had_ended),
        "begun again": sum(work.key in began for work in after),
        "had ended": sum(work.key in had_ended for work in after),
        "lost": len(had_ended - set(results(folder))),
        "going again s": first_of(after) - second.started,
        "trials with a result": len(set(results(folder))),
    }


def first_of(works: list[Work]) -> float:
    return works[0].began if works else float("nan")


def results(folder: Path) -> list[str]:
    """Keys of the trials that the end result has."""
    if (folder / "tune.json").exists():
        keys: list[str] = json.loads((folder / "tune.json").read_text())
        return keys
    from results import load

    return [str(trial.seed) for trial in load(folder / "run").trials if trial.ok]


def session(way: str, folder: Path, trials: int, *, resume: bool) -> int:
    """What a user would run, in this process."""
    if way == "nas":
        from nas.cli import main
        from nas.search.driver import Driver

        Driver.EVALUATOR = "made_up"
        run = str(folder / "run")
        new = ["--out", run, "--budget", str(trials), "--workers", str(WORKERS)]
        return main(["search", *(["--resume", run] if resume else new)])

    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from search_space import load_space

    # As ray.init() does by itself, but on no cluster that another may have here.
    ray.init(address="local", num_cpus=WORKERS)
    space = load_space("efficientnetv2-tiny")
    if resume:
        tuner = tune.Tuner.restore(str(folder / "results" / "run"), trainable)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={each.name: tune.choice(range(len(each.values))) for each in space.decisions},
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(metric="reward", mode="max"),
                num_samples=trials,
                reuse_actors=way == "tune-reuse",
            ),
            run_config=tune.RunConfig(name="run", storage_path=str(folder / "results")),
        )
    found = [each.metrics for each in tuner.fit() if each.error is None]
    keys = [metrics["trial_id"] for metrics in found if metrics and "reward" in metrics]
    (folder / "tune.json").write_text(json.dumps(keys))
    return 0


def trainable(config: dict[str, Any]) -> None:
    """The same work as a trial of ours, measurements included."""
    import random

    from made_up import measurements, work
    from ray import tune

    from search_space import load_space

    key = tune.get_context().get_trial_id()
    with work(key):
        time.sleep(float(os.environ["WORK_S"]))
    space = load_space("efficientnetv2-tiny")
    arch = space.decode(tuple(config[each.name] for each in space.decisions))
    found = measurements(arch, space.image_size, random.Random(key))
    assert found.correct is not None
    assert found.num_evaluated is not None
    assert found.step_time is not None
    tune.report({"reward": found.correct / found.num_evaluated * found.step_time.ratio**-0.07})


PARTS = {"whole": whole, "killed": killed}


def main() -> int:
    if sys.argv[1:2] == ["session"]:
        _, _, way, folder, trials, *rest = sys.argv
        return session(way, Path(folder), int(trials), resume=rest == ["--resume"])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(arguments.repeats):
        for part in arguments.parts:
            for way in arguments.ways:
                with nothing_left() as mark, tempfile.TemporaryDirectory(prefix="orch-", dir="/tmp") as scratch:
                    folder = Path(scratch)
                    figures = PARTS[part](way, folder, arguments, environment(folder, arguments.seconds, mark))
                found.setdefault((part, way), []).append(figures)
                print(part, way, json.dumps(figures), file=sys.stderr, flush=True)
    for part in arguments.parts:
        names = list(found[part, arguments.ways[0]][0])
        print(f"\n| {part} | {' | '.join(names)} | n |\n{'| --- ' * (len(names) + 2)}|")
        for way in arguments.ways:
            rows = found[part, way]
            columns = (spread([row[name] for row in rows], 2) for name in names)
            print(f"| {way} | {' | '.join(columns)} | {len(rows)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
