"""skipped.jsonl: the images that a training could not read, a line each."""

import json
from pathlib import Path

from nas.data import Fault, Split
from nas.text import printable
from nas.train.report import Progress
from results.durable import AppendFile, read_bounded
from search_space.files import load_json

__all__ = ["SkipFile"]

NOTED = 10
MAX_BYTES = 1 << 30


class SkipFile:
    """Names each image once, over all sessions of a training; the file is made with its first line."""

    def __init__(self, path: Path, progress: Progress) -> None:
        """Raises: RunError: where the file cannot be read."""
        self._path, self._progress = path, progress
        self._kept = 0
        self.known: list[tuple[Split, Fault]] = []
        if path.exists():
            for line in read_bounded(path, MAX_BYTES).splitlines(keepends=True):
                try:
                    record = load_json(line)
                    self.known.append((record["split"], Fault(record["name"], record["reason"])))
                except (ValueError, KeyError, TypeError):
                    break
                self._kept += len(line)

    def __call__(self, split: Split, faults: list[Fault]) -> None:
        """Write down images of a split that are met for the first time.

        Raises:
            RunWriteError: where the disk does not take it.
        """
        lines = [json.dumps({"split": split, "name": fault.name, "reason": fault.reason}) + "\n" for fault in faults]
        with AppendFile(self._path, keep=self._kept) as file:
            file.append("".join(lines))
        self._kept += sum(map(len, lines))
        for fault in faults:
            self.known.append((split, fault))
            if len(self.known) <= NOTED:
                self._progress.note(f"skipped {split} image {printable(fault.name)}: {fault.reason}")
            elif len(self.known) == NOTED + 1:
                self._progress.note(f"more images are skipped: {self._path} names them all")
