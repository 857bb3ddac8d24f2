"""RUN on a command line: a run's folder, or its name below runs/."""

from pathlib import Path

from results import Run, RunError

__all__ = ["RUNS", "find_run", "open_run"]

RUNS = Path("runs")
MAX_LISTED = 10


def find_run(text: str) -> Path:
    """The folder that `text` means: a path that holds a run, else a name below runs/.

    Raises:
        RunError: where neither is there; the message lists the newest runs that are.
    """
    try:
        candidates = [Path(text), RUNS / text] if text else []
        for folder in candidates:
            if (folder / "config.json").is_file():
                return folder
        folders = [folder for folder in RUNS.glob("*") if (folder / "config.json").is_file()]
    except (OSError, ValueError) as error:
        raise RunError(f"no run {text!r}: {error}") from None
    newest = sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)[:MAX_LISTED]
    known = f"runs/ holds {', '.join(folder.name for folder in newest)}" if newest else "runs/ holds none"
    raise RunError(f"no run {text!r}: neither a folder with a config.json nor a name below runs/ ({known})")


def open_run(text: str) -> Run:
    """The run that `text` means, read."""
    return Run(find_run(text))
