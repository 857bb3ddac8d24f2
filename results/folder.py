"""The files of a run's folder, each read and checked: config.json, trials.jsonl, asks.jsonl.

Reading parses JSON and nothing else, within bounds: opening a run that somebody else made executes nothing, and no
file in it is unpickled.
"""

from pathlib import Path
from typing import Any

from results.asks import Ask
from results.durable import RunError, read_bounded
from results.lines import LinesFile, read_lines
from results.record import TrialResult
from search_space.files import load_json

__all__ = [
    "ASKS",
    "CONFIG",
    "FRONT",
    "SCHEMA_VERSION",
    "TRIALS",
    "WITHOUT_ASKS",
    "read_asks",
    "read_config",
    "read_trials",
]

SCHEMA_VERSION = 5
"""Of what a run's folder holds. It grows with every change of a field, so that an older reader says "update" and not
"unknown field"; every earlier version stays readable."""

CONFIG, TRIALS, ASKS, FRONT = "config.json", "trials.jsonl", "asks.jsonl", "pareto.csv"
WITHOUT_ASKS = "num_without_asks"
MAX_CONFIG_BYTES = 4 << 20


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run, its schema version checked.

    Raises:
        RunError: for a folder that holds no run, a damaged file, or a run of a newer version of this project.
    """
    path = folder / CONFIG
    try:
        if not path.exists():
            here = "is no folder" if folder.exists() else "no such folder"
            raise RunError(f"{folder}: {'holds no run (no config.json)' if folder.is_dir() else here}")
        config = load_json(read_bounded(path, MAX_CONFIG_BYTES))
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}") from None
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
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
