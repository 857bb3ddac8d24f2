"""How long a training is: how it is typed, what is refused, what it comes to in steps."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.train import TrainLength


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1", TrainLength(steps=1)),
        ("450", TrainLength(steps=450)),
        ("2ep", TrainLength(epochs=2)),
        ("0.5ep", TrainLength(epochs=0.5)),
        ("12.25ep", TrainLength(epochs=12.25)),
    ],
)
def test_lengths_that_can_be_read(text: str, length: TrainLength) -> None:
    assert TrainLength.parse(text) == length
    assert str(length) == text


@pytest.mark.parametrize("text", ["", "ep", "-3", "1.5", "2 ep", "2epochs", "30s", "1e3", "1_000", "450\n", "nanep"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be steps \\(450\\) or epochs \\(2ep\\), got") as raised:
        TrainLength.parse(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["0", "0ep", "0.0ep", "1000000000", "10000000000ep"])
def test_lengths_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TrainLength must be above 0"):
        TrainLength.parse(text)


def test_a_length_is_steps_or_epochs() -> None:
    with pytest.raises(ValueError, match="either steps or epochs"):
        TrainLength()
    with pytest.raises(ValueError, match="either steps or epochs"):
        TrainLength(steps=1, epochs=1)
    with pytest.raises(ValueError, match="must be above 0"):
        TrainLength(epochs=math.nan)


def test_epochs_become_steps() -> None:
    assert TrainLength(steps=7).in_steps(1000, 10) == 7
    assert TrainLength(epochs=2).in_steps(1000, 10) == 200
    assert TrainLength(epochs=0.5).in_steps(1500, 1000) == 1
    assert TrainLength(epochs=0.001).in_steps(10, 1000) == 1, "never none"


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 10**6), st.booleans())
def test_what_is_written_can_be_read(number: int, in_epochs: bool) -> None:
    length = TrainLength(epochs=number / 100) if in_epochs and number < 10**5 else TrainLength(steps=number)
    assert TrainLength.parse(str(length)) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30ep", TrainLength(epochs=30)),
        ("0.5EP", TrainLength(epochs=0.5)),
        (" 5000st ", TrainLength(steps=5000)),
        ("90s", TrainLength(seconds=90)),
        ("90m", TrainLength(seconds=5400)),
        ("30min", TrainLength(seconds=1800)),
        ("1.5h", TrainLength(seconds=5400)),
        ("2d", TrainLength(seconds=172800)),
    ],
)
def test_budgets_that_can_be_read(text: str, length: TrainLength) -> None:
    assert TrainLength.of_budget(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "30", "ep", "-3ep", "+3ep", "1e99h", "1e3st", "nan", "nanh", "inf", "infh", "30 m", "2.5st", "3w", "1h30m"],
)
def test_other_budgets_are_refused(text: str) -> None:
    rule = r"must be epochs \(30ep\), steps \(5000st\) or wall clock \(90s, 30m, 2h, 1d\), got"
    with pytest.raises(ValueError, match=rule) as raised:
        TrainLength.of_budget(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["0ep", "0st", "0s", "0.0h", "1000000000st", "277778h", "9" * 400 + "h"])
def test_budgets_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be above 0, and under 1e9 epochs, steps or seconds, got") as raised:
        TrainLength.of_budget(text)
    assert repr(text) in str(raised.value)


def test_wall_clock_is_known_in_steps_once_it_is_measured() -> None:
    asked = TrainLength.of_budget("2h")
    assert (asked.is_known, str(asked)) == (False, "2h")
    length = asked.measured(1234)
    assert (length.is_known, length.seconds, str(length)) == (True, 7200, "2h")
    assert length.in_steps(1000, 10) == 1234
    with pytest.raises(ValueError, match="seconds and the steps that fit them"):
        TrainLength(epochs=3, seconds=7200)
