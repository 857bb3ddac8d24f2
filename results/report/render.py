"""The document: a template in which all that comes from a run is escaped, its style and its script inside it.

The page may load nothing: its policy names the style and the script that it came with by their hashes, and nothing
else. Numbers reach the script as JSON, which it only ever puts into text.
"""

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from results.report import texts
from results.report.data import report_data
from results.store import Run
from results.tables import plain

__all__ = ["GENERATOR", "report_html"]

GENERATOR = "trainaware-nas report"
"""What the page says made it, in its first bytes."""
PAGE = Path(__file__).parent / "page"
SCRIPTS = ("format.js", "keys.js", "chart.js", "table.js", "network.js", "device.js", "page.js")


def report_html(run: Run, shown_as: str, *, now: datetime | None = None) -> str:
    """The document of a run as it is on record now, `shown_as` being what is typed for it."""
    now = now or datetime.now(UTC)
    style, script = (PAGE / "page.css").read_text("utf-8"), _script()
    found = texts.answers(run)
    num_networks, decisions = texts.choices(run)
    return (
        _environment()
        .get_template("page.html")
        .render(
            generator=GENERATOR,
            newline=Markup("\n"),
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=report_data(run, shown_as),
            name=run.folder.absolute().name,
            shown_as=shown_as,
            now=f"{now:%Y-%m-%d %H:%M} UTC",
            state=run.state,
            notes=run.notes,
            answers=found,
            formula=texts.formula(run.objective),
            asked=list(texts.asked(run)),
            num_networks=num_networks,
            decisions=decisions,
            num_trials=len(run.trials),
            failures=texts.failures(run),
            environment=list(texts.environment(run)),
        )
    )


def _script() -> str:
    """All files as one function, so that none of their names is a page's."""
    body = "\n".join((PAGE / name).read_text("utf-8") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}\n}})();\n'


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


def _shown(value: Any) -> Any:
    """What a template shows of `value`: all but markup of our own without control signs."""
    return value if isinstance(value, Markup) else plain(value)
