"""RUN on a command line: a run's folder, its name below runs/, or a mirror's URL; and the folders of new ones."""

import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from results import Run, RunError, check_run_name
from results.fetched import fetch, fetch_to_cache, name_of
from results.objects import is_url
from search_space.files import nearest

__all__ = ["RUNS", "dated_folder", "fetched", "find_run", "open_run", "plain_name", "typed_folder"]

RUNS = Path("runs")
MAX_LISTED = 10


def find_run(text: str) -> Path:
    """The folder that `text` means: a path that holds a run, else a name below runs/; of a mirror's URL one in the
    cache, which now holds what is there.

    Raises:
        RunError: where neither is there; the message lists the newest runs that are.
    """
    if is_url(text):
        return fetch_to_cache(text)
    try:
        candidates = [Path(text), RUNS / text] if text else []
        for folder in candidates:
            if (folder / "config.json").is_file():
                return folder
        folders = [folder for folder in RUNS.glob("*") if (folder / "config.json").is_file()]
    except (OSError, ValueError) as error:
        raise RunError(f"no run {text!r}: {error}") from None
    newest = sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)[:MAX_LISTED]
    near = nearest(text, [folder.name for folder in folders])
    hint = f"did you mean {near!r}? " if near else ""
    known = f"runs/ holds {', '.join(folder.name for folder in newest)}" if newest else "runs/ holds none"
    raise RunError(f"no run {text!r}: neither a folder with a config.json nor a name below runs/ ({hint}{known})")


def open_run(text: str) -> Run:
    """The run that `text` means, read."""
    return Run(find_run(text))


class _Resumes(Protocol):
    """Options of a command that begins a run or goes on with one."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def out(self) -> str | None: ...
    @property
    def resume(self) -> str | None: ...
    @property
    def mirror(self) -> str | None: ...


Options = TypeVar("Options", bound=_Resumes)


def fetched(options: Options) -> Options:
    """The same where --resume names a folder; of a mirror's URL the run is fetched into a new one, --out or below runs/
    the URL's last part, and mirrored there.

    Raises:
        RunError: where it cannot be fetched, or the folder is there.
    """
    if options.resume is None or not is_url(options.resume):
        return options
    folder = typed_folder(options.out or name_of(options.resume))
    fetch(options.resume, folder)
    return replace(options, resume=str(folder), out=None, mirror=options.mirror or options.resume)


def typed_folder(out: str) -> Path:
    """What --out means: a name below runs/, or a path.

    Raises:
        ValueError: for a last part that is no run's name, or a folder that cannot be made there.
    """
    path = Path(out)
    check_run_name(path.name)
    folder = path if len(path.parts) > 1 or path.is_absolute() else RUNS / path
    whole = folder.absolute()
    place = next(each for each in (whole, *whole.parents) if each.exists())
    if not place.is_dir():
        raise ValueError(f"out must be a folder, or one that can be made, but {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"out must be a folder, or one that can be made, but {place} may not be written to")
    return folder


def dated_folder(name: str) -> Path:
    """A folder below runs/ that is not there yet, called after `name` and the time."""
    stamped = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (stamped, *(f"{stamped}-{number}" for number in range(2, 1000)))
    return next(folder for folder in (RUNS / name for name in names) if not folder.exists())


def plain_name(text: str) -> str:
    """`text` as a part of a run's name; empty where nothing of it can be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:40]
