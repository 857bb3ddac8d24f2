"""The site is built without a warning, opens offline, and has every public name."""

import os
import re
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path

import pytest

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


def test_every_decision_is_in_the_navigation() -> None:
    config = CONFIG.read_text()
    for page in DOCS.glob("decisions/*.md"):
        assert f"decisions/{page.name}" in config
