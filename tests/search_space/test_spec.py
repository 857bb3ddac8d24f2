"""Specs: their JSON, their key, and what they refuse."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec, architecture
from search_space.spec import MAX_DEPTH, BlockSpec

STEM, HEAD = StemSpec(width=8), HeadSpec(width=16, num_classes=10)


@st.composite
def stages(draw: st.DrawFn, widths: tuple[int, ...] = (8, 12), max_depth: int = 3) -> StageSpec:
    op = draw(st.sampled_from(["mbconv", "fused_mbconv", "conv", "identity"]))
    block = op in ("mbconv", "fused_mbconv")
    return StageSpec(
        op=op,
        width=draw(st.sampled_from(widths)),
        depth=draw(st.integers(1, max_depth)),
        stride=draw(st.sampled_from([1, 2])),
        kernel=1 if op == "identity" else draw(st.sampled_from([3, 5])),
        expansion=draw(st.sampled_from([1, 4])) if block else 1,
        se_ratio=draw(st.sampled_from([0.0, 0.25])) if block else 0.0,
    )


archs = st.builds(
    ArchSpec,
    stem=st.builds(StemSpec, width=st.integers(1, 64), kernel=st.sampled_from([1, 3]), stride=st.integers(1, 4)),
    stages=st.lists(stages(widths=(1, 8, 100), max_depth=20), min_size=1, max_size=5).map(tuple),
    head=st.builds(HeadSpec, width=st.integers(0, 64), num_classes=st.integers(1, 1000)),
    activation=st.sampled_from(["silu", "relu", "relu6"]),
    norm_eps=st.floats(1e-9, 0.1),
    padding=st.sampled_from(["symmetric", "same"]),
)
small_stages = st.lists(stages(), min_size=1, max_size=4).map(tuple)
few_stages = st.lists(
    st.builds(StageSpec, op=st.just("conv"), width=st.sampled_from([8, 12]), depth=st.integers(1, 3))
    | st.builds(StageSpec, op=st.just("identity"), width=st.just(8), depth=st.integers(1, 2), kernel=st.just(1)),
    min_size=1,
    max_size=3,
).map(tuple)
"""So few that two draws are often one network."""


def network(*rows: StageSpec, stem: StemSpec = STEM) -> ArchSpec:
    return ArchSpec(stem=stem, stages=rows, head=HEAD)


def layers_that_act(arch: ArchSpec) -> list[BlockSpec]:
    return [
        layer
        for layer in arch.layers
        if not (layer.op == "identity" and layer.stride == 1 and layer.in_channels == layer.width)
    ]


@settings(deadline=None)
@given(archs)
def test_json_round_trip(arch: ArchSpec) -> None:
    back = ArchSpec.from_json(arch.to_json())
    assert back == arch
    assert (back.key, back.to_json()) == (arch.key, arch.to_json())


def test_the_key_stays_what_it_was() -> None:
    """Stored runs are found by it: it may change only with a note to users."""
    key = "ce397feaacd96b47c09314d9c094790ed1aa28173413421e8beb745a7fbd524c"
    assert architecture("efficientnetv2_s").key == key


@settings(deadline=None)
@given(archs)
def test_canonical_is_one_form_of_the_same_network(arch: ArchSpec) -> None:
    canonical = arch.canonical()
    assert canonical.canonical() == canonical
    assert canonical.key == arch.key
    assert layers_that_act(canonical) == layers_that_act(arch)
    assert canonical.cost(33) == arch.cost(33)


@settings(deadline=None, max_examples=300)
@given(few_stages, few_stages)
def test_keys_are_equal_exactly_where_the_layers_are(
    first: tuple[StageSpec, ...], second: tuple[StageSpec, ...]
) -> None:
    a, b = network(*first), network(*second)
    assert (a.key == b.key) == (layers_that_act(a) == layers_that_act(b))


@settings(deadline=None)
@given(small_stages, st.data())
def test_another_description_has_the_same_key(rows: tuple[StageSpec, ...], data: st.DataObject) -> None:
    """Stages split in two, and identities put between them, change nothing."""
    retold = []
    for row in rows:
        cut = data.draw(st.integers(1, row.depth))
        retold.append(replace(row, depth=cut))
        if data.draw(st.booleans()):
            retold.append(StageSpec(op="identity", width=row.width, depth=data.draw(st.integers(1, 3)), kernel=1))
        if cut < row.depth:
            retold.append(replace(row, depth=row.depth - cut, stride=1))
    assert network(*retold).key == network(*rows).key


@pytest.mark.parametrize(
    ("change", "value"),
    [("activation", "relu"), ("norm_eps", 1e-5), ("padding", "same"), ("head", HeadSpec(width=16, num_classes=11))],
)
def test_the_frame_is_in_the_key(change: str, value: object) -> None:
    arch = network(StageSpec(op="conv", width=8, depth=1))
    assert replace(arch, **{change: value}).key != arch.key


def test_a_network_of_nothing_but_identities_has_one_key() -> None:
    nothing = StageSpec(op="identity", width=8, depth=1, kernel=1)
    assert network(nothing, nothing).key == network(replace(nothing, depth=5)).key


def test_joining_equal_stages_stops_at_the_deepest_stage_there_may_be() -> None:
    deep = StageSpec(op="conv", width=8, depth=MAX_DEPTH - 1, kernel=3)
    joined = network(deep, deep, deep).canonical()
    assert [stage.depth for stage in joined.stages] == [MAX_DEPTH, MAX_DEPTH, MAX_DEPTH - 3]
    assert joined.key == network(deep, replace(deep, depth=1), deep, replace(deep, depth=MAX_DEPTH - 2)).key


def test_equal_specs_have_equal_keys_for_a_negative_zero() -> None:
    plain, negative = (StageSpec(op="mbconv", width=8, depth=1, se_ratio=zero) for zero in (0, -0.0))
    assert plain == negative
    assert network(plain).key == network(negative).key


def test_str_fits_on_a_line() -> None:
    assert str(architecture("efficientnetv2_s")) == (
        "stem3-24s2 F3e1-24x2 F3e4-48x4s2 F3e4-64x4s2 M3e4-128x6s2se0.25 M3e6-160x9se0.25 M3e6-256x15s2se0.25 head-1280"
    )


STAGE: dict[str, Any] = {"op": "mbconv", "width": 8, "depth": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "mbcov"}, r"StageSpec.op must be one of mbconv, fused_mbconv, conv, identity, got 'mbcov'"),
        ({"op": ["mbconv"]}, r"StageSpec.op must be one of .*, got \['mbconv'\]"),
        ({"kernel": 4}, r"StageSpec.kernel must be an odd integer from 1 to 31, got 4"),
        ({"kernel": True}, r"StageSpec.kernel must be an odd integer from 1 to 31, got True"),
        ({"expansion": 0}, r"StageSpec.expansion must be an integer from 1 to 64, got 0"),
        ({"expansion": 1.5}, r"StageSpec.expansion must be an integer from 1 to 64, got 1.5"),
        ({"se_ratio": 1.1}, r"StageSpec.se_ratio must be a number from 0 .* to 1, got 1.1"),
        ({"se_ratio": float("nan")}, r"StageSpec.se_ratio must be a number from 0 .* to 1, got nan"),
        ({"width": 0}, r"StageSpec.width must be an integer from 1 to 65536, got 0"),
        ({"depth": "2"}, r"StageSpec.depth must be an integer from 1 to 1024, got '2'"),
        ({"stride": 9}, r"StageSpec.stride must be an integer from 1 to 8, got 9"),
        ({"op": "conv", "se_ratio": 0.25}, r"StageSpec.se_ratio has no meaning for op 'conv' and must be 0, got 0.25"),
        ({"op": "identity"}, r"StageSpec.kernel has no meaning for op 'identity' and must be 1, got 3"),
    ],
)
def test_a_stage_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageSpec(**{**STAGE, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": ()}, r"ArchSpec.stages must hold at least one stage, got none"),
        ({"activation": "gelu"}, r"ArchSpec.activation must be one of silu, relu, relu6, got 'gelu'"),
        ({"padding": "valid"}, r"ArchSpec.padding must be one of symmetric, same, got 'valid'"),
        ({"norm_eps": 0.0}, r"ArchSpec.norm_eps must be a float between 0 and 1, got 0.0"),
    ],
)
def test_an_arch_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(network(StageSpec(**STAGE)), **change)


def test_stem_head_and_cost_refuse() -> None:
    with pytest.raises(ValueError, match=r"StemSpec.width must be an integer from 1 to 65536, got -1"):
        StemSpec(width=-1)
    with pytest.raises(ValueError, match=r"HeadSpec.num_classes must be an integer from 1 to 1000000, got 0"):
        HeadSpec(width=0, num_classes=0)
    with pytest.raises(ValueError, match=r"cost.image_size must be an integer from 1 to 16384, got 0"):
        architecture("efficientnetv2_s").cost(0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("mbconv"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.text() | json_values.map(json.dumps))
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ArchSpec.from_json(text)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_file_is_read_or_a_value_error(data: st.DataObject) -> None:
    """One place of a good file replaced: what is read keeps the rules, all else is a ValueError."""
    good = json.loads(network(StageSpec(**STAGE), StageSpec(op="conv", width=8, depth=2)).to_json())
    holder: Any = good
    while True:
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(holder[key], dict | list) or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = data.draw(json_values)
    try:
        arch = ArchSpec.from_json(json.dumps(good))
    except ValueError:
        return
    assert ArchSpec.from_json(arch.to_json()).key == arch.key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '"\ud800"',
        "\x00",
        '{"stem": {"width": 1e400}}',
        '{"stem": {"width": 1' + "0" * 5000 + "}}",
    ],
)
def test_hostile_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ArchSpec.from_json(text)


def test_a_file_error_names_field_rule_and_value() -> None:
    text = json.dumps(
        {
            "stem": {"width": 8, "strid": 2},
            "stages": [{**STAGE, "depth": 0}, {**STAGE, "width": "8"}, {"op": "conv", "width": 8}],
            "head": {"width": 16},
        }
    )
    with pytest.raises(ValueError, match=r"\n") as caught:
        ArchSpec.from_json(text)
    assert str(caught.value).splitlines() == [
        "stem.strid: unknown field, did you mean 'stride'?",
        "stages[0]: StageSpec.depth must be an integer from 1 to 1024, got 0",
        'stages[1].width: Input should be a valid integer, got "8"',
        "stages[2].depth: required field is missing",
    ]
