"""`nas search`: run a search, or go on with one."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Fixed, Suppress, arg

from nas.cli.console import Failed, print_error, print_json, print_note
from nas.cli.fronts import fronts_document, fronts_text
from nas.cli.runs import dated_folder, fetched, find_run, plain_name, typed_folder
from nas.search import EngineError, Progress, SearchConfig, SearchEnd, resume_search, start_search
from nas.text import printable
from nas.train import read_job
from results import Run, RunWriteError
from results.objects import is_url
from search_space import SPACES

__all__ = ["Config", "run"]

INTERRUPTED, FAILED = 130, 1
_MOVED = ("supernet", "warm_start")
_MAY_CHANGE = (
    "budget",
    "workers",
    "address",
    "deadline",
    "data",
    "data_root",
    "confirm_share",
    "confirm",
    "repeat",
    *_MOVED,
)
_OF_THE_SUPERNET = (
    "space",
    "download",
    "holdout",
    "max_images",
    "image_size",
)
_OF_THE_COMMAND = ("out", "resume", "json", "mirror")


@dataclass(frozen=True, kw_only=True)
class Config(SearchConfig):
    """Search a space for networks that are accurate, small and fast to train.

    Example: nas search --data DIR --budget 30m

    Ctrl-C lets the running trials finish and ends; a second one ends at once. nas search --resume RUN goes on.
    """

    out: str | None = None
    """The run's name below runs/, or a folder; named after the space and the time where not given."""
    resume: str | None = None
    """A run to go on with; --budget, --workers, --address, --deadline, --data, --data-root, --confirm-share,
    --confirm and --repeat may change, and, where the supernet lies elsewhere by now, --supernet or --warm-start. From
    the URL of a mirror the run is fetched to --out, or below runs/, and mirrored there again."""
    mirror: Annotated[str | None, arg(metavar="URL")] = None
    """Keep the run at this URL too while it goes on (s3://BUCKET/NAME, gs://, file:///FOLDER), so that it can go on on
    another machine."""
    json: bool = False
    """One JSON document on stdout."""
    given: Suppress[Fixed[tuple[str, ...]]] = ()
    """Names of the options that were typed."""

    def __post_init__(self) -> None:
        # What is typed beside --resume is checked with what the run has on record, not with what is the default.
        if self.resume is None:
            super().__post_init__()


def _new_folder(config: Config) -> Path:
    if config.out is not None:
        return typed_folder(config.out)
    space = config.space if config.space in SPACES else Path(config.space).stem
    return dated_folder(plain_name(space) or "search")


def _search_config(config: Config) -> SearchConfig:
    asked = SearchConfig(**{field.name: getattr(config, field.name) for field in fields(SearchConfig)})
    if asked.supernet is None and "confirm" in config.given:
        raise ValueError("--confirm has no effect without --evaluator supernet: give --confirm-share")
    return asked if asked.inherits_from is None else _of_supernet(asked, asked.inherits_from, config.given)


def _of_supernet(asked: SearchConfig, supernet: str, given: tuple[str, ...]) -> SearchConfig:
    """Space, images and size are the supernet's; the data may lie elsewhere by now."""
    judges = asked.supernet is not None
    for name in given:
        if name in _OF_THE_SUPERNET or (judges and name == "confirm_share"):
            option = "--evaluator supernet" if judges else "--warm-start"
            raise ValueError(f"--{name.replace('_', '-')} has no effect with {option}")
    folder = find_run(supernet)
    job = read_job(folder)
    moved = {"data", "data_root"} & set(given)
    return replace(
        asked,
        supernet=str(folder) if judges else None,
        warm_start=None if judges else str(folder),
        space=job.arch.key if job.space is None else job.space.name,
        data=asked.data if moved else job.data.data,
        data_root=asked.data_root if moved else job.data.root,
        holdout=job.data.holdout,
        image_size=job.recipe.eval_size,
    )


def _changes(config: Config) -> dict[str, Any]:
    """The options that were given beside --resume."""
    if config.out is not None and not is_url(config.resume or ""):
        raise ValueError("--out cannot be given with --resume: the run stays where it is")
    changed = [name for name in config.given if name not in _OF_THE_COMMAND]
    for name in changed:
        if name not in _MAY_CHANGE:
            allowed = ", ".join(f"--{allowed.replace('_', '-')}" for allowed in _MAY_CHANGE)
            raise ValueError(
                f"--{name.replace('_', '-')} cannot change with --resume: it is the run's own (only {allowed} can)"
            )
    changes = {name: getattr(config, name) for name in changed}
    return changes | {name: str(find_run(changes[name])) for name in _MOVED if name in changes}


def run(config: Config) -> int:
    """Search, print the front, say what to type next."""
    changes = {} if config.resume is None else _changes(config)
    config = fetched(config)
    folder = _new_folder(config) if config.resume is None else find_run(config.resume)
    try:
        with Progress(on_lost=_last_words(config, folder)) as progress:
            if config.resume is not None:
                end = resume_search(folder, progress, changes=changes, mirror=config.mirror)
            else:
                end = start_search(_search_config(config), folder, progress, mirror=config.mirror)
    except EngineError as error:
        raise Failed(f"{error}\n{_how_to_go_on(folder)}") from error
    except RunWriteError as error:
        if not (folder / "config.json").exists():
            raise
        raise Failed(f"{error}\n{_how_to_go_on(folder)}") from error
    except KeyboardInterrupt:
        if (folder / "config.json").exists():
            print_note(_how_to_go_on(folder))
        raise
    return _report(config, end)


def _last_words(config: Config, folder: Path) -> Callable[[str], None]:
    """What `run` would have said of a Ray that was lost. The stdout is today's: while Ray works there is another."""
    stdout = sys.stdout

    def tell(reason: str) -> None:
        message = f"{reason}\n{_how_to_go_on(folder)}"
        print_error(message)
        if config.json:
            with redirect_stdout(stdout):
                print_json({"error": message, "exit_code": FAILED})
            stdout.flush()

    return tell


def _how_to_go_on(folder: Path) -> str:
    if not (folder / "config.json").exists():
        return "nothing was begun: give the same command again"
    return f"what was finished is kept; to go on: nas search --resume {folder}"


def _report(config: Config, end: SearchEnd) -> int:
    run = Run(end.folder)
    for note in end.notes:
        print_note(f"note: {note}")
    found = {device: run.networks(device=device) for device in run.devices}
    if config.json:
        print_json(
            {
                "run": str(end.folder),
                "stop_reason": end.stop_reason,
                "num_trials": len(run.trials),
                "by_device": fronts_document(run, found, run.objective),
                "notes": list(end.notes),
            }
        )
    else:
        shown = printable(str(end.folder))
        print(f"\n{shown}: {end.stop_reason}; {fronts_text(run, found, shown_as=str(end.folder))}")
        print(f"\n  nas pareto {shown} --format csv\n  nas dashboard {shown}")
        print(f"  nas search --resume {shown} --budget LARGER")
    if end.interrupted:
        return INTERRUPTED
    return 0 if any(found.values()) else FAILED
