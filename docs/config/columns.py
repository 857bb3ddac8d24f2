"""A hook of mkdocs: api/columns.md, made of `results.COLUMNS` at each build."""

import html

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from results import COLUMNS, Column

INTRODUCTION = """# Columns

Of the frames that `Run.trials_frame`, `stages_frame` and `networks_frame` return, and of the files that `to_parquet`
and `to_csv` write; `comparison` is that of `Run.compare`. In Python this is `results.COLUMNS`; in Parquet each field's
metadata has the unit and the meaning. What is missing is `pandas.NA`, in CSV an empty cell. Columns that begin with
`alone_` or `inherited_` are there where a supernet judged the run's networks and some were trained."""


def page() -> str:
    """The page's Markdown: a table for each frame."""
    tables = (f"## {name}\n\n{_table(columns)}" for name, columns in COLUMNS.items())
    return "\n\n".join([INTRODUCTION, *tables, ""])


def _table(columns: tuple[Column, ...]) -> str:
    rows = [f"| `{column.name}` | {column.dtype} | {column.unit} | {_meaning(column)} |" for column in columns]
    return "\n".join(["| column | dtype | unit | meaning |", "| --- | --- | --- | --- |", *rows])


def _meaning(column: Column) -> str:
    values = f" One of {', '.join(f'`{one}`' for one in column.categories)}." if column.categories else ""
    return html.escape(column.meaning, quote=False).replace("|", "&#124;") + values


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the page."""
    files.append(File.generated(config, "api/columns.md", content=page()))
