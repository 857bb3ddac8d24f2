"""The site is built without a warning, opens offline, and has every public name."""

import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

from results import COLUMNS
from tests.docs.pages import CONFIG, DOCS

PACKAGES = ("search_space", "supernet", "scaling", "results", "results.plots", "nas.search", "nas.train", "nas.measure")
SAME_AS_MODULE = {
    name: f"{name}.{name.rpartition('.')[2]}"
    for name in ("results.networks", "results.reward", "results.plots.importance", "results.plots.style")
}
"""Functions that their module hides by its name."""
FETCHED = re.compile(r"<(?:script|img|link(?! rel=\"canonical\"))[^>]+(?:src|href)=\"(?:https?:)?//[^\"]*\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(CONFIG), "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    return folder


def test_it_fetches_nothing(site: Path) -> None:
    found = list(site.rglob("*.html"))
    assert len(found) > 30
    for page in found:
        assert FETCHED.findall(page.read_text()) == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text()), style.name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_entry(site: Path, package: str) -> None:
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = {line.split()[0]: line.split()[3] for line in zlib.decompress(inventory).decode().splitlines()}
    for name in import_module(package).__all__:
        full = f"{package}.{name}"
        place = entries.get(SAME_AS_MODULE.get(full, full), "")
        assert place.startswith(f"api/{package.replace('.', '-')}.html#"), full


class Tables(HTMLParser):
    """`rows`: the cells of each table's rows, the tables by the heading before them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self._heading, self._in_cell = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "h2":
            self._heading = dict(attrs)["id"] or ""
        elif tag == "tr":
            self.rows.setdefault(self._heading, []).append([])
        elif tag == "td":
            self.rows[self._heading][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[self._heading][-1][-1] += data


def test_every_column_is_told_as_the_table_has_it(site: Path) -> None:
    tables = Tables()
    tables.feed((site / "api" / "columns.html").read_text())
    assert list(tables.rows) == list(COLUMNS)
    for frame, columns in COLUMNS.items():
        _, *rows = tables.rows[frame]
        assert len(rows) == len(columns)
        for row, column in zip(rows, columns, strict=True):
            values = f" One of {', '.join(column.categories)}." if column.categories else ""
            assert row == [column.name, column.dtype, column.unit, column.meaning.replace("`", "") + values]


def test_every_decision_is_in_the_navigation() -> None:
    config = CONFIG.read_text()
    for page in DOCS.glob("decisions/*.md"):
        assert f"decisions/{page.name}" in config
