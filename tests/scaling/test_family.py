"""Families: sizes by name, and files that hold all of it."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from scaling import Base, Family, ProgressiveRecipe, parse_sizes
from search_space import ArchSpec, architecture, parse_json


@pytest.fixture
def family(base_s: Base) -> Family:
    return Family.of(base_s, parse_sizes("S,M,L,XL,0.5"))


def test_sizes_are_in_order_and_named(family: Family) -> None:
    assert [member.name for member in family.members] == ["S", "0.5", "M", "L", "XL"]
    assert [member.phi for member in family.members] == [0, 0.5, 1, 2.75, 4]
    params = [member.params for member in family.members]
    assert params == sorted(params)


def test_files_hold_the_family(family: Family) -> None:
    files = family.files()
    assert Family.from_json(files["family.json"]) == family
    assert set(files) == {"family.json"} | {
        f"{m.name}{end}" for m in family.members for end in (".json", ".recipe.json")
    }
    for member in family.members:
        assert ArchSpec.from_json(files[f"{member.name}.json"]).key == member.arch.key
        assert parse_json(ProgressiveRecipe, files[f"{member.name}.recipe.json"]) == member.recipe
    assert ArchSpec.from_json(files["M.json"]).key == architecture("efficientnetv2_m").key


def test_another_number_of_classes(family: Family) -> None:
    few = family.with_num_classes(10)
    assert {member.arch.head.num_classes for member in few.members} == {10}
    assert few.member("M").recipe == family.member("M").recipe
    with pytest.raises(ValueError, match="has no member 'XXL': it has"):
        few.member("XXL")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("S,Q", "sizes must be S, M, L, XL or numbers"),
        ("", "sizes must be"),
        ("M,1", "must hold each phi once, got 1 twice"),
        ("0.1,0.10000001", "must hold each phi once, got 0.1 twice"),
        ("S,11", "from -10 to 10, got 11"),
        ("nan", "from -10 to 10, got nan"),
        (",".join(str(phi / 10) for phi in range(17)), "must be at most 16, got 17"),
    ],
)
def test_wrong_sizes_are_named(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_sizes(text)


@pytest.mark.parametrize("name", ["", "../M", ".M", "M/N", "M\n", "\N{LATIN SMALL LETTER E WITH ACUTE}", "M" * 33])
def test_a_member_is_named_as_a_file_may_be(family: Family, name: str) -> None:
    with pytest.raises(ValueError, match=r"Member\.name must be 1 to 32 of"):
        replace(family.members[0], name=name)


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"more": 1}, {"family": {}}])
def test_a_wrong_file_is_refused(family: Family, change: dict[str, object]) -> None:
    document = json.loads(family.files()["family.json"]) | change
    with pytest.raises(ValueError, match=r"schema_version must be 1|unknown field|required field"):
        Family.from_json(json.dumps(document))


def test_scaling_leaves_torch_out() -> None:
    check = "import scaling, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
