"""A run and a comparison as HTML, as a notebook shows them. All that comes from a record is escaped in `_text`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from results.columns import COLUMNS
from results.compare import Comparison
from results.durable import RunError
from results.pareto import hypervolume, pareto_front
from results.tables import alone_text, best_text, front_columns, plain

if TYPE_CHECKING:
    from results.store import Run

__all__ = ["comparison_html", "run_html"]

MAX_ROWS = 50
PARTS = ("search", "space", "data")
COLUMN = {column.name: column for column in COLUMNS["networks"]}
OF_HEADER = {"step time": "step_time_ratio", "MACs": "macs", "confirmed": "num_trainings", "P(best)": "p_best"}
"""The column that a header of `front_columns` stands for, where it is called otherwise; `network` is `arch`."""


def run_html(run: "Run") -> str:
    """State, what was asked, how trials ended, and for each device the best network and the front."""
    try:
        return "".join(["<div>", *_run_parts(run), "</div>"])
    except RunError as error:
        return f"<p>{_text(error)}</p>"


def comparison_html(comparison: Comparison) -> str:
    """The two runs as a table, and below it what they have in common."""
    headers = ("", f"a: {comparison.a.name}", f"b: {comparison.b.name}")
    asked = f"on {comparison.device}, asked: {comparison.question}"
    told = "".join(f"<li>{_text(line)}</li>" for line in comparison.told())
    return f"<div><p>{_text(asked)}</p>{_table(headers, comparison.rows())}<ul>{told}</ul></div>"


def _run_parts(run: "Run") -> Iterator[str]:
    yield f"<p><b>{_text(run.folder.absolute().name)}</b>: {_text(run.state)}</p>"
    yield _table(("asked", ""), [*_asked(run)])
    counts = Counter(str(trial.status) for trial in run.trials)
    told = ", ".join(f"{count} {status}" for status, count in counts.most_common()) or "none yet"
    yield f"<p>{len(run.trials)} trials: {_text(told)}</p>"
    for device in run.devices:
        networks = run.networks(device=device)
        front = pareto_front(networks)
        share = hypervolume(networks, run.objective.reference_params)
        yield f"<p>on {_text(device)}: {len(front)} of {len(networks)} networks on the front, hypervolume {share:.4f}"
        yield from (f"<br>{_text(line)}" for line in best_text(networks).splitlines())
        yield "</p>"
        columns = front_columns(front[:MAX_ROWS])
        yield _table(tuple(columns), zip(*columns.values(), strict=True))
        if len(front) > MAX_ROWS:
            yield f"<p>and {len(front) - MAX_ROWS} more</p>"
        if alone := alone_text(networks):
            lines = "\n".join(map(_text, alone.splitlines()))
            yield f"<p>trained alone, best first:</p><pre>{lines}</pre>"
    yield from (f"<p>{_text(note)}</p>" for note in run.notes)


def _asked(run: "Run") -> Iterator[tuple[str, str]]:
    config: dict[str, Any] = run.config
    search, space, data = ({} if not isinstance(config.get(part), dict) else config[part] for part in PARTS)
    known = {
        "space": space.get("name"),
        "data": data.get("summary"),
        "image size": config.get("image_size"),
        "batch size": config.get("batch_size"),
        "steps of a trial": config.get("train_steps"),
        "budget": search.get("budget"),
        "sampler": search.get("sampler"),
        "seed": search.get("seed", config.get("seed")),
    }
    yield from ((name, str(value)) for name, value in known.items() if value is not None)
    yield "question", str(run.question)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th{_title(header)}>{_text(header)}</th>" for header in headers)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _title(header: str) -> str:
    """What a column means, shown where the pointer rests on its header."""
    column = COLUMN.get("arch" if header == "network" else OF_HEADER.get(header, header))
    return "" if column is None else f' title="{_text(column.meaning)}"'


def _text(value: object) -> str:
    return escape(plain(value))
