"""A run that is mirrored while it is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from results import Objective, RunWriter, TrialResult
from results.mirror import Mirror


@contextmanager
def writing(folder: Path, url: str, notes: list[str]) -> Iterator[RunWriter]:
    """A run begun, or gone on with, and mirrored, as a search does it."""
    mirror = Mirror(folder, url, note=notes.append)
    if folder.exists():
        writer = RunWriter.resume(folder)
    else:
        writer = RunWriter.create(folder, config={"space": "toy"}, objective=Objective(reference_params=2000))
    with writer, mirror.of_lines(lambda: writer.sizes):
        yield writer


def add(writer: RunWriter, trial: TrialResult) -> None:
    writer.ask(trial.index, trial.decisions)
    writer.append(trial)
