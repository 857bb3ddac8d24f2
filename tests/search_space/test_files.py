"""The file border: every fault of a file is a ValueError that a person can act on."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space import Space
from search_space.files import MAX_BYTES, parse_json, parse_yaml, read_text, unknown_name

SPACE = """\
name: mine          # a comment
stem: {width: 16}
stages:
  - op: mbconv
    kernel: [3, 5]
    width: 16
    depth: [1, 2]
  - op: [fused_mbconv, {op: mbconv, se_ratio: 0.25}]
    expansion: [1, 4]
    width: [24, 32]
    depth: 1
    stride: 2
head: {width: 64, num_classes: 10}
image_size: 32
batch_size: 64
norm_eps: 1e-3
"""


def test_a_single_value_and_a_name_stand_for_lists() -> None:
    space = parse_yaml(Space, SPACE)
    first, second = space.stages
    assert [str(block) for block in first.blocks] == ["mbconv"]
    assert (first.width, second.depth) == ((16,), (1,))
    assert [str(block) for block in second.blocks] == ["fused_mbconv", "mbconv se0.25"]
    assert space.norm_eps == 1e-3
    assert parse_json(Space, space.to_json()) == space == parse_yaml(Space, space.to_json())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[3, 5]", "[3, 4]", "line 5: stages[0]: StageChoices.kernel must be an odd integer from 1 to 31, got 4"),
        ("    kernel:", "    kernal:", "line 5: stages[0].kernal: unknown field, did you mean 'kernel'?"),
        ("[1, 4]", "[1, 4, 4]", "line 9: stages[1]: StageChoices.expansion must hold each choice once, got 4 twice"),
        ("[1, 4]", "[1, four]", 'line 9: stages[1].expansion[1]: Input should be a valid integer, got "four"'),
        ("[1, 4]", "[]", "line 9: stages[1]: StageChoices.expansion must hold at least one choice, got none"),
        ("    depth: [1, 2]\n", "", "line 4: stages[0].depth: required field is missing"),
        ("depth: [1, 2]", "depth: 0", "line 7: stages[0]: StageChoices.depth must hold a number above 0, got only 0"),
        ("op: mbconv\n", "op: mbcov\n", "line 4: stages[0].op[0]: BlockChoice.op must be one of mbconv, fused_mbconv"),
        ("se_ratio: 0.25", "se_ratio: 2", "line 8: stages[1].op[1]: BlockChoice.se_ratio must be a number from 0"),
        ("image_size: 32", "image_size: 32.5", "line 14: image_size: Input should be a valid integer, got 32.5"),
        ("batch_size: 64\n", "", "line 1: batch_size: required field is missing"),
        ("norm_eps: 1e-3", "norm_eps: .nan", "line 16: ArchSpec.norm_eps must be a float between 0 and 1, got nan"),
        ("name: mine", "name: my space", "line 1: Space.name must be up to 64 letters, digits, '.', '_' or '-', got"),
        ("stem: {", "image_size: 32\nstem: {", "line 15: image_size: this field is given twice"),
        ("stem: {width: 16}", "stem: &a {width: 16}\nhead: *a", "line 3: aliases (*name) are not allowed here"),
        ("name: mine", "name: !!bool mine", "line 1: tags (!name) are not allowed here: write the plain value"),
        ("name: mine", "name: [mine", "line 2: no valid YAML: expected ',' or ']'"),
        (
            "name: mine",
            "name: 2026-01-01",
            "only numbers, text, lists and mappings may stand here: Object of type date",
        ),
        (SPACE, "", "no valid YAML: the text is empty"),
        (SPACE, "[1, 2]", "line 1: Space: Input should be an object, got [1, 2]"),
        (SPACE, "a: 1\n---\nb: 2", "line 2: no valid YAML: but found another document"),
        (SPACE, "a:\n " + "[" * 10_000, "line 2: lists and mappings must be at most 32 deep"),
    ],
)
def test_a_fault_names_line_field_rule_and_value(old: str, new: str, message: str) -> None:
    assert old in SPACE
    with pytest.raises(ValueError, match=r".") as caught:
        parse_yaml(Space, SPACE.replace(old, new))
    assert any(line.startswith(message) for line in str(caught.value).splitlines()), str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_yaml(Space, text)


@settings(deadline=None)
@given(st.integers(0, len(SPACE) - 1), st.text(max_size=3))
def test_a_damaged_file_is_read_or_a_value_error(place: int, put: str) -> None:
    try:
        space = parse_yaml(Space, SPACE[:place] + put + SPACE[place + 1 :])
    except ValueError:
        return
    assert Space.from_json(space.to_json()) == space


@pytest.mark.parametrize("text", ["[" * 5000, "a: " * 3000, "0x_", "- " * 5000, "? " * 5000, "1" * 5000, "!!bool x"])
def test_hostile_yaml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_yaml(Space, text)


def test_read_text_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing.yaml: No such file"):
        read_text(tmp_path / "missing.yaml")
    with pytest.raises(ValueError, match=r"Is a directory"):
        read_text(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary: must be UTF-8 text"):
        read_text(tmp_path / "binary")
    (tmp_path / "large").write_text(" " * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match=r"large: must be at most 1048576 bytes, got 1048577"):
        read_text(tmp_path / "large")


def test_unknown_name_suggests_the_nearest_or_lists_all() -> None:
    assert str(unknown_name("fruit", "aple", ["pear", "apple"])) == "unknown fruit 'aple': did you mean 'apple'?"
    assert str(unknown_name("fruit", "xyz", ["pear", "apple"])) == "unknown fruit 'xyz': known are ['apple', 'pear']"


def test_what_is_no_regular_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("endless.json", "pipe.json"):
        with pytest.raises(ValueError, match=f"{name}: must be a regular file"):
            read_text(tmp_path / name)
