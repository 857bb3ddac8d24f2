"""`nas describe`: the published figures, and parts that add up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_space import ARCHITECTURES, architecture
from search_space.stage_costs import parts

Nas = Callable[..., Any]


def test_the_published_network_has_the_published_figures(nas: Nas) -> None:
    document = nas("describe", "efficientnetv2_s", "--image-size", "384", "--json").document
    assert document["params"] == 21_458_488
    assert document["macs"] == 8_365_617_152
    assert document["key"] == architecture("efficientnetv2_s").key
    assert document["image_size"] == 384
    assert document["num_classes"] == 1000
    assert document["num_layers"] == 40
    assert document["short"] == str(architecture("efficientnetv2_s"))
    assert [stage["depth"] for stage in document["stages"]] == [2, 4, 4, 6, 9, 15]
    assert [stage["output_size"] for stage in document["stages"]] == [192, 96, 48, 24, 24, 12]
    assert document["stages"][3]["op"] == "mbconv"


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("image_size", [1, 33, 224])
def test_the_parts_add_up(name: str, image_size: int) -> None:
    arch = architecture(name)
    rows = parts(arch, image_size)
    assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == arch.cost(image_size)
    assert [row.part for row in rows if row.part.isdigit()] == [str(n + 1) for n in range(len(arch.stages))]


def test_a_network_without_a_head_convolution_adds_up(nas: Nas) -> None:
    arch = architecture("efficientnet_b0").with_num_classes(3)
    from dataclasses import replace

    plain = replace(arch, head=replace(arch.head, width=0))
    rows = parts(plain, 64)
    assert rows[-1].part == "classes"
    assert rows[-2].part == "7"
    assert sum(row.params for row in rows) == plain.params


def test_the_table_reads(nas: Nas) -> None:
    said = nas("describe", "mobilenet_v2")
    assert said.code == 0
    first, key, short, _, header, *rows = said.out.splitlines()
    assert first.startswith("mobilenet_v2: 3,504,872 parameters, ")
    assert " at 224x224, 17 layers in 7 stages, 1000 classes" in first
    assert key == f"key {architecture('mobilenet_v2').key}"
    assert short == str(architecture("mobilenet_v2"))
    assert header.split()[:2] == ["part", "op"]
    assert [row.split()[0] for row in rows] == ["stem", *"1234567", "head", "classes"]


def test_classes_can_be_set(nas: Nas) -> None:
    ten = nas("describe", "efficientnet_b0", "--num-classes", "10", "--json").document
    assert ten["num_classes"] == 10
    assert ten["params"] == architecture("efficientnet_b0").params - 1281 * 990


def test_a_trial_of_a_run(nas: Nas, a_run: Path) -> None:
    for how in ("first:2", "runs/first:2"):
        document = nas("describe", how, "--json").document
        assert document["name"] == how
        assert document["image_size"] == 48, "the train size of the run"
        assert document["stages"][0]["width"] == 10
    said = nas("describe", "first:9")
    assert (said.code, said.err) == (2, "error: runs/first: has no trial 9 (it holds 4 trials, up to 3)\n")
    assert nas("describe", "second:1").code == 2


def test_a_file(nas: Nas, folder: Path) -> None:
    arch = architecture("efficientnetv2_b0")
    (folder / "mine.json").write_text(arch.to_json())
    document = nas("describe", "mine.json", "--json").document
    assert (document["key"], document["image_size"]) == (arch.key, 224)
    (folder / "wrong.json").write_text(arch.to_json().replace('"depth":1', '"depth":0', 1))
    said = nas("describe", "wrong.json")
    assert said.code == 2
    assert said.err.startswith("error: wrong.json: stages[0]: StageSpec.depth must be an integer from 1")
    said = nas("describe", "missing.json")
    assert said.err == "error: missing.json: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("efficientnetv2-s",), "did you mean 'efficientnetv2_s'?"),
        (("",), "unknown network ''"),
        (("efficientnetv2_s", "--image-size", "0"), "image_size must be an integer from 1 to 16384, got 0"),
        (("efficientnetv2_s", "--num-classes", "0"), "num_classes must be an integer from 1"),
    ],
)
def test_bad_input_is_named(nas: Nas, arguments: tuple[str, ...], rule: str) -> None:
    said = nas("describe", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert rule in said.err
    assert "Traceback" not in said.err
