"""`nas spaces`: what is in the named spaces, and whether a user's own is one."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from nas.cli.spaces import params_range
from search_space import SPACES, Space, load_space

Nas = Callable[..., Any]

OWN = """
name: own
stem: {width: 8}
stages:
  - {op: [mbconv, fused_mbconv], width: [8, 16], depth: [0, 1, 2], expansion: [1, 4], stride: 1}
  - {op: mbconv, width: [12, 24], depth: [1, 3], kernel: [3, 5], se_ratio: [0, 0.25], stride: 2}
  - {op: [identity, conv], width: 24, depth: [0, 1], stride: 2}
head: {width: 0, num_classes: 4}
image_size: 32
batch_size: 8
"""


def test_every_named_space_is_told(nas: Nas) -> None:
    said = nas("spaces")
    assert said.code == 0
    for name in SPACES:
        assert any(line.startswith(f"{name} ") for line in said.out.splitlines())
    documents = nas("spaces", "--json").document["spaces"]
    assert [document["name"] for document in documents] == list(SPACES)
    for document in documents:
        space = load_space(document["name"])
        assert document["size"] == space.size()
        assert document["image_size"] == space.image_size
        assert document["params"][0] <= document["reference"]["params"] <= document["params"][1]
        assert document["reference"]["key"] == space.reference.key


def _all(space: Space) -> list[int]:
    choices = [range(len(decision.values)) for decision in space.decisions]
    return [space.decode(indices).params for indices in product(*choices)]


def test_the_range_of_params_is_that_of_all_networks(nas: Nas, folder: Path) -> None:
    (folder / "own.yaml").write_text(OWN)
    own = load_space("own.yaml")
    found = _all(own)
    assert len(found) > 500
    assert params_range(own) == (min(found), max(found))
    macro = load_space("nas-bench-macro")
    found = _all(macro)
    assert params_range(macro) == (min(found), max(found))


@pytest.mark.parametrize("name", SPACES)
def test_no_network_is_outside_the_range(name: str) -> None:
    space = load_space(name)
    low, high = params_range(space)
    rng = random.Random(0)
    assert all(low <= space.sample(rng).params <= high for _ in range(300))


def test_a_space_of_ones_own(nas: Nas, folder: Path) -> None:
    (folder / "own.yaml").write_text(OWN)
    said = nas("spaces", "own.yaml")
    assert said.code == 0
    assert "stage1.op" in said.out
    assert "mbconv, fused_mbconv" in said.out
    document = nas("spaces", "own.yaml", "--json").document
    assert document["name"] == "own"
    assert document["size"] == load_space("own.yaml").size()
    assert {decision["name"] for decision in document["decisions"]} >= {"stage1.op", "stage2.kernel"}


def test_a_wrong_space_is_refused_with_its_line(nas: Nas, folder: Path) -> None:
    (folder / "own.yaml").write_text(OWN.replace("kernel: [3, 5]", "kernel: [3, 4]"))
    said = nas("spaces", "own.yaml")
    assert said.code == 2
    assert "own.yaml: line 6" in said.err
    assert "kernel must be an odd integer" in said.err
    said = nas("spaces", "efficientnet")
    assert said.code == 2
    assert "unknown space 'efficientnet'" in said.err


@pytest.mark.parametrize("name", SPACES)
def test_a_space_printed_as_yaml_is_a_file_of_that_space(nas: Nas, folder: Path, name: str) -> None:
    said = nas("spaces", name, "--yaml")
    assert said.code == 0
    (folder / "copy.yaml").write_text(said.out)
    assert load_space(folder / "copy.yaml") == load_space(name)


@pytest.mark.parametrize("arguments", [("--yaml",), ("efficientnetv2", "--yaml", "--json")])
def test_yaml_is_of_one_space_and_alone(nas: Nas, arguments: tuple[str, ...]) -> None:
    said = nas("spaces", *arguments)
    assert said.code == 2
    assert "--yaml takes a SPACE" in said.err
