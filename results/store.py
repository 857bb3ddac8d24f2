"""A run: what its folder holds, and what is asked of it.

Nothing in a run names its own place, so a folder that was moved still opens.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from results.asks import Ask, in_order
from results.devices import SeveralDevices, by_device, count_text
from results.durable import RunError
from results.fetched import fetch_to_cache
from results.folder import ASKS, CONFIG, TRIALS, WITHOUT_ASKS, read_asks, read_config, read_trials
from results.limits import Limits
from results.lines import LinesFile
from results.networks import Network, networks
from results.objects import is_url
from results.pareto import best_network, hypervolume, pareto_front
from results.question import Asked, Question
from results.record import TrialResult, check_count
from results.reward import Objective
from results.state import RunState, run_state
from results.tables import plain
from search_space.files import parse_json

if TYPE_CHECKING:
    from pandas import DataFrame

    from results.compare import Comparison

__all__ = ["Run", "load"]

T = TypeVar("T")
FIRST_SCHEMA_WITH_ASKS = 3


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

    def ok_on(self, device: str | None) -> list[TrialResult]:
        """The trials that were measured in full on that device (None: the only one of the run).

        Raises:
            RunError: for a device that the run does not have.
            SeveralDevices: for None where it has several.
        """
        groups = by_device(self.trials)
        counts = count_text({name: len(group) for name, group in groups.items()})
        if device is None and len(groups) > 1:
            raise SeveralDevices(
                f"{self.folder}: has trials of {counts}, and step times of different devices do not compare: choose one"
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

    @property
    def question(self) -> Question:
        """What the search was asked."""
        return Question(objective=self.objective, limits=self.limits)

    @property
    def state(self) -> RunState:
        """Whether the run is going on, has ended and why, or was interrupted: as its folder says now."""
        return run_state(self.folder, len(self.trials))

    def networks(self, *, device: str | None = None, **asked: Unpack[Asked]) -> list[Network]:
        """The networks of the trials on `device` (None: the only one of the run), by the run's own reward and within
        its own limits, or as `asked`: `run.networks(w=-0.2, max_params=500_000)`; `results.Asked` lists what can be.
        No network that the run's own limits kept from being trained can be among them: see `Question.never_trained`.

        Raises:
            RunError: for a device that the run does not have, or None where it has several.
            ValueError: for an exponent or a limit that breaks a rule.
        """
        question = self.question.changed(**asked)
        return networks(self.ok_on(device), question.objective, question.limits)

    def front(self, *, device: str | None = None, **asked: Unpack[Asked]) -> list[Network]:
        """The Pareto front of `networks`, most accurate first."""
        return pareto_front(self.networks(device=device, **asked))

    def best(self, *, device: str | None = None, **asked: Unpack[Asked]) -> Network | None:
        """The best of `networks`: `run.best(w=-0.07, v=-0.05, max_params=500_000)`; see `results.best_network`."""
        return best_network(self.networks(device=device, **asked))

    def hypervolume(self, *, device: str | None = None, **asked: Unpack[Asked]) -> float:
        """Share of the box of useful networks that `networks` dominate; see `results.hypervolume`."""
        return hypervolume(self.networks(device=device, **asked), self.objective.reference_params)

    def trials_frame(self, **asked: Unpack[Asked]) -> "DataFrame":
        """Every trial, also those that failed: a row each, `reward` and `within_limits` as asked. Columns are in
        `results.COLUMNS["trials"]`; what is missing is `pandas.NA`."""
        from results.frames import trials_frame

        return trials_frame(self.trials, self.question.changed(**asked))

    def stages_frame(self) -> "DataFrame":
        """The stages of every trial's network: a row for each; columns are in `results.COLUMNS["stages"]`."""
        from results.frames import stages_frame

        return stages_frame(self.trials)

    def networks_frame(self, *, device: str | None = None, **asked: Unpack[Asked]) -> "DataFrame":
        """`networks`, a row each, with `on_front` and `best` among those of their device; of all devices where none is
        given. Columns are in `results.COLUMNS["networks"]`."""
        from results.frames import networks_frame

        devices = self.devices if device is None else [device]
        return networks_frame(self.networks(device=each, **asked) for each in devices)

    def to_parquet(self, folder: Path | str, **asked: Unpack[Asked]) -> list[Path]:
        """Write the three frames to `folder`, made where it is not there, as trials.parquet, stages.parquet and
        networks.parquet; each column says its unit and meaning in its field's metadata.

        Raises:
            RunWriteError: where it cannot be written; a file that was there is then as it was.
        """
        from results.export import to_parquet

        return to_parquet(self, Path(folder), asked)

    def to_csv(self, folder: Path | str, **asked: Unpack[Asked]) -> list[Path]:
        """As `to_parquet`, but CSV: what is missing is an empty cell, and no text can be a formula."""
        from results.export import to_csv

        return to_csv(self, Path(folder), asked)

    def compare(self, other: "Run", *, device: str | None = None, **asked: Unpack[Asked]) -> "Comparison":
        """This run and `other` side by side, both asked this run's question, or as `asked`; see
        `results.Comparison`.

        Raises:
            ValueError: where the two do not compare: other data, image size, batch size, dtype, reference network or
                kind of accuracy, or no device that both have.
        """
        from results.compare import compare

        return compare(self, other, device=device, **asked)

    def __repr__(self) -> str:
        return plain(f"<Run {self.folder}: {len(self.trials)} trials, {self.state}>")

    def _repr_html_(self) -> str:
        from results.html import run_html

        return run_html(self)


def load(folder: Path | str) -> Run:
    """The run in `folder`, also one that is still going on (as it stands now), or of an older version; or the one that
    is mirrored to a URL, `s3://BUCKET/NAME`, fetched into this user's cache.

    Raises:
        RunError: for a place that holds no run, or a damaged one.
    """
    if isinstance(folder, str) and is_url(folder):
        return Run(fetch_to_cache(folder))
    try:
        return Run(Path(folder).expanduser())
    except RuntimeError as error:
        raise RunError(f"{folder}: {error}") from None
