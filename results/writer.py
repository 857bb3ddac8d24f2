"""Writing a run. The driver of a search is the only writer, and holds the folder's lock for as long as it is one."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock

from results.asks import Ask, in_order
from results.clock import note_elapsed, noted_elapsed_s
from results.durable import AppendFile, RunError, make_folder, sync_folder, write_atomically
from results.folder import ASKS, CONFIG, FRONT, SCHEMA_VERSION, TRIALS, WITHOUT_ASKS, read_config
from results.limits import Limits
from results.lock import lock_folder, unlock_folder
from results.networks import networks_by_device
from results.pareto import pareto_front
from results.record import TrialResult
from results.reward import Objective
from results.state import LOCK, OWNER, SUMMARY
from results.store import Run
from results.tables import front_csv, summarize

__all__ = ["RunWriter", "check_run_name"]

OWN_FIELDS = ("schema_version", "objective", "limits", WITHOUT_ASKS)
FOLDER_MODE = 0o755


def check_run_name(name: str) -> str:
    """`name`, where it may name a run's folder.

    Raises:
        ValueError: for anything else than 1 to 64 letters, digits, dots, lines and underscores, or a first sign that
            is no letter, digit or underscore (such a name would be hidden, an option, or "..").
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", name):
        rule = "1 to 64 of A-Z a-z 0-9 . _ -, and must not begin with . or -"
        raise ValueError(f"a run's name must be {rule}, got {name!r}")
    return name


def _json_text(document: Mapping[str, Any], path: Path) -> str:
    try:
        return json.dumps(document, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} can hold only finite numbers, text, lists and mappings: {error}") from None


class RunWriter:
    """The one writer of a run's folder; a context manager. Made by `RunWriter.create` or `RunWriter.resume`.

    Attributes:
        folder: the run's folder.
        config: config.json as it stands.
        trials: every trial so far, in the order they were written.
        asks: every candidate that was asked for, in that order.
        notes: what had to be mended at `resume`, one line each.
        sizes: bytes of asks.jsonl and trials.jsonl, of one moment: replaced whole, for other threads.
    """

    folder: Path
    config: dict[str, Any]
    trials: list[TrialResult]
    asks: list[Ask]
    notes: tuple[str, ...]
    sizes: Mapping[str, int]

    def __init__(self, folder: Path, *, objective: Objective, limits: Limits, lock: FileLock) -> None:
        self.folder = folder
        self.objective = objective
        self.limits = limits
        self.notes = ()
        self.trials = []
        self.asks = []
        self._asked: set[int] = set()
        self._trained: set[int] = set()
        self._ok: dict[tuple[str, int], int] = {}
        self._last_index = -1
        self._lock = lock
        self._files: dict[str, AppendFile] = {}
        self.sizes = {}

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        config: Mapping[str, Any],
        objective: Objective,
        limits: Limits | None = None,
    ) -> Self:
        """Begin a run in a new or empty folder. `config` is plain data and becomes config.json, with the objective,
        the limits and the schema version added.

        Raises:
            RunError: where the folder holds a run or anything else, or another process is writing it.
            RunWriteError: where it cannot be written.
            ValueError: for a folder's name or a config that cannot be stored.
        """
        folder = Path(folder)
        check_run_name(folder.name)
        limits = limits or Limits()
        if taken := [name for name in OWN_FIELDS if name in config]:
            raise ValueError(f"config must leave {', '.join(taken)} to the writer")
        own = {"schema_version": SCHEMA_VERSION, "objective": asdict(objective), "limits": asdict(limits)}
        full = {**own, **config}
        text = _json_text(full, folder / CONFIG)
        make_folder(folder, FOLDER_MODE)
        writer = cls(folder, objective=objective, limits=limits, lock=lock_folder(folder))
        try:
            _refuse_used(folder)
            writer._files = {name: AppendFile(folder / name, keep=0) for name in (ASKS, TRIALS)}
            writer._measure()
            writer.config = full
            write_atomically(folder / CONFIG, text)
            sync_folder(folder.absolute().parent)
        except BaseException:
            writer.close()
            raise
        return writer

    @classmethod
    def resume(cls, folder: Path | str) -> Self:
        """Go on with a run: a torn last line is cut away, and told in `notes`. The config of a run of an
        older schema version says today's from now on, as the lines that are added are of it, and how many trials
        were there without asks.

        Raises:
            RunError: where there is no run, it is damaged, or another process is writing it.
        """
        folder = Path(folder)
        read_config(folder)
        lock = lock_folder(folder)
        try:
            run = Run(folder)
            writer = cls(folder, objective=run.objective, limits=run.limits, lock=lock)
        except BaseException:
            unlock_folder(folder, lock)
            raise
        try:
            writer.config, writer.notes = run.config, run.notes
            if run.config["schema_version"] != SCHEMA_VERSION:
                own = {"schema_version": SCHEMA_VERSION, WITHOUT_ASKS: run.num_without_asks}
                writer._write_config({**run.config, **own})
            for trial in run.trials_file.records:
                writer._add_trial(trial)
            for ask in run.asks_file.records:
                writer._add_ask(ask)
            for name, found in ((TRIALS, run.trials_file), (ASKS, run.asks_file)):
                writer._files[name] = AppendFile(folder / name, keep=found.num_bytes)
                if found.lacks_newline:
                    writer._files[name].append("\n")
            writer._measure()
            sync_folder(folder)
        except BaseException:
            writer.close()
            raise
        return writer

    @property
    def next_index(self) -> int:
        """The number that no trial has yet, nor was asked for, and all later ones are above."""
        return self._last_index + 1

    @property
    def elapsed_s(self) -> float:
        """How far the budget's clock has gone: to its last note, or the end of the last trial."""
        return max(noted_elapsed_s(self.folder), *(trial.ended_s for trial in self.trials), 0.0)

    def note_elapsed(self, elapsed_s: float) -> None:
        """Note how far the budget's clock has gone; never fails, and does not wait for the disk."""
        note_elapsed(self.folder, elapsed_s)

    def _add_trial(self, trial: TrialResult) -> None:
        self.trials.append(trial)
        self._trained.add(trial.index)
        self._last_index = max(self._last_index, trial.index)
        if trial.ok:
            self._ok.setdefault((trial.key, trial.repeat), trial.index)

    def _add_ask(self, ask: Ask) -> None:
        self.asks.append(ask)
        self._asked.add(ask.index)
        self._last_index = max(self._last_index, ask.index)

    @property
    def history(self) -> Iterator[Ask | TrialResult]:
        """What was asked for and what came of it, in the order in which it happened."""
        return in_order(self.asks, self.trials)

    def ask(self, index: int, decisions: tuple[int, ...]) -> None:
        """Record that the sampler proposed `decisions` as trial `index`, knowing the trials so far; it is on the disk
        when this returns.

        Raises:
            RunError: for an index that is taken.
            RunWriteError: where the disk does not take it.
        """
        if index in self._asked or index in self._trained:
            raise RunError(f"{self.folder}: trial {index} was asked for already")
        ask = Ask(index=index, decisions=decisions, after=len(self.trials))
        self._append(ASKS, ask.to_json())
        self._add_ask(ask)

    def _append(self, name: str, line: str) -> None:
        if name not in self._files:
            raise RunError(f"{self.folder}: the writer is closed")
        self._files[name].append(line + "\n")
        self._measure()

    def _measure(self) -> None:
        self.sizes = {name: file.size for name, file in self._files.items()}

    def append(self, trial: TrialResult) -> None:
        """Record a trial; it is on the disk when this returns.

        Raises:
            RunError: for an index that is taken, or a second `ok` of one network with the same `repeat`.
            RunWriteError: where the disk does not take it; the trial is then not recorded.
        """
        if trial.index in self._trained:
            raise RunError(f"{self.folder}: index {trial.index} is taken")
        known = self._ok.get((trial.key, trial.repeat)) if trial.ok else None
        if known is not None:
            raise RunError(
                f"{self.folder}: trial {trial.index} measures the network of trial {known} once more, and must then "
                f"differ from it in repeat, got {trial.repeat} for both"
            )
        self._append(TRIALS, trial.to_json())
        self._add_trial(trial)

    def update_config(self, **changes: Any) -> None:
        """Replace fields of config.json (a larger budget of a resumed run, say)."""
        if taken := [name for name in OWN_FIELDS if name in changes]:
            raise ValueError(f"config must leave {', '.join(taken)} to the writer")
        self._write_config({**self.config, **changes})

    def _write_config(self, config: dict[str, Any]) -> None:
        write_atomically(self.folder / CONFIG, _json_text(config, self.folder / CONFIG))
        self.config = config

    def write_summary(self, **more: Any) -> dict[str, Any]:
        """Write pareto.csv (the front of each device, one after the other) and summary.json as the trials stand now,
        `more` added to the summary; returns the summary."""
        path = self.folder / SUMMARY
        summary = {**summarize(self.trials, self.objective, self.limits), **more}
        text = _json_text(summary, path)
        found = networks_by_device(self.trials, self.objective, self.limits)
        fronts = [network for of_device in found.values() for network in pareto_front(of_device)]
        write_atomically(self.folder / FRONT, front_csv(fronts))
        write_atomically(path, text)
        return dict(json.loads(text))

    def close(self) -> None:
        """Let go of the folder; all that was appended is on the disk already."""
        for file in self._files.values():
            file.close()
        self._files = {}
        unlock_folder(self.folder, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse_used(folder: Path) -> None:
    """An interrupted `create` may have left empty files of lines; all else is somebody's."""
    if (folder / CONFIG).exists():
        raise RunError(f"{folder}: already holds a run: resume it, or choose another name")
    for name in (TRIALS, ASKS):
        if (folder / name).exists() and (folder / name).stat().st_size:
            raise RunError(f"{folder}: holds {name} without a config.json: choose another name")
    ours = {LOCK, OWNER, TRIALS, ASKS, f".{CONFIG}.tmp", f".{OWNER}.tmp"}
    if others := sorted({path.name for path in folder.iterdir()} - ours):
        raise RunError(f"{folder}: must be a new or an empty folder, but holds {others[0]!r}")
