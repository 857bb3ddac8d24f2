"""The rounding rule, against round_width and by its own promises."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import Rounding
from search_space import round_width

WIDTHS = st.floats(1, 4000)


@given(WIDTHS)
def test_one_divisor_is_the_released_codes_rule(width: float) -> None:
    assert Rounding.parse("8")(width) == round_width(width)


@given(WIDTHS, WIDTHS)
def test_more_is_never_rounded_to_less(one: float, other: float) -> None:
    rounding = Rounding.parse("8,40:16,128:32")
    assert rounding(min(one, other)) <= rounding(max(one, other))


@pytest.mark.parametrize(("width", "rounded"), [(22.4, 24), (39.9, 40), (40, 48), (76.6, 80), (306.4, 304), (1, 8)])
def test_the_default(width: float, rounded: int) -> None:
    assert Rounding()(width) == rounded


@pytest.mark.parametrize("text", ["8", "4,32:8", "8,40:16,128:32"])
def test_a_rule_reads_as_it_is_written(text: str) -> None:
    assert str(Rounding.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must be a divisor and, where it grows, WIDTH:DIVISOR"),
        ("8;16", "must be a divisor"),
        ("0", "divisors from 1 to 1024, got 0"),
        ("8,40:16,40:32", "must have rising widths"),
        ("8,70:64", "must not round 70 channels to fewer than a little less"),
    ],
)
def test_a_wrong_rule_is_named(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=re.escape(rule)):
        Rounding.parse(text)


def test_it_begins_at_nothing() -> None:
    with pytest.raises(ValueError, match="must begin at width 0"):
        Rounding(steps=((8, 8),))
