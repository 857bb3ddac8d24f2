"""How far a run's budget clock has gone, noted beside the record every few seconds: what ran when a driver was killed
has been spent, though no trial says so."""

import contextlib
import json
from pathlib import Path

from results.durable import RunWriteError, read_bounded, write_atomically
from search_space.files import load_json

__all__ = ["note_elapsed", "noted_elapsed_s"]

CLOCK = "clock.json"
_MOST_S = 1e9


def note_elapsed(folder: Path, elapsed_s: float) -> None:
    """Where the disk does not take it the note before stays; after a loss of power the file may be empty."""
    with contextlib.suppress(RunWriteError):
        write_atomically(folder / CLOCK, json.dumps({"elapsed_s": elapsed_s}) + "\n", durable=False)


def noted_elapsed_s(folder: Path) -> float:
    """0 where nothing readable was noted, as in runs of older versions, or more than a budget may be."""
    try:
        noted = float(load_json(read_bounded(folder / CLOCK, 4096))["elapsed_s"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return 0.0
    return noted if 0 <= noted < _MOST_S else 0.0
