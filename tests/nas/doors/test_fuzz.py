"""Files that were damaged in any way are read, or refused by an error of ours; nothing else comes of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.cli.main import _is_ours
from tests.nas.doors.readers import READERS

FEW, MANY = 8, 1000
TOKENS = (b"NaN", b"1e999", b"-1", b"null", b"[]", b"{}", b'""', b"9" * 400, b"[" * 300, b"\x00", b"\xff", b'"', b"\n")
VALUES = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        10**30,
        0.5,
        -1e300,
        float("nan"),
        float("inf"),
        "",
        "NaN",
        "../../x",
        "\x1b[2J",
        [],
        {},
        [[]],
    ]
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of each value in plain data."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with a value of its JSON changed, bytes changed, cut, put in or taken out; or any bytes at all."""
    how = draw(st.sampled_from(("value", "value", "bytes", "bytes", "cut", "put in", "take out", "any")))
    if how == "any":
        return draw(st.binary(max_size=300))
    if how == "value" and (changed := _changed_value(draw, good)) is not None:
        return changed
    # Headers are at the front or the end of a file.
    near = st.integers(0, min(len(good), 600))
    place = draw(near | near.map(lambda back: len(good) - back) | st.integers(0, len(good)))
    token = draw(st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8))
    length = draw(st.integers(1, 40))
    match how:
        case "cut":
            return good[:place]
        case "put in":
            return good[:place] + token + good[place:]
        case "take out":
            return good[:place] + good[place + length :]
    return good[:place] + token + good[place + len(token) :]


def _changed_value(draw: st.DrawFn, good: bytes) -> bytes | None:
    """Of a JSON document, or of one line of a file of them; None where `good` is neither."""
    lines = good.splitlines(keepends=True)
    number = draw(st.integers(0, len(lines) - 1)) if good.count(b"\n{") or len(lines) == 1 else None
    try:
        record = json.loads(good if number is None else lines[number])
    except ValueError:
        return None
    places = list(_places(record))
    if not places:
        return None
    holder, key = draw(st.sampled_from(places))
    if isinstance(holder, dict) and draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = draw(VALUES)
    text = json.dumps(record).encode()
    return text if number is None else b"".join([*lines[:number], text + b"\n", *lines[number + 1 :]])


def _check(name: str, files: Path, content: bytes) -> None:
    reader = READERS[name]
    path = files / reader.file
    path.write_bytes(content)
    refused: ValueError | None = None
    try:
        reader.read(files)
    except ValueError as error:
        refused = error
    if refused is not None:
        assert _is_ours(refused), f"{type(refused).__name__}: {refused}"
        assert str(refused)


def _fuzz(name: str, files: Path, num_examples: int) -> None:
    reader = READERS[name]
    path = files / reader.file
    good = path.read_bytes()
    _check(name, files, good)

    @settings(
        max_examples=num_examples,
        database=None,
        derandomize=num_examples == FEW,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(damaged(good))
    def check(content: bytes) -> None:
        _check(name, files, content)

    try:
        check()
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(good)


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(name: str, files: Path) -> None:
    READERS[name].read(files)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str, files: Path) -> None:
    _fuzz(name, files, FEW)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_read_or_refused(name: str, files: Path) -> None:
    _fuzz(name, files, MANY)
