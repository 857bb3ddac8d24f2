"""Where a report is written, and what is never overwritten by one."""

from pathlib import Path

from results.durable import RunError, write_atomically
from results.report.render import GENERATOR, report_html
from results.store import Run

__all__ = ["default_path", "write_report"]

HEAD_BYTES = 1024


def default_path(run: Run) -> Path:
    """In the run's own folder."""
    return run.folder / "report.html"


def write_report(run: Run, path: Path, shown_as: str) -> int:
    """Write the report of `run` to `path` and tell its size in bytes. A reader of `path` sees the old file or the new.

    Args:
        shown_as: what is typed for the run in the commands that the report names.

    Raises:
        RunError: where something else than a report is at `path` (but for `default_path`), or its folder is not there.
        RunWriteError: where it cannot be written.
    """
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: must be in a folder that exists")
    if path.is_dir():
        raise RunError(f"{path}: must be a file, but is a folder")
    if path != default_path(run) and (path.exists() or path.is_symlink()) and not _is_report(path):
        raise RunError(f"{path}: is there and no report of ours: choose another name, or remove it")
    text = report_html(run, shown_as)
    write_atomically(path, text)
    return len(text.encode())


def _is_report(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(HEAD_BYTES)
    except OSError:
        return False
