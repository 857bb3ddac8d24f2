"""A folder in which the site's pages are gone through as a reader would, one after the other."""

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from nas.cli import main
from nas.data import DATASETS
from nas.search.samplers import SAMPLERS
from search_space import OPS, load_space
from search_space.blocks import BLOCKS
from tests.docs.pages import CLUSTERS, DOCS, Block, blocks, commands, pages

STARTS_RAY = ("search", "validate")
TABLES: tuple[dict[str, Any], ...] = (OPS, BLOCKS, SAMPLERS, DATASETS)


class Walk:
    """Goes through pages in their order, each once, in `folder`; the tables are then as before. What takes long is left
    out unless `long`."""

    def __init__(self, folder: Path, *, long: bool = False) -> None:
        self._folder, self._long = folder, long
        self._ended: dict[str, Exception | None] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def to(self, page: str) -> None:
        """Go through the pages up to this one, which must hold."""
        order = pages()
        for each in order[: order.index(page) + 1]:
            if each not in self._ended:
                self._ended[each] = self._through(each)
        if (error := self._ended[page]) is not None:
            raise error

    @contextlib.contextmanager
    def rows_of(self, page: str) -> Iterator[list[dict[str, Any]]]:
        """The rows that the page adds to `TABLES`, which have them meanwhile."""
        self.to(page)
        with contextlib.ExitStack() as stack:
            for table, rows in zip(TABLES, self._rows[page], strict=True):
                stack.enter_context(patch.dict(table, rows))
            stack.enter_context(contextlib.chdir(self._folder))
            yield self._rows[page]

    def _through(self, page: str) -> Exception | None:
        names: dict[str, Any] = {"__name__": page}
        before = [dict(table) for table in TABLES]
        with contextlib.ExitStack() as stack:
            for table in TABLES:
                stack.enter_context(patch.dict(table))
            stack.enter_context(contextlib.chdir(self._folder))
            try:
                for block in blocks(DOCS / page):
                    if self._long or not block.long:
                        _follow(block, names)
            except Exception as error:
                return error
            self._rows[page] = [
                {name: row for name, row in table.items() if name not in old}
                for table, old in zip(TABLES, before, strict=True)
            ]
        return None


def _follow(block: Block, names: dict[str, Any]) -> None:
    if block.not_run is not None or block.title in CLUSTERS:
        return
    if block.title is not None:
        Path(block.title).write_text(block.text)
        load_space(block.title)
    elif block.language == "python":
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block.text, block.where, "exec", dont_inherit=True), names)
    elif block.language == "console":
        for command in commands(block.text):
            _run(block, command)


def _run(block: Block, command: list[str]) -> None:
    assert command[0] == "nas", f"{block.where}: only nas is run here, not {command[0]}: say why it is not run"
    words, target = command[1:], None
    if ">" in words:
        *words, _, target = words
    code, out, err = _nas([*words, *block.options])
    assert code == 0, f"{block.where}: {' '.join(command)}: exit code {code}\n{out}{err}"
    if target is not None:
        Path(target).write_text(out)


def _nas(words: list[str]) -> tuple[int, str, str]:
    """Exit code and what was said. What starts Ray is a process of its own, as Ray leaves its settings behind."""
    if words[0] in STARTS_RAY:
        ended = subprocess.run([sys.executable, "-m", "nas.cli", *words], capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    yield from _walk(tmp_path_factory, long=False)


@pytest.fixture(scope="module")
def long_walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """With what takes long."""
    yield from _walk(tmp_path_factory, long=True)


def _walk(tmp_path_factory: pytest.TempPathFactory, *, long: bool) -> Iterator[Walk]:
    import torch

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield Walk(tmp_path_factory.mktemp("walk"), long=long)
