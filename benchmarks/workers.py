"""Two workers against one: seconds an epoch, the same loss curve, and a training whose worker is killed in the middle.

    python benchmarks/workers.py train ARCH DIR FOLDER --epochs 6 --seeds 3
    python benchmarks/workers.py show FOLDER

`train` trains ARCH (as `nas train` takes it) on the images in DIR, in turn, seed by seed:

    one         one process, one thread
    threads     one process, two threads
    two         two workers of one thread each
    synced      the same with batch norm over all of a step's images (--sync-bn)
    killed      as `two`; once half of the steps are done one worker is killed (SIGKILL)

Nothing else may run on the two cores. `show` prints the seconds of an epoch (steps with their data; start-up and
evaluations left out) as a share of those of `one` with the same seed, mean and standard deviation over seeds; how long
it took from the kill to the next checkpoint after it, and whether `killed` ended with the bits of `two`; and the mean
training loss and the held-out accuracy (averaged weights) at each epoch's end, side by side.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from figures import spread

WAYS = {
    "one": (),
    "threads": ("--threads", "2"),
    "two": ("--workers", "2"),
    "synced": ("--workers", "2", "--sync-bn"),
    "killed": ("--workers", "2", "--checkpoint-seconds", "5"),
}
KILL = "kill.json"


def train(arguments: argparse.Namespace) -> None:
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(1, arguments.seeds + 1):
        for way in arguments.ways:
            run = arguments.folder / f"{way}-{seed}"
            if (run / "result.json").exists():
                continue
            command = [sys.executable, "-m", "nas.cli", "train"]
            if (run / "config.json").exists():
                command += ["--resume", str(run), *(option for option in WAYS[way] if option != "--sync-bn")]
            else:
                command += [arguments.arch, "--data", str(arguments.data), "--budget", f"{arguments.epochs}ep"]
                command += ["--image-size", str(arguments.image_size), "--batch-size", str(arguments.batch_size)]
                command += ["--optimizer", "sgd", "--seed", str(seed), "--growth", "fixed", "--out", str(run)]
                command += WAYS[way]
            process = subprocess.Popen(command)
            if way == "killed":
                kill_one(process, run)
            if process.wait() != 0:
                sys.exit(process.returncode)


def kill_one(process: "subprocess.Popen[bytes]", run: Path) -> None:
    """Kill a worker when half of the epochs are on record, and note when, and when the next checkpoint was there."""
    while process.poll() is None and not (run / "config.json").exists():
        time.sleep(0.5)
    epochs = json.loads((run / "config.json").read_text())["job"]["length"]["epochs"]
    while process.poll() is None and len(lines(run)) < epochs / 2:
        time.sleep(0.5)
    workers = [each for each in psutil.Process(process.pid).children(recursive=True) if "RayTrainWorker" in name(each)]
    before = last_step(run)
    workers[-1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    # One that was being written may still come: only what comes after the restart counts.
    time.sleep(2)
    before = last_step(run)
    while process.poll() is None and last_step(run) <= before:
        time.sleep(0.1)
    (run / KILL).write_text(json.dumps({"step": before, "seconds": time.monotonic() - killed}))


def name(process: psutil.Process) -> str:
    try:
        return "".join(process.cmdline())
    except psutil.Error:
        return ""


def last_step(run: Path) -> int:
    return max((int(path.stem.removeprefix("step-")) for path in run.glob("checkpoints/step-*.pt")), default=0)


def lines(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    whole = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def epoch_seconds(run: Path) -> float:
    """Of the median epoch: one in which a worker was lost has another length."""
    counts = sorted(1 / line["images_per_s"] for line in lines(run))
    first, *_ = lines(run)
    batch_size = json.loads((run / "config.json").read_text())["job"]["recipe"]["batch_size"]
    return counts[len(counts) // 2] * first["step"] * batch_size


def show(arguments: argparse.Namespace) -> None:
    runs: dict[str, dict[int, Path]] = {way: {} for way in WAYS}
    for result in sorted(arguments.folder.glob("*/result.json")):
        way, _, seed = result.parent.name.rpartition("-")
        if way in runs:
            runs[way][int(seed)] = result.parent
    print(f"| way | seconds an epoch | of one's | test accuracy, % | n |\n{'| --- ' * 5}|")
    for way, of_way in runs.items():
        seconds = {seed: epoch_seconds(run) for seed, run in of_way.items()}
        ratios = [seconds[seed] / epoch_seconds(runs["one"][seed]) for seed in seconds if seed in runs["one"]]
        tested = [100 * json.loads((run / "result.json").read_text())["ema_accuracy"] for run in of_way.values()]
        shown = spread(list(seconds.values()), 1), spread(ratios, 2), spread(tested, 1), str(len(seconds))
        print(f"| {way} | {' | '.join(shown)} |")
    for seed, run in runs["killed"].items():
        told = json.loads((run / KILL).read_text())
        other = runs["two"].get(seed)
        files = [] if other is None else [(each / "model.safetensors").read_bytes() for each in (run, other)]
        same = "no other to compare" if not files else "the same bits" if files[0] == files[1] else "OTHER BITS"
        print(
            f"\nkilled, seed {seed}: after step {told['step']}, next checkpoint {told['seconds']:.0f} s later; {same}"
        )
    ways = [way for way in WAYS if runs[way]]
    print(f"\n| epoch | {' | '.join(f'{way}: loss, accuracy' for way in ways)} |\n{'| --- ' * (1 + len(ways))}|")
    for epoch in range(max(len(lines(run)) for way in ways for run in runs[way].values())):
        cells = []
        for way in ways:
            found = [lines(run)[epoch] for run in runs[way].values() if epoch < len(lines(run))]
            accuracies = [100 * line["ema_accuracy"] for line in found]
            cells.append(f"{spread([line['loss'] for line in found], 3)}, {spread(accuracies, 1)}")
        print(f"| {epoch + 1} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("arch")
    command.add_argument("data", type=Path)
    command.add_argument("folder", type=Path)
    command.add_argument("--epochs", type=int, default=6)
    command.add_argument("--seeds", type=int, default=3)
    command.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    command.add_argument("--image-size", type=int, default=32)
    command.add_argument("--batch-size", type=int, default=128)
    command.set_defaults(do=train)
    command = commands.add_parser("show")
    command.add_argument("folder", type=Path)
    command.set_defaults(do=show)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
