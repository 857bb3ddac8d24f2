"""Files of one record a line: whole ones in their order, a torn end told, other damage named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import RunError, lines
from results.lines import LinesFile, read_lines


def word(text: str) -> str:
    """Records of this test: words of small letters."""
    if not text.isascii() or not text.isalpha() or not text.islower():
        raise ValueError(f"must be small letters, got {text!r}\nand more that is not told")
    return text


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "words.jsonl"
    path.write_bytes(data)
    return path


def test_records_are_read_in_their_order(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, b""), word) == LinesFile()
    assert read_lines(write(tmp_path, b"one\n\n  \ntwo\n"), word) == LinesFile(records=("one", "two"), num_bytes=12)


def test_a_last_line_without_its_newline_counts_where_it_is_whole(tmp_path: Path) -> None:
    found = read_lines(write(tmp_path, b"one\ntwo"), word)
    assert found == LinesFile(records=("one", "two"), num_bytes=7, lacks_newline=True)
    path = write(tmp_path, b"one\ntw{")
    assert read_lines(path, word) == LinesFile(
        records=("one",), num_bytes=4, torn=f"{path}, line 2: cut off after 3 bytes, left out"
    )


@pytest.mark.parametrize("damage", [b"Two", b"\xff", b"{", b"\x00"])
def test_damage_before_the_end_names_its_line(tmp_path: Path, damage: bytes) -> None:
    path = write(tmp_path, b"one\n" + damage + b"\nthree\n")
    with pytest.raises(RunError) as raised:
        read_lines(path, word)
    assert str(raised.value).startswith(f"{path}, line 2 is damaged: ")
    assert "\n" not in str(raised.value)


def test_files_and_lines_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 5)
    with pytest.raises(RunError, match="line 1: must be at most 5 bytes, got 6"):
        read_lines(write(tmp_path, b"longer\nend\n"), word)
    monkeypatch.setattr(lines, "MAX_FILE_BYTES", 10)
    with pytest.raises(RunError, match="must be at most 10 bytes, got 11"):
        read_lines(write(tmp_path, b"longer\nend\n"), word)
    with pytest.raises(RunError, match="could not be read: No such file"):
        read_lines(tmp_path / "missing", word)


@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), max_size=6), st.integers(0, 50))
def test_a_file_that_is_cut_anywhere_is_its_first_lines(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "words.jsonl"
    whole = "".join(f"{one}.\n" for one in words).encode()
    path.write_bytes(whole[:cut])
    found = read_lines(path, lambda text: word(text.removesuffix(".")) if text.endswith(".") else word("?"))
    assert list(found.records) == words[: len(found.records)]
    kept = sum(len(one) + 2 for one in words[: len(found.records)]) - found.lacks_newline
    assert found.num_bytes == kept <= min(cut, len(whole))
    assert (found.torn is None) == (kept == min(cut, len(whole)))
