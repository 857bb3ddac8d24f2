"""`nas pareto RUN`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from nas.cli.console import print_json, print_note
from nas.cli.fronts import fronts_document, fronts_text
from nas.cli.runs import open_run
from nas.text import printable
from results import Asked, Network, Question, Run, front_csv, pareto_front

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The Pareto front of a run: the networks that no other beats in accuracy, step time and parameters at once.

    Step times of different devices do not compare: a run of several has a front for each.

    Example: nas pareto my-run --format csv > front.csv

    Another question than the search's is answered from its trials, and nothing is trained:

    nas pareto my-run --w -0.2 --max-params 500000
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, its name below runs/, or the URL of a mirror."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """Show the trials of one device only."""
    w: Annotated[float | None, arg(metavar="X")] = None
    """Exponent of step time in the reward. Where not given, the run's."""
    v: Annotated[float | None, arg(metavar="X")] = None
    """Exponent of params in the reward. Where not given, the run's."""
    max_params: Annotated[int | None, arg(metavar="N")] = None
    """Show no larger network. Where not given, the run's limit."""
    min_params: Annotated[int | None, arg(metavar="N")] = None
    """Show no smaller network. Where not given, the run's limit."""
    max_step_time: Annotated[float | None, arg(metavar="X")] = None
    """Show no slower network, as a ratio to the reference network. Where not given, the run's limit."""
    min_accuracy: Annotated[float | None, arg(metavar="X")] = None
    """Show no less accurate network, as a share. Where not given, the run's limit."""
    no_limits: bool = False
    """Drop the run's own limits; those that are given beside it hold."""
    format: Literal["table", "csv", "json", "parquet"] = "table"
    """How to print it; parquet, which is not text, is written to --out. Units and meanings of its columns are in it."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """The file that --format parquet writes; one that is there is replaced."""
    json: bool = False
    """One JSON document on stdout; the same as --format json."""


def _document(
    run: Run, found: Mapping[str, Sequence[Network]], question: Question, notes: Sequence[str]
) -> dict[str, object]:
    return {
        "run": run.folder.absolute().name,
        "question": question.told(run.question),
        "objective": asdict(question.objective),
        "limits": asdict(question.limits),
        "num_trials": len(run.trials),
        "num_by_status": dict(Counter(str(trial.status) for trial in run.trials)),
        "by_device": fronts_document(run, found, question.objective),
        "notes": list(notes),
    }


def _asked(config: Config) -> Asked:
    return Asked(
        w=config.w,
        v=config.v,
        max_params=config.max_params,
        min_params=config.min_params,
        max_step_time=config.max_step_time,
        min_accuracy=config.min_accuracy,
        no_limits=config.no_limits,
    )


def _changed(question: Question, asked: Asked) -> Question:
    """As `Question.changed`, an error told of the flags that were typed."""
    try:
        return question.changed(**asked)
    except ValueError as error:
        told = re.sub(r"(?:Limits|Objective)\.(\w+)|(no_limits)", lambda found: _flag(found[1] or found[2]), str(error))
        raise ValueError(told) from None


def _check_format(config: Config) -> None:
    if config.json and config.format in ("csv", "parquet"):
        raise ValueError(f"--json and --format {config.format} exclude each other")
    if config.format != "parquet":
        if config.out is not None:
            raise ValueError(f"--out goes with --format parquet, got --format {config.format}, which is printed")
    elif config.out is None:
        raise ValueError("--format parquet needs --out FILE, as parquet is not text that could be printed")
    elif config.out.is_dir() or not config.out.absolute().parent.is_dir():
        raise ValueError(f"--out must be a file in a folder that exists, got {str(config.out)!r}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def run(config: Config) -> int:
    """Print the front.

    Raises:
        ValueError: for no such run or device, a damaged run, an exponent or a limit that breaks a rule, two formats at
            once, or parquet without a file.
    """
    _check_format(config)
    opened = open_run(config.run)
    asked = _asked(config)
    question = _changed(opened.question, asked)
    never_trained = question.never_trained(opened.limits)
    notes = [*opened.notes, *([never_trained] if never_trained else [])]
    for note in notes:
        print_note(f"note: {note}")
    devices = opened.devices if config.device is None else [config.device]
    found = {device: opened.networks(device=device, **asked) for device in devices}
    told = question.told(opened.question)
    if config.json or config.format == "json":
        print_json(_document(opened, found, question, notes))
    elif config.format == "csv":
        if told is not None:
            print_note(told)
        print(front_csv([network for networks in found.values() for network in pareto_front(networks)]), end="")
    elif config.out is not None:
        if told is not None:
            print_note(told)
        from results.export import front_to_parquet

        front_to_parquet(found.values(), config.out)
        num_networks = sum(len(pareto_front(networks)) for networks in found.values())
        print(f"{printable(config.out)}: {num_networks} on the front")
    else:
        if told is not None:
            print(told)
        print(f"{printable(opened.folder.absolute().name)}: {fronts_text(opened, found, shown_as=config.run)}")
    return 0
