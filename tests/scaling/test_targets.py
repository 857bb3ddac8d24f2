"""Members by target: against brute force along the line, and by their promises for any base."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling import Base, Compound, Found, MemberShape, Place, Target, find_places, parse_targets
from search_space import architecture
from tests.scaling.conftest import bases


def params(shape: MemberShape) -> float:
    return shape.arch.params


def macs(shape: MemberShape) -> float:
    return shape.arch.macs(shape.eval_size)


def test_the_published_sizes_find_the_published_networks(base_s: Base) -> None:
    found = find_places(base_s, parse_targets("M=54139356,L=118515272"), params)
    for name in ("M", "L"):
        arch = Compound().member(base_s, *found[name].place).arch
        assert abs(arch.params / architecture(f"efficientnetv2_{name.lower()}").params - 1) < 0.005


@pytest.mark.parametrize("cost", [params, macs])
@pytest.mark.parametrize("text", ["A=0.5x,M=2.5x,L=5.5x", "M=2x,L=4x,XL=8x,XXL=16x"])
def test_for_s_every_target_is_reached(base_s: Base, text: str, cost: object) -> None:
    found = find_places(base_s, parse_targets(text), cost)  # type: ignore[arg-type]
    base = cost(Compound().member(base_s, 0.0))  # type: ignore[operator]
    for target in parse_targets(text):
        each = found[target.name]
        assert each.reached
        assert cost(Compound().member(base_s, *each.place)) == pytest.approx(each.share * target.value * base)  # type: ignore[operator]


@settings(max_examples=40)
@given(bases(), st.lists(st.floats(0.3, 20), min_size=1, max_size=3))
def test_nothing_on_the_line_is_nearer(base: Base, values: list[float]) -> None:
    smallest = min(values)
    found = find_places(base, [Target(name="A", value=smallest, relative=True)], params)["A"]
    wanted = smallest * base.arch.params
    line = [Compound().member(base, step / 40).arch.params for step in range(-400, 401)]
    nearest = min(abs(cost / wanted - 1) for cost in line)
    assert found.reached or abs(found.share - 1) <= nearest + 1e-9
    if nearest <= 0.03:
        assert found.reached


@settings(max_examples=40)
@given(bases(), st.lists(st.floats(0.2, 20), min_size=2, max_size=4, unique=True), st.sampled_from([params, macs]))
def test_members_grow_with_their_targets(base: Base, values: list[float], cost: object) -> None:
    targets = [Target(name=f"T{place}", value=value, relative=True) for place, value in enumerate(values)]
    found = find_places(base, targets, cost)  # type: ignore[arg-type]
    targets.append(Target(name="base", value=1.0, relative=True))
    found["base"] = Found(Place(0.0, 0.0), 1.0)
    shapes = [Compound().member(base, *found[t.name].place).arch for t in sorted(targets, key=lambda t: t.value)]
    for small, large in pairwise(shapes):
        assert len(small.stages) <= len(large.stages)
        for below, above in zip(small.stages, large.stages, strict=False):
            assert below.width <= above.width
            assert below.depth <= above.depth


def test_beside_the_line_more_is_reached(base_tiny: Base) -> None:
    targets = parse_targets("M=2.5x")
    on_line = min(abs(params(Compound().member(base_tiny, step / 100)) / 442_055 - 1) for step in range(300))
    assert on_line > 0.03
    found = find_places(base_tiny, targets, params)["M"]
    assert found.reached
    assert found.place.phi != found.place.depth_phi


def test_one_dimension_can_be_scaled_alone(base_tiny: Base) -> None:
    targets = parse_targets("M=2x,L=4x")
    wider = Compound(depth=1, later=1, extra_stage=False)
    deeper = Compound(width=1, later=1, extra_stage=False)
    for compound in (wider, deeper):
        found = find_places(base_tiny, targets, macs, compound)
        assert all(abs(each.share - 1) < 0.15 for each in found.values())


def test_the_base_is_the_base(base_s: Base) -> None:
    found = find_places(base_s, parse_targets("S=1x"), params)["S"]
    assert found == (Place(0.0, 0.0), 1.0)


def test_what_is_out_of_reach_is_the_nearest(base_tiny: Base) -> None:
    found = find_places(base_tiny, parse_targets("M=900G"), params)["M"]
    assert not found.reached
    assert found.share < 0.01
    assert found.place.phi > 9


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must be NAME=2.5x"),
        ("M", "must be NAME=2.5x"),
        ("M=x", "must be NAME=2.5x"),
        ("M=-1x", "must be NAME=2.5x"),
        ("M=0x", "must be above 0"),
        ("M=2x,M=3x", "must have a name each, got 'M' twice"),
        ("../M=2x", "must be NAME=2.5x"),
        ("M\N{LATIN SMALL LETTER E WITH ACUTE}=2x", "must be NAME=2.5x"),
        ("M=1" + "0" * 30, "below 1e18"),
    ],
)
def test_wrong_targets_are_named(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_targets(text)


def test_suffixes() -> None:
    assert [target.value for target in parse_targets("A=54M,B=8.4G,C=7,D=2x")] == [54e6, 8.4e9, 7, 2]
