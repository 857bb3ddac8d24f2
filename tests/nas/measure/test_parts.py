"""Networks as parts, checked by what the table of ops says of the whole network, and by spelling out whole spaces."""

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.measure import Part, network_parts, space_parts
from nas.measure.parts import HEAD, STEM
from search_space import (
    SPACES,
    ArchSpec,
    BlockSpec,
    Cost,
    HeadSpec,
    Space,
    StageChoices,
    StageSpec,
    StemSpec,
    architecture,
    block_cost,
    conv_cost,
    load_space,
    output_size,
)

SIZES = (1, 7, 13, 32, 65)


@pytest.fixture(params=[*SPACES, "odd"])
def space(request: pytest.FixtureRequest, odd_space: Space) -> Space:
    return odd_space if request.param == "odd" else load_space(request.param)


def cost(part: Part) -> Cost:
    layer = part.layer
    if layer.op == STEM:
        return conv_cost(layer.in_channels, layer.width, layer.kernel, output_size(part.size, layer.stride))
    if layer.op == HEAD:
        features, classes = layer.width or layer.in_channels, part.num_classes
        before = conv_cost(layer.in_channels, layer.width, 1, part.size) if layer.width else Cost(0, 0)
        return before + Cost(features * classes + classes, features * classes)
    return block_cost(*layer, part.size)  # type: ignore[call-arg]


def total(parts: Counter[Part]) -> tuple[int, int]:
    costs = [(times, cost(part)) for part, times in parts.items()]
    return sum(times * each.params for times, each in costs), sum(times * each.macs for times, each in costs)


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_of_a_network_add_up_to_it_and_are_the_spaces(space: Space, seed: int) -> None:
    rng = random.Random(seed)
    of_space = {size: set(space_parts(space, size)) for size in (*SIZES, space.image_size)}
    for arch in [space.reference, *(space.sample(rng) for _ in range(15))]:
        for size, known in of_space.items():
            parts = network_parts(arch, size)
            assert parts.keys() <= known
            assert total(parts) == arch.cost(size)
            assert parts.total() == sum(not layer.is_nothing for layer in arch.layers) + 2


@given(st.data())
def test_equal_networks_have_equal_parts(odd_space: Space, data: st.DataObject) -> None:
    indices = [data.draw(st.integers(0, len(decision.values) - 1)) for decision in odd_space.decisions]
    arch = odd_space.decode(indices)
    assert network_parts(arch.canonical(), 13) == network_parts(arch, 13)


@pytest.mark.parametrize(("name", "size"), [("odd", 1), ("odd", 13), ("nas-bench-macro", 13)])
def test_the_parts_of_a_space_are_those_of_all_its_networks(name: str, size: int, odd_space: Space) -> None:
    space = odd_space if name == "odd" else load_space(name)
    every = product(*(range(len(decision.values)) for decision in space.decisions))
    networks = {arch.canonical() for arch in map(space.decode, every)}
    assert len(networks) == space.size()
    assert set(space_parts(space, size)) == {part for arch in networks for part in network_parts(arch, size)}


def test_each_part_stands_once_and_has_a_name_of_its_own(space: Space) -> None:
    for size in (*SIZES, space.image_size):
        parts = space_parts(space, size)
        assert len(parts) == len(set(parts)) == len({part.name for part in parts})


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True))
def test_se_ratios_that_differ_a_little_differ_in_name(ratios: list[float]) -> None:
    first, second = (Part(BlockSpec("mbconv", 8, 8, 3, 1, 1, ratio + 0.0), 8).name for ratio in ratios)
    assert first != second


def test_the_names_of_parts() -> None:
    # They stand in files: a change makes every kept calibration useless.
    arch = ArchSpec(
        stem=StemSpec(width=8, stride=2),
        stages=(
            StageSpec(op="mbconv", width=16, depth=3, stride=2, kernel=5, expansion=4, se_ratio=0.25),
            StageSpec(op="identity", width=24, depth=2, kernel=1),
        ),
        head=HeadSpec(width=32, num_classes=10),
    )
    assert {part.name: times for part, times in network_parts(arch, 15).items()} == {
        "stem 3-8 k3 e1 s2 se0 @15": 1,
        "mbconv 8-16 k5 e4 s2 se0.25 @8": 1,
        "mbconv 16-16 k5 e4 s1 se0.25 @4": 2,
        "identity 16-24 k1 e1 s1 se0 @4": 1,
        "head 24-32 k1 e1 s1 se0 @4 c10": 1,
    }


def test_the_parts_of_a_published_network() -> None:
    arch = architecture("efficientnetv2_s")
    parts = network_parts(arch, 300)
    # The paper's Table 4: 40 layers between stem and head, of stages that have 2 to 15.
    assert parts.total() == 42
    assert max(parts.values()) == 14
    assert total(parts) == (arch.params, arch.macs(300))


def test_widths_multiply_parts_and_not_networks() -> None:
    widths = (8, 16, 24, 32)
    space = Space(
        name="wide",
        stem=StemSpec(width=8),
        stages=tuple(StageChoices(op=("mbconv",), width=widths, depth=(1, 2)) for _ in range(8)),
        head=HeadSpec(width=0),
        image_size=32,
        batch_size=2,
    )
    # Between stages 4 x 4 layers, of which those that keep the width also follow one.
    assert len(space_parts(space, 32)) == 1 + 16 + 4
    assert space.size() > 10**6
