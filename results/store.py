"""Reading a run: its folder holds config.json, asks.jsonl, trials.jsonl, pareto.csv, summary.json.

Reading parses JSON and nothing else, within bounds: opening a run that somebody else made executes nothing, and no
file in it is unpickled. Nothing in a run names its own place, so a folder that was moved still opens.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from results.asks import Ask, in_order
from results.devices import by_device, count_text
from results.durable import RunError, read_bounded
from results.limits import Limits
from results.lines import LinesFile, read_lines
from results.networks import Network, networks
from results.pareto import best_network, hypervolume, pareto_front
from results.record import TrialResult, check_count
from results.reward import Objective
from search_space.files import parse_json

__all__ = ["SCHEMA_VERSION", "Run"]

T = TypeVar("T")
SCHEMA_VERSION = 5
"""Of what a run's folder holds. It grows with every change of a field, so that an older reader says "update" and not
"unknown field"; every earlier version stays readable."""

CONFIG, TRIALS, ASKS, FRONT, SUMMARY = "config.json", "trials.jsonl", "asks.jsonl", "pareto.csv", "summary.json"
FIRST_SCHEMA_WITH_ASKS = 3
WITHOUT_ASKS = "num_without_asks"
MAX_CONFIG_BYTES = 4 << 20


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run, its schema version checked.

    Raises:
        RunError: for a folder that holds no run, a damaged file, or a run of a newer version of this project.
    """
    path = folder / CONFIG
    try:
        if not path.exists():
            raise RunError(f"{folder}: {'holds no run (no config.json)' if folder.is_dir() else 'no such folder'}")
        config = json.loads(read_bounded(path, MAX_CONFIG_BYTES), parse_constant=_refuse_constant)
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: no valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise RunError(f"{path}: must be an object, got {type(config).__name__}")
    if config.get("kind") in ("training", "family training"):
        raise RunError(f"{path}: is of a training (nas train), not of a search")
    version = config.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RunError(f"{path}: schema_version must be an integer of at least 1, got {version!r}")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path}: written by a newer version (schema {version}; this one reads up to {SCHEMA_VERSION}): update"
        )
    return config


def read_trials(path: Path) -> LinesFile[TrialResult]:
    """Every trial of a trials.jsonl, in the file's order.

    Raises:
        RunError: for damage that is not a torn end; for two trials with one index, or two `ok` ones that are the same
            training (`repeat`) of one network.
    """
    found = read_lines(path, TrialResult.from_json)
    indices: set[int] = set()
    trainings: dict[tuple[str, int], int] = {}
    for trial in found.records:
        if trial.index in indices:
            raise RunError(f"{path}: two trials have index {trial.index}")
        indices.add(trial.index)
        if trial.ok and (first := trainings.setdefault((trial.key, trial.repeat), trial.index)) != trial.index:
            raise RunError(f"{path}: trials {first} and {trial.index} are both repeat {trial.repeat} of one network")
    return found


def read_asks(path: Path) -> LinesFile[Ask]:
    """Every line of an asks.jsonl; a run of an older version has none.

    Raises:
        RunError: for damage that is not a torn end, or two asks for one trial.
    """
    if not path.exists() and not path.is_symlink():
        return LinesFile()
    found = read_lines(path, Ask.from_json)
    indices = [ask.index for ask in found.records]
    if len(set(indices)) < len(indices):
        raise RunError(f"{path}: a trial was asked for twice")
    return found


class Run:
    """A run as it lies on the disk now.

    Attributes:
        folder: where it was found.
        config: config.json.
        trials: every trial, by index.
        trials_file: trials.jsonl as it was found.
        asks_file: asks.jsonl as it was found.
        notes: what was wrong with the files and could be passed over, one line each.

    Raises:
        RunError: for a folder that holds no run, or a damaged one.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.config = read_config(self.folder)
        path = self.folder / TRIALS
        notes: list[str] = []
        self.trials_file: LinesFile[TrialResult] = LinesFile()
        if path.exists() or path.is_symlink():
            self.trials_file = read_trials(path)
            notes += [self.trials_file.torn] if self.trials_file.torn else []
        else:
            notes.append(f"{path} is not there: no trial is known")
        self.trials = sorted(self.trials_file.records, key=lambda trial: trial.index)
        self.asks_file = read_asks(self.folder / ASKS)
        notes += [self.asks_file.torn] if self.asks_file.torn else []
        self.notes = tuple(notes)

    @cached_property
    def objective(self) -> Objective:
        """What the run maximised."""
        return self._from_config(Objective, "objective")

    @cached_property
    def limits(self) -> Limits:
        """What the run's networks had to keep to."""
        return self._from_config(Limits, "limits")

    def _from_config(self, kind: type[T], field: str) -> T:
        try:
            return parse_json(kind, json.dumps(self.config.get(field)))
        except ValueError as error:
            raise RunError(f"{self.folder / CONFIG}: {field}: {error}") from None

    @cached_property
    def num_without_asks(self) -> int:
        """How many trials, the first in their file, were written by a version that kept no asks."""
        if self.config["schema_version"] < FIRST_SCHEMA_WITH_ASKS:
            return len(self.trials_file.records)
        number = self.config.get(WITHOUT_ASKS, 0)
        try:
            check_count(WITHOUT_ASKS, number)
        except ValueError as error:
            raise RunError(f"{self.folder / CONFIG}: {error}") from None
        return int(number)

    @property
    def history(self) -> Iterator[Ask | TrialResult]:
        """What was asked for and what came of it, in the order in which it happened."""
        return in_order(self.asks_file.records, self.trials_file.records)

    @property
    def ok(self) -> list[TrialResult]:
        """The trials that were measured in full."""
        return [trial for trial in self.trials if trial.ok]

    @property
    def devices(self) -> list[str]:
        """Names of the devices that have trials measured in full, the one with the most trials first."""
        groups = by_device(self.trials)
        return sorted(groups, key=lambda device: -len(groups[device]))

    def _ok_on(self, device: str | None) -> list[TrialResult]:
        groups = by_device(self.trials)
        counts = count_text({name: len(group) for name, group in groups.items()})
        if device is None and len(groups) > 1:
            raise RunError(
                f"{self.folder}: has trials of {counts}, and step times of different devices do not "
                "compare: choose one with --device"
            )
        if device is not None and device not in groups:
            known = f"it has trials of {counts}" if groups else "no trial was"
            raise RunError(f"{self.folder}: no trial was measured in full on device {device!r} ({known})")
        return self.ok if device is None else groups[device]

    def trial(self, index: int) -> TrialResult:
        """The trial of that number.

        Raises:
            RunError: where there is none.
        """
        for trial in self.trials:
            if trial.index == index:
                return trial
        known = f"{len(self.trials)} trials, up to {self.trials[-1].index}" if self.trials else "no trial"
        raise RunError(f"{self.folder}: has no trial {index} (it holds {known})")

    def networks(
        self, *, objective: Objective | None = None, limits: Limits | None = None, device: str | None = None
    ) -> list[Network]:
        """The networks of the trials on `device` (None: the only one of the run) that are within `limits`, their
        rewards by `objective` (None: the run's own). No network that the run's own limits kept from being trained can
        be among them: see `Limits.looser_than`.

        Raises:
            RunError: for a device that the run does not have, or None where it has several.
        """
        return networks(self._ok_on(device), objective or self.objective, limits or self.limits)

    def front(
        self, *, objective: Objective | None = None, limits: Limits | None = None, device: str | None = None
    ) -> list[Network]:
        """The Pareto front of `networks`, most accurate first."""
        return pareto_front(self.networks(objective=objective, limits=limits, device=device))

    def best(
        self, *, objective: Objective | None = None, limits: Limits | None = None, device: str | None = None
    ) -> Network | None:
        """The best of `networks`; see `results.best_network`."""
        return best_network(self.networks(objective=objective, limits=limits, device=device))

    def hypervolume(
        self, *, objective: Objective | None = None, limits: Limits | None = None, device: str | None = None
    ) -> float:
        """Share of the box of useful networks that `networks` dominate; see `results.hypervolume`."""
        objective = objective or self.objective
        found = self.networks(objective=objective, limits=limits, device=device)
        return hypervolume(found, objective.reference_params)
