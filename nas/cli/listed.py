"""What `nas runs` lists: each run below a folder, of whatever kind, with how far it got and how it stands."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nas.train.curves import Curves
from nas.train.job import CONFIG, FAMILY_KIND, RESULT, read_job, read_result
from nas.train.report import METRICS
from results import Run, RunError, RunState, is_locked
from results.durable import read_bounded
from search_space.files import load_json

__all__ = ["Listed", "list_runs"]

Kind = Literal["search", "validation", "training", "supernet", "family training"]
MAX_DEPTH = 3
"""runs/FAMILY/trained/MEMBER."""
MAX_CONFIG_BYTES = 4 << 20
WRITTEN = (CONFIG, "asks.jsonl", "trials.jsonl", "summary.json", METRICS, RESULT)
"""Files that a run grows by, of any kind."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run.

    Attributes:
        name: its folder, below the one that is listed.
        kind: what it is of; None where its config.json does not say it.
        state: `running`, `ended`, `interrupted` or `damaged`.
        reason: why it ended or what is damaged; None where it is not known.
        num_trials: of a search or a validation.
        reward: of the best network of a search, on the device with the most trials.
        accuracy: of that network; of a training, on test images where it has ended, else the best on held-out images.
        network: in its short form.
        num_bytes: that the folder takes on the disk, runs inside it included.
        changed: seconds since the epoch when the record was last written.
    """

    name: str
    kind: Kind | None
    state: str
    reason: str | None = None
    num_trials: int | None = None
    reward: float | None = None
    accuracy: float | None = None
    network: str | None = None
    num_bytes: int
    changed: float


def list_runs(folder: Path) -> list[Listed]:
    """The runs in and below `folder`, the last written first. What cannot be read is listed as damaged."""
    found = [_listed(path, folder) for path in _folders(folder, MAX_DEPTH)]
    return sorted(found, key=lambda run: (-run.changed, run.name))


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with a config.json; links are not followed, and what may not be looked into is passed over."""
    try:
        is_run = (folder / CONFIG).exists()
        with os.scandir(folder) as entries:
            inner = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    if is_run:
        yield folder
    for name in inner if depth else ():
        if not name.startswith("."):
            yield from _folders(folder / name, depth - 1)


def _listed(path: Path, below: Path) -> Listed:
    name = path.absolute().name if path == below else str(path.relative_to(below))
    known = Listed(name=name, kind=None, state="damaged", num_bytes=_num_bytes(path), changed=_changed(path))
    try:
        kind = _kind(path)
        known = replace(known, kind=kind)
        if kind == "family training":
            return replace(known, **_of_family(path))
        return replace(known, **(_of_search(path) if kind in ("search", "validation") else _of_training(path)))
    except (ValueError, OSError) as error:
        return replace(known, reason=" ".join(str(error).split()))


def _kind(path: Path) -> Kind:
    try:
        config = load_json(read_bounded(path / CONFIG, MAX_CONFIG_BYTES))
    except RunError:
        raise
    except ValueError as error:
        raise RunError(f"{path / CONFIG}: {error}") from None
    if not isinstance(config, Mapping):
        raise RunError(f"{path / CONFIG}: must be an object, got {type(config).__name__}")
    if config.get("kind") == FAMILY_KIND:
        return "family training"
    if config.get("kind") == "training":
        job = config.get("job")
        return "supernet" if isinstance(job, Mapping) and job.get("space") is not None else "training"
    return "validation" if "validation" in config else "search"


def _of_search(path: Path) -> dict[str, Any]:
    run = Run(path)
    best = run.best(device=run.devices[0]) if run.devices else None
    found = {"num_trials": len(run.trials), **_state(run.state)}
    if best is None:
        return found
    return {**found, "reward": best.final.reward, "accuracy": best.final.accuracy, "network": str(best.arch)}


def _of_training(path: Path) -> dict[str, Any]:
    arch, result = read_job(path).arch, read_result(path)
    if result is not None:
        return {"state": "ended", "accuracy": result.ema_accuracy, "network": str(arch)}
    metrics = path / METRICS
    accuracy = Curves.of(path).best.ema_accuracy if metrics.exists() and metrics.stat().st_size else None
    return {**_state(_unfinished(path)), "accuracy": accuracy, "network": str(arch)}


def _of_family(path: Path) -> dict[str, Any]:
    """Of the trainings in it that were begun."""
    members = [inner for inner in _folders(path, 1) if inner != path]
    unfinished = [member for member in members if not (member / RESULT).exists()]
    told = f"{len(members) - len(unfinished)} of the {len(members)} that were begun are trained"
    state = next((state for state in map(_unfinished, unfinished) if state.name == "running"), None)
    if state is None:
        state = RunState(name="interrupted" if unfinished or not members else "ended")
    return {"state": state.name, "reason": told}


def _unfinished(path: Path) -> RunState:
    return RunState(name="running" if is_locked(path) else "interrupted")


def _state(state: RunState) -> dict[str, Any]:
    return {"state": state.name, "reason": state.reason}


def _num_bytes(path: Path) -> int:
    """What its files take on the disk."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # a running one may have removed it by now
                total += os.lstat(Path(folder) / name).st_blocks * 512
    return total


def _changed(path: Path) -> float:
    times = [0.0]
    for name in WRITTEN:
        with suppress(OSError):
            times.append((path / name).lstat().st_mtime)
    return max(times)
