"""What the page says in words: the answer, what was asked, failures by reason, predictions, environment."""

import json
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from results.networks import Network
from results.pareto import best_network, hypervolume, pareto_front
from results.record import TrialResult, TrialStatus
from results.reward import Objective
from results.store import Run
from results.tables import best_text
from search_space.files import parse_json
from search_space.space import Space

__all__ = ["Answer", "Failures", "answers", "asked", "choices", "environment", "failures", "formula"]

MAX_REASONS, MAX_TRIALS = 20, 12
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
MEANINGS = {
    TrialStatus.PRUNED: "Measured to be slower than the limit allows, and so not trained.",
    TrialStatus.OUT_OF_MEMORY: "The training did not fit in the memory that a trial may have.",
    TrialStatus.DIVERGED: "The loss was not finite.",
    TrialStatus.TIMED_OUT: "The trial took longer than a trial may.",
    TrialStatus.FAILED: "Something else went wrong; the reason says what.",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Of one device: the best network and in words how far that can be trusted, or None where no network keeps to the
    limits.

    Attributes:
        median_error: of the step times that were predicted, relative to those measured; None where none was.
        num_predicted: how many were.
        num_within: how many were measured within the prediction's interval.
    """

    device: str
    best: Network | None
    told: tuple[str, ...]
    num_ok: int
    num_networks: int
    num_front: int
    hypervolume: float
    by_supernet: bool
    num_predicted: int
    num_within: int
    median_error: float | None


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Trials of one status that is not `ok`: (lines of the first one's reason, how many, the first trials) by reason,
    most frequent first, and how many reasons more there are. Reasons that differ in numbers alone are one."""

    status: str
    meaning: str
    count: int
    reasons: tuple[tuple[list[str], int, list[int]], ...]
    num_more: int


def _part(run: Run, name: str) -> dict[str, Any]:
    part = run.config.get(name)
    return part if isinstance(part, dict) else {}


def answers(run: Run) -> list[Answer]:
    """For each device."""
    return [_answer(run, device) for device in run.devices]


def _answer(run: Run, device: str) -> Answer:
    found, trials = run.networks(device=device), run.ok_on(device)
    predicted = [trial for trial in trials if trial.step_time_predicted]
    errors = [_relative_error(trial) for trial in predicted]
    return Answer(
        device=device,
        best=best_network(found),
        told=tuple(best_text(found).splitlines()),
        num_ok=len(trials),
        num_networks=len(found),
        num_front=len(pareto_front(found)),
        hypervolume=hypervolume(found, run.objective.reference_params),
        by_supernet=any(trial.weights == "supernet" for trial in trials),
        num_predicted=len(predicted),
        num_within=sum(_is_within(trial) for trial in predicted),
        median_error=statistics.median(errors) if errors else None,
    )


def _relative_error(trial: TrialResult) -> float:
    return abs((trial.step_time_predicted or 0.0) / (trial.step_time_ratio or 1.0) - 1)


def _is_within(trial: TrialResult) -> bool:
    low, ratio, high = trial.step_time_predicted_low, trial.step_time_ratio, trial.step_time_predicted_high
    return low is not None and ratio is not None and high is not None and low <= ratio <= high


def asked(run: Run) -> Iterator[tuple[str, str]]:
    """What the search was told, by name; what a record does not say is left out."""
    search, space, data = (_part(run, name) for name in ("search", "space", "data"))
    known = {
        "space": space.get("name"),
        "data": data.get("summary", search.get("data")),
        "image size": _with_unit(run.config.get("image_size"), "pixels"),
        "batch size": _with_unit(run.config.get("batch_size"), "images"),
        "training of a candidate": _with_unit(run.config.get("train_steps"), "steps"),
        "accuracy by": search.get("evaluator"),
        "supernet": search.get("supernet"),
        "weights to start from": search.get("warm_start"),
        "budget": search.get("budget"),
        "sampler": search.get("sampler"),
        "goal": search.get("goal"),
        "seed": search.get("seed", run.config.get("seed")),
    }
    yield from ((name, str(value)) for name, value in known.items() if value is not None)
    yield "reward", formula(run.objective)
    limits = {name: value for name, value in vars(run.limits).items() if value is not None}
    yield "limits", ", ".join(f"{name} {value:,}" for name, value in limits.items()) or "none"


def formula(objective: Objective) -> str:
    """The reward, of accuracy as a share."""
    return f"accuracy × (step time)^{objective.w:g} × (params / {objective.reference_params:,})^{objective.v:g}"


def _with_unit(value: object, unit: str) -> str | None:
    return f"{value} {unit}" if value else None


def choices(run: Run) -> tuple[int | None, list[tuple[str, str]]]:
    """How many networks the space holds, and its decisions by name; None and nothing where the record has no space
    that can be read."""
    try:
        space = parse_json(Space, json.dumps(run.config.get("space")))
    except (ValueError, RecursionError):
        return None, []
    return space.size(), [(one.name, ", ".join(map(str, one.values))) for one in space.decisions]


def failures(run: Run) -> list[Failures]:
    """By status, most frequent first."""
    groups: dict[str, list[TrialResult]] = {}
    for trial in run.trials:
        if not trial.ok:
            groups.setdefault(str(trial.status), []).append(trial)
    found = [_failures(status, group) for status, group in groups.items()]
    return sorted(found, key=lambda one: -one.count)


def _failures(status: str, trials: list[TrialResult]) -> Failures:
    groups: dict[str, list[TrialResult]] = {}
    for trial in trials:
        groups.setdefault(NUMBER.sub("0", trial.reason or ""), []).append(trial)
    told = sorted(groups.values(), key=lambda group: -len(group))[:MAX_REASONS]
    return Failures(
        status=status.replace("_", " "),
        meaning=MEANINGS[TrialStatus(status)],
        count=len(trials),
        reasons=tuple(
            ((group[0].reason or "").splitlines(), len(group), [trial.index for trial in group[:MAX_TRIALS]])
            for group in told
        ),
        num_more=len(groups) - len(told),
    )


def environment(run: Run) -> Iterator[tuple[str, str]]:
    """What the run was made with, by name."""
    known = _part(run, "environment")
    git = known.get("git")
    yield "devices", ", ".join(run.devices) or "none measured yet"
    workers = sorted({trial.worker.partition(":")[0] for trial in run.trials})
    yield "machines", ", ".join(workers[:MAX_TRIALS]) or "none yet"
    yield from ((name, str(known[name])) for name in ("cpu", "cpus", "platform") if known.get(name) is not None)
    if isinstance(git, dict):
        yield "source tree", f"{git.get('commit')}{', changed since' if git.get('changed') else ''}"
    versions = known.get("versions")
    if isinstance(versions, dict):
        yield from ((str(name), str(version)) for name, version in versions.items() if version is not None)
    yield "record's schema", str(run.config.get("schema_version"))
