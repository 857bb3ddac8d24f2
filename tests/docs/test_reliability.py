"""Each test that the table of faults names is there, and each fault is in the table."""

import ast
import re

from tests.docs.pages import DOCS, ROOT

PAGE = DOCS / "reliability.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 40
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_every_row_names_a_test_and_every_fault_has_a_row() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.startswith("| Fault |")]
    assert all(NAMED.search(row) for row in rows)
    faults = {int(number) for row in rows for number in re.findall(r"\bF(\d+)\b", row)}
    assert faults == set(range(1, 26))
