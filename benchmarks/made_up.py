"""Trials whose work is a sleep and whose measurements are made up: what a search's driver and its workers cost is seen.

As the evaluator of a `Driver` this module stands in for training and measuring; all else is the project's own. The
environment tells workers: `WORK_S`, the seconds that a trial sleeps; `WORK_LOG`, a file to which each adds a line when
its work begins and when it ends; `WORK_TORCH`, where set, has torch imported as for real trials.
"""

import json
import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.device import Compute
from nas.measure import Conditions, Samples, StepTime
from nas.search.task import Evaluation, Probe, ProbeRequest, TrialTask
from results import TrialStatus
from search_space import ArchSpec

if os.environ.get("WORK_TORCH"):
    import nas.search.evaluate  # noqa: F401

NUM_IMAGES = 5000
CONDITIONS = Conditions(
    device="made up", compute=Compute(), batch_size=64, image_size=32, optimizer="rmsprop", drop_path=0.0
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One piece of work: `ended` is None where it was not brought to its end. Seconds of `time.monotonic()`."""

    key: str
    began: float
    ended: float | None


@contextmanager
def work(key: str) -> Iterator[None]:
    """Work of a trial, on record in the log before and after it."""
    log, began = Path(os.environ["WORK_LOG"]), time.monotonic()
    _add(log, {"key": key, "began": began})
    yield
    _add(log, {"key": key, "began": began, "ended": time.monotonic()})


def _add(log: Path, line: dict[str, object]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_log(log: Path) -> list[Work]:
    """In the order in which it began."""
    found: dict[tuple[str, float], Work] = {}
    for text in log.read_text().splitlines() if log.exists() else ():
        line = json.loads(text)
        found[line["key"], line["began"]] = Work(key=line["key"], began=line["began"], ended=line.get("ended"))
    return sorted(found.values(), key=lambda one: one.began)


def measurements(arch: ArchSpec, image_size: int, rng: random.Random) -> Evaluation:
    """Larger networks are more accurate and slower, with chance in both."""
    params, macs = arch.cost(image_size)
    ratio = (macs / 1e7) ** 0.7 * rng.lognormvariate(0, 0.1)
    accuracy = 0.95 - 0.5 * math.exp(-math.log(params) / 20) * rng.lognormvariate(0, 0.2)
    return Evaluation(
        status=TrialStatus.OK,
        device=CONDITIONS.device,
        step_time=StepTime(
            ratio=ratio,
            low=0.98 * ratio,
            high=1.02 * ratio,
            precise=True,
            samples=Samples((0.03 * ratio,) * 15, (0.03,) * 16, 2),
            conditions=CONDITIONS,
        ),
        correct=round(NUM_IMAGES * min(1.0, max(0.0, accuracy))),
        num_evaluated=NUM_IMAGES,
        train_steps=300,
        train_loss=rng.uniform(0.1, 2.0),
        peak_memory_bytes=rng.randrange(1 << 28, 1 << 30),
        max_batch_size=1024,
    )


def evaluate(task: TrialTask) -> Evaluation:
    with work(str(task.seed)):
        time.sleep(float(os.environ["WORK_S"]))
    return measurements(task.arch, task.data.image_size, random.Random(task.seed))


def probe(task: TrialTask, request: ProbeRequest) -> Probe:
    return Probe(device=CONDITIONS.device, compute=task.compute, trial_s=float(os.environ["WORK_S"]))
