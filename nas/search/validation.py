"""A validation of a run: some of its networks trained for longer, with seeds that the run never used.

It is a run of its own, in a folder below the run's, so that it is resumed, and shown, as any run is. Its config.json
has, under `validation`, which trials of the run above its own trials 0, 1, 2, ... repeat.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from nas.train import TrainLength
from results import MIN_NETWORKS, NetworkPair, Run, RunError, TrialResult
from search_space.files import parse_json

__all__ = ["LongTraining", "ValidationConfig", "find_long_training"]

DEFAULT_NETWORKS, DEFAULT_TIMES, MAX_TIMES = 12, 4.0, 10_000
RECORD = "validation"


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """How a run's short training is compared with a longer one.

    Args:
        networks: how many of the run's networks are trained for longer; 12, or all where the run has fewer. More than
            were asked for before adds to them.
        times: so many times as many steps as in the run; 4 where no length is given. A run that a supernet judged
            has no steps: its networks are trained alone for as long as a search trains them.
        train_length: the long training's length in place of `times`, in steps (`1200`) or epochs (`20ep`).
        device: of a run that has trials of several devices, those of this one.
        workers: trials at once; as in the run where not given.
        data: where the run's data lie now, if they were moved.
        data_root: where a named data set lies now.
    """

    networks: int | None = None
    times: float | None = None
    train_length: str | None = None
    device: str | None = None
    workers: int | None = None
    data: str | None = None
    data_root: Path | None = None

    def __post_init__(self) -> None:
        if self.networks is not None and self.networks < MIN_NETWORKS:
            raise ValueError(f"networks must be at least {MIN_NETWORKS}, got {self.networks}")
        if self.times is not None and not 1 < self.times <= MAX_TIMES:
            raise ValueError(f"times must be above 1 and at most {MAX_TIMES}, got {self.times}")
        if self.train_length is not None:
            if self.times is not None:
                raise ValueError("either times or train_length can be given")
            TrainLength.parse(self.train_length)

    def folder_name(self, short_steps: int) -> str:
        alone = "alone" if not short_steps else f"{self.times or DEFAULT_TIMES:g}x"
        return f"validate-{self.train_length or alone}"

    def length(self, short_steps: int) -> str | None:
        """The long training's length, as a search's `train_length`."""
        if not short_steps:
            if self.times is not None:
                raise ValueError("times cannot be given for a run that a supernet judged: give a train_length")
            return self.train_length
        return self.train_length or str(round((self.times or DEFAULT_TIMES) * short_steps))

    def changes(self) -> dict[str, Any]:
        """Fields of the run's own config that are other now."""
        given = {"workers": self.workers, "data": self.data, "data_root": self.data_root}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What a validation's config.json says of it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    trials: tuple[int, ...]
    device: str


@dataclass(frozen=True, kw_only=True)
class LongTraining:
    """Networks of `run`, measured there on `device`, that are trained for longer in `folder`. `short` are their trials
    in the run, best first, those that were added later behind; `begun` is what lies in the folder so far."""

    run: Run
    folder: Path
    device: str
    short: tuple[TrialResult, ...]
    begun: Run | None

    @property
    def long(self) -> list[TrialResult]:
        """What is on record of the long training so far; trial i is of network i."""
        return self.begun.trials if self.begun else []

    @property
    def left(self) -> list[TrialResult]:
        """The run's trials whose networks are still to be trained for longer."""
        done = {trial.index for trial in self.long}
        return [trial for index, trial in enumerate(self.short) if index not in done]

    @property
    def failed(self) -> list[TrialResult]:
        return [trial for trial in self.long if not trial.ok]

    @property
    def num_more(self) -> int:
        """How many networks of the run could be added."""
        return len(_allowed(self.run, self.device)) - len(self.short)

    def record(self) -> dict[str, Any]:
        """For the config.json of the folder."""
        return {RECORD: asdict(_Record(trials=tuple(trial.index for trial in self.short), device=self.device))}

    def pairs(self) -> list[NetworkPair]:
        """Of the networks whose long training was measured in full."""
        objective = self.run.objective
        return [NetworkPair.of(self.short[trial.index], trial, objective) for trial in self.long if trial.ok]

    @property
    def judged_by(self) -> str:
        """What the run's accuracies are of, in one word."""
        return "short" if self.short_steps() else "supernet"

    def short_steps(self) -> int:
        """Of the run's trainings; 0 where a supernet judged its networks."""
        return _steps(self.run)

    def long_steps(self) -> int:
        """Where it was begun."""
        return _steps(self.begun or self.run)


def _steps(run: Run) -> int:
    steps, least = run.config.get("train_steps"), 1 if run.config.get("supernet") is None else 0
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < least:
        raise RunError(
            f"{run.folder / 'config.json'}: train_steps must be an integer of at least {least}, got {steps!r}"
        )
    return steps


def find_long_training(run: Run, config: ValidationConfig) -> LongTraining:
    """As it is on record, extended where more networks are asked for; or chosen now.

    Networks are chosen evenly by their rank of reward in the run, the best and the worst within its limits always
    among them: a search is to tell good networks from bad ones, and among the best alone the range of rewards would
    be so small that no training could rank them.

    Raises:
        ValueError: for a run that has too few networks, or none on the device; a validation that was begun otherwise.
    """
    if RECORD in run.config:
        raise RunError(f"{run.folder}: is a validation itself: name the run that it is of")
    folder = run.folder / config.folder_name(_steps(run))
    begun = Run(folder) if (folder / "config.json").exists() else None
    record = None if begun is None else _record_of(begun)
    device = _device(run, record.device if record and config.device is None else config.device)
    if record and device != record.device:
        raise RunError(f"{folder}: is of the trials on {record.device!r}, not {device!r}: give another --train-length")
    kept = () if record is None else record.trials
    count = config.networks or len(kept) or DEFAULT_NETWORKS
    if count < len(kept):
        raise RunError(f"{folder}: has {len(kept)} networks already, and none are taken away, got --networks {count}")
    training = LongTraining(
        run=run,
        folder=folder,
        device=device,
        short=tuple(run.trial(index) for index in (*kept, *_added(run, device, kept, count))),
        begun=begun,
    )
    for trial in training.long:
        if trial.index >= len(kept) or trial.key != training.short[trial.index].key:
            raise RunError(
                f"{folder / 'trials.jsonl'}: trial {trial.index}: is of no network of the list in config.json"
            )
    return training


def _record_of(validation: Run) -> _Record:
    try:
        return parse_json(_Record, json.dumps(validation.config.get(RECORD)))
    except ValueError as error:
        raise RunError(f"{validation.folder / 'config.json'}: {RECORD}: {error}") from None


def _device(run: Run, asked: str | None) -> str:
    best = run.best(device=asked)
    if best is None:
        raise RunError(f"{run.folder}: no network was measured in full within the run's limits")
    return best.device


def _allowed(run: Run, device: str) -> list[TrialResult]:
    return [trial for trial in run.ok if not trial.repeat and trial.device == device and run.limits.allow(trial)]


def _added(run: Run, device: str, kept: Sequence[int], count: int) -> list[int]:
    """Trials that make `kept` up to `count`, as far as there are so many: best first."""
    ranked = sorted(_allowed(run, device), key=lambda trial: (-run.objective.reward(trial), trial.index))
    if len(ranked) < MIN_NETWORKS:
        raise RunError(
            f"{run.folder}: a validation needs at least {MIN_NETWORKS} networks measured in full within the run's "
            f"limits, got {len(ranked)}"
        )
    known = set(kept)
    if count <= len(known):
        return []
    places = _spread(len(ranked), count, {place for place, trial in enumerate(ranked) if trial.index in known})
    return [ranked[place].index for place in places if ranked[place].index not in known]


def _spread(size: int, count: int, kept: set[int]) -> list[int]:
    """`count` of the places 0 to `size` - 1 (all, where there are fewer), the first and the last among them: evenly, or
    with `kept` wherever most is left out."""
    count, last = min(count, size), size - 1
    places = {*kept, 0, last} if kept else {round(place * last / (count - 1)) for place in range(count)}
    while len(places) < count:
        low, high = max(pairwise(sorted(places)), key=lambda gap: gap[1] - gap[0])
        places.add((low + high) // 2)
    return sorted(places)
