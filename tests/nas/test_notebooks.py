"""The notebooks run from top to bottom, and what is kept in them is what a run gives."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
# The one that each change runs, and what of it is made shorter, as the file has it.
EACH_CHANGE = "look_at_a_search.ipynb"
SHORTER = {'"26", "--train-length", "30"': '"26", "--train-length", "5"'}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """What each cell puts out: pictures, frames, text."""
    return [
        [name for output in cell.outputs for name in sorted(output.get("data", {output.output_type: None}))]
        for cell in cells(notebook)
    ]


def test_there_are_three() -> None:
    assert NAMES == ["from_the_front_to_a_family.ipynb", "is_my_proxy_fit_for_use.ipynb", "look_at_a_search.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_of_one_run_from_top_to_bottom(name: str) -> None:
    notebook = read(NOTEBOOKS / name)
    assert [cell.execution_count for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    text = (NOTEBOOKS / name).read_text()
    assert str(Path.home()) not in text
    assert '"output_type": "error"' not in text


def run(name: str, folder: Path, cache: Path, shorter: bool) -> nbformat.NotebookNode:
    """The executed notebook. ``shorter``: of a sixth of its training steps."""
    notebook = read(NOTEBOOKS / name)
    if shorter:
        for words, fewer in SHORTER.items():
            [cell] = [cell for cell in cells(notebook) if words in cell.source]
            cell.source = cell.source.replace(words, fewer)
    nbformat.write(notebook, folder / name)
    executed = folder / "executed.ipynb"
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-execute"), name, f"--output={executed}", "--timeout=600"],
        cwd=folder,
        env={**os.environ, "NAS_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=880,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return read(executed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_notebook_runs(tmp_path: Path, digits_cache: Path) -> None:
    assert kinds(run(EACH_CHANGE, tmp_path, digits_cache, shorter=True)) == kinds(read(NOTEBOOKS / EACH_CHANGE))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_as_it_is(name: str, tmp_path: Path, digits_cache: Path) -> None:
    assert kinds(run(name, tmp_path, digits_cache, shorter=False)) == kinds(read(NOTEBOOKS / name))
