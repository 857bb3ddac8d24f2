"""The compound rule: the published family to the digit, and its promises for any base."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.models import efficientnet_v2_l, efficientnet_v2_m

from scaling import SIZES, Base, Compound, Rounding
from scaling.compound import last_size
from search_space import ArchSpec, StageSpec, Unrounded, architecture
from tests.scaling.conftest import base_of, bases

PHIS = st.floats(-6, 6)


@pytest.mark.parametrize(
    ("size", "name", "params", "macs"),
    [
        ("S", "efficientnetv2_s", 21_458_488, 8_365_617_152),
        ("M", "efficientnetv2_m", 54_139_356, 24_582_460_384),
        ("L", "efficientnetv2_l", 118_515_272, 56_079_699_008),
    ],
)
def test_the_published_family(base_s: Base, size: str, name: str, params: int, macs: int) -> None:
    member = Compound().member(base_s, SIZES[size])
    assert member.arch.stages == architecture(name).stages
    assert member.arch.key == architecture(name).key
    assert member.arch.cost(member.eval_size) == (params, macs)
    assert member.eval_size == (384 if size == "S" else 480)


@pytest.mark.parametrize(("size", "make"), [("M", efficientnet_v2_m), ("L", efficientnet_v2_l)])
def test_torchvisions_networks_have_as_many_parameters(base_s: Base, size: str, make: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        theirs = sum(parameter.numel() for parameter in make().parameters())
    assert Compound().member(base_s, SIZES[size]).arch.params == theirs


@pytest.mark.parametrize("phi", [1.0, 2.75])
def test_from_rounded_widths_it_is_another_family(base_s: Base, phi: float) -> None:
    rounded = replace(base_s, unrounded=Unrounded.of(base_s.arch))
    assert Compound().member(rounded, phi).arch.key != Compound().member(base_s, phi).arch.key


def test_without_the_departures_it_is_much_smaller(base_s: Base) -> None:
    uniform = Compound(later=1, extra_stage=False).member(base_s, 1.0)
    assert 0.6 < uniform.arch.params / architecture("efficientnetv2_m").params < 0.66


def test_the_released_rounding_misses_one_stage_of_m(base_s: Base) -> None:
    found = Compound(rounding=Rounding.parse("8")).member(base_s, 1.0).arch
    published = architecture("efficientnetv2_m")
    missed = [(one.width, other.width) for one, other in zip(found.stages, published.stages, strict=True)]
    assert [pair for pair in missed if pair[0] != pair[1]] == [(152, 160)]
    assert [stage.depth for stage in found.stages] == [stage.depth for stage in published.stages]


def test_the_published_xl_is_not_on_the_rule(base_s: Base) -> None:
    wanted = architecture("efficientnetv2_xl").key
    members = [Compound().member(base_s, phi / 20) for phi in range(20, 140)]
    assert wanted not in {member.arch.key for member in members}
    assert Compound().member(base_s, SIZES["XL"]).arch.params == pytest.approx(208_119_808, rel=0.06)


@given(bases(), PHIS, PHIS, PHIS, PHIS)
def test_a_larger_member_has_less_of_nothing(base: Base, one: float, other: float, depth: float, deeper: float) -> None:
    compound = Compound()
    small = compound.member(base, min(one, other), min(depth, deeper))
    large = compound.member(base, max(one, other), max(depth, deeper))
    assert len(small.arch.stages) <= len(large.arch.stages)
    for below, above in zip(small.arch.stages, large.arch.stages, strict=False):
        assert below.width <= above.width
        assert below.depth <= above.depth
        assert replace(below, width=1, depth=1) == replace(above, width=1, depth=1)
    assert small.arch.stem.width <= large.arch.stem.width
    assert small.arch.params <= large.arch.params
    assert (small.train_size, small.eval_size) <= (large.train_size, large.eval_size)


@given(bases(), PHIS)
def test_a_member_can_be_used(base: Base, phi: float) -> None:
    member = Compound().member(base, phi)
    assert ArchSpec.from_json(member.arch.to_json()) == member.arch
    assert 8 <= member.train_size <= member.eval_size
    assert member.eval_size <= max(base.eval_size * 1.25, 8)
    assert (member.arch.head, member.arch.activation) == (base.arch.head, base.arch.activation)


@given(bases())
def test_the_base_is_its_own_member(base: Base) -> None:
    assert Compound().member(base, 0.0).arch == base.arch


@given(bases(), st.floats(0.1, 6))
def test_what_does_not_grow_stays(base: Base, phi: float) -> None:
    wider = Compound(depth=1, later=1, extra_stage=False).member(base, phi).arch
    assert [stage.depth for stage in wider.stages] == [stage.depth for stage in base.arch.stages]
    deeper = Compound(width=1, later=1, extra_stage=False).member(base, phi).arch
    assert [stage.width for stage in deeper.stages] == [stage.width for stage in base.arch.stages]


@given(bases(), st.floats(0.1, 6))
def test_an_extra_stage_has_pixels_to_work_on(base: Base, phi: float) -> None:
    member = Compound().member(base, phi)
    if len(member.arch.stages) > len(base.arch.stages):
        assert base.arch.stages[-1].stride > 1
        assert member.arch.stages[-1].stride == 1
        assert last_size(member.arch, member.train_size) >= 2


def test_at_one_pixel_there_is_no_extra_stage(base_s: Base) -> None:
    small = replace(base_s, train_size=32, eval_size=32)
    assert len(Compound(max_image_size=32).member(small, 1.0).arch.stages) == 6
    assert len(Compound().member(replace(small, train_size=64, eval_size=64), 1.0).arch.stages) == 7


def test_a_cap_on_the_image_size_holds_for_all(base_s: Base) -> None:
    compound = Compound(max_image_size=320)
    assert [compound.member(base_s, phi).eval_size for phi in (-1.0, 0.0, 1.0, 2.75)] == [308, 320, 320, 320]
    assert compound.member(base_s, 0.0).train_size == 250


def test_rules_are_named() -> None:
    stage = StageSpec(op="conv", width=16, depth=1)
    base = base_of(replace(architecture("efficientnetv2_s"), stages=(stage,)))
    with pytest.raises(ValueError, match=r"phi must be from -20 to 20, got 21"):
        Compound().member(base, 21.0)
    with pytest.raises(ValueError, match=r"Compound\.width must be from 1 to 4, got 0\.5"):
        Compound(width=0.5)
    with pytest.raises(ValueError, match=r"makes stage 1 .* at most 65536 and 1024"):
        Compound(width=4).member(base, 10.0)
    with pytest.raises(ValueError, match=r"a width and a depth for each of 1 stages, got 2 and 1"):
        base_of(base.arch, Unrounded(widths=(1.0, 2.0), depths=(None,)))
    with pytest.raises(ValueError, match=r"Base\.train_size must be an integer from 8 to 40, got 41"):
        base_of(base.arch, train_size=41)
