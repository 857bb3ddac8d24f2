"""Does anything grow while a search runs? An hour of short trials, the memory and handles of its processes watched.

    python benchmarks/soak.py run /tmp/soak --minutes 60 [--every 5]
    python benchmarks/soak.py show /tmp/soak/samples.jsonl [--warm-up 10]

`run` starts `nas search` (digits, efficientnetv2-tiny, one worker, random proposals, `STEPS` steps a trial) and samples
its processes: the driver; Ray's worker that the trials go to; the server that they are forked from, whose USS is what
it does not share with the trial of the moment; Ray's own. A trial's process lives for seconds and is left out. It ends
by showing what it saw.

`show` gives the slope an hour of each by least squares through the means of `BLOCKS` stretches of equal length, with
Student's 95 % interval: neighbouring samples are alike, and would make it too narrow. The first minutes are left out,
and what was sampled without a worker: the end. Where a process was replaced by another, its kind is marked.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from figures import read_rows
from scipy.stats import linregress, t

STEPS = 10
BLOCKS = 12
MB = 1e6
SAMPLES, RUN, WORKER = "samples.jsonl", "run", "worker"
SEARCH = (
    *("search", "--space", "efficientnetv2-tiny", "--data", "digits", "--sampler", "random", "--confirm-share", "0"),
    *("--workers", "1", "--train-length", str(STEPS), "--image-size", "16"),
)
ENDS_WITHIN_S = 120.0


def kind_of(process: psutil.Process) -> str | None:
    """What a process that the driver started is; None for what is of no interest."""
    command = " ".join(process.cmdline())
    if command.startswith("ray::"):
        return "Ray's idle workers" if command.startswith("ray::IDLE") else WORKER
    if "multiprocessing.forkserver" in command:
        # The children of the server are trials, and have its command line.
        parent = process.parent()
        return "trial server" if parent is None or "forkserver" not in " ".join(parent.cmdline()) else None
    if "resource_tracker" in command:
        return None
    for name in ("gcs_server", "raylet"):
        if Path(process.cmdline()[0]).name == name:
            return name
    return "Ray's others" if "ray" in command else None


def figures_of(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        memory = process.memory_full_info()
        return {
            "rss": memory.rss,
            "uss": memory.uss,
            "handles": process.num_fds(),
            "threads": process.num_threads(),
        }


def sample(driver: psutil.Process) -> dict[str, dict[str, Any]]:
    """Figures by kind of process, summed over its processes; `pids` says which they were."""
    found: dict[str, dict[str, Any]] = {"driver": {"pids": [driver.pid], **figures_of(driver)}}
    for process in driver.children(recursive=True):
        with contextlib.suppress(psutil.Error, IndexError):
            kind = kind_of(process)
            if kind is None:
                continue
            figures = figures_of(process)
            held = found.setdefault(kind, {"pids": [], **dict.fromkeys(figures, 0)})
            held["pids"].append(process.pid)
            for name, value in figures.items():
                held[name] += value
    return found


def temporary(driver: psutil.Process) -> dict[str, int]:
    """Bytes and files of Ray's temporary folder."""
    num_bytes = num_files = 0
    for parent in {tempfile.gettempdir(), "/tmp"}:
        for folder in Path(parent).glob(f"nas-ray-{driver.pid}-*"):
            for place, _, names in os.walk(folder):
                for name in names:
                    with contextlib.suppress(OSError):
                        num_bytes += (Path(place) / name).lstat().st_blocks * 512
                        num_files += 1
    return {"bytes": num_bytes, "files": num_files}


def run(arguments: argparse.Namespace) -> None:
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "nas.cli", *SEARCH]
    command += ["--budget", f"{arguments.minutes:g}m", "--out", str(folder / RUN)]
    trials = folder / RUN / "trials.jsonl"
    start, told = time.monotonic(), 0.0
    with (folder / "log").open("w") as log, (folder / SAMPLES).open("w") as file:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        driver = psutil.Process(process.pid)
        try:
            while process.poll() is None:
                with contextlib.suppress(psutil.Error):
                    row = {
                        "s": time.monotonic() - start,
                        "trials": trials.read_bytes().count(b"\n") if trials.exists() else 0,
                        "processes": sample(driver),
                        "Ray's folder": temporary(driver),
                    }
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                    if row["s"] - told >= 60:
                        told = row["s"]
                        print(f"{told / 60:.0f} min, {row['trials']} trials", file=sys.stderr, flush=True)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(arguments.every)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(ENDS_WITHIN_S)
        finally:
            if process.poll() is None:
                process.kill()
    print(f"nas search ended with {process.returncode} after {(time.monotonic() - start) / 60:.1f} min")
    show(argparse.Namespace(file=folder / SAMPLES, warm_up=arguments.warm_up))


def series(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[tuple[float, float]], bool]]:
    """(kind, quantity, [(hours, value)], whether its processes changed) of all that was sampled."""
    kinds = dict.fromkeys(kind for row in rows for kind in row["processes"])
    for kind in kinds:
        held = [(row["s"] / 3600, row["processes"][kind]) for row in rows if kind in row["processes"]]
        changed = len({tuple(sorted(figures["pids"])) for _, figures in held}) > 1
        for name in ("rss", "uss", "handles", "threads"):
            yield kind, name, [(hours, figures[name]) for hours, figures in held], changed
    for name in ("bytes", "files"):
        yield "Ray's folder", name, [(row["s"] / 3600, row["Ray's folder"][name]) for row in rows], False


def slope(points: list[tuple[float, float]]) -> tuple[float, float, int]:
    """Of a line through the blocks' means, half of its 95 % interval, and the number of blocks."""
    blocks = np.array_split(np.array(points), min(BLOCKS, len(points)))
    hours, values = np.array([block.mean(axis=0) for block in blocks]).T
    if len(blocks) < 3:
        return math.nan, math.nan, len(blocks)
    if np.ptp(values) == 0:
        return 0.0, 0.0, len(blocks)
    fit = linregress(hours, values)
    return float(fit.slope), float(fit.stderr * t.ppf(0.975, len(blocks) - 2)), len(blocks)


def show(arguments: argparse.Namespace) -> None:
    rows = read_rows(arguments.file)
    kept = [row for row in rows if row["s"] >= 60 * arguments.warm_up and WORKER in row["processes"]]
    if len(kept) < 3:
        sys.exit(f"{arguments.file}: holds {len(kept)} samples after {arguments.warm_up:g} minutes, 3 are needed")
    hours, trials = (kept[-1]["s"] - kept[0]["s"]) / 3600, kept[-1]["trials"] - kept[0]["trials"]
    print(
        f"{len(kept)} samples in {60 * hours:.1f} min after {arguments.warm_up:g} of warm-up, {trials} trials meanwhile"
    )
    print("| what | first | last | slope an hour | 95 % | n samples in blocks |\n| --- | --- | --- | --- | --- | --- |")
    for kind, name, points, changed in series(kept):
        unit, scale, digits = ("", 1.0, 1) if name in ("handles", "threads", "files") else (" MB", MB, 2)
        found, half, blocks = slope(points)
        first, last = (f"{value / scale:.{digits}f}{unit}" for value in (points[0][1], points[-1][1]))
        interval = f"{(found - half) / scale:+.{digits}f} to {(found + half) / scale:+.{digits}f}"
        mark = " (other processes meanwhile)" if changed else ""
        print(
            f"| {kind}: {name}{mark} | {first} | {last} | {found / scale:+.{digits}f}{unit} | {interval} | "
            f"{len(points)} in {blocks} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    command.add_argument("folder", type=Path)
    command.add_argument("--minutes", type=float, default=60)
    command.add_argument("--every", type=float, default=5, help="seconds between two samples")
    command.set_defaults(do=run)
    shown = commands.add_parser("show")
    shown.add_argument("file", type=Path)
    shown.set_defaults(do=show)
    for each in (command, shown):
        each.add_argument("--warm-up", type=float, default=10, help="minutes that are left out")
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
