"""What a training is told: its length and its recipe, and how a wrong one is refused."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.train import Recipe, TrainLength
from search_space import parse_json


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
    ("fields", "rule"),
    [
        ({"optimizer": "adam"}, "Recipe.optimizer must be one of sgd, adamw, rmsprop, got 'adam'"),
        ({"peak_lr": 0}, "Recipe.peak_lr must be above 0, got 0"),
        ({"peak_lr": math.inf}, "Recipe.peak_lr must be above 0, got inf"),
        ({"peak_lr": math.nan}, "Recipe.peak_lr must be above 0, got nan"),
        ({"momentum": 1}, "Recipe.momentum must be at least 0 and below 1, got 1"),
        ({"warmup": -0.1}, "Recipe.warmup must be at least 0 and below 1, got -0.1"),
        ({"warmup": 1.0}, "Recipe.warmup must be at least 0 and below 1, got 1.0"),
        ({"label_smoothing": math.nan}, "Recipe.label_smoothing must be at least 0 and below 1, got nan"),
        ({"dropout": 2}, "Recipe.dropout must be at least 0 and below 1, got 2"),
        ({"drop_path": -1}, "Recipe.drop_path must be at least 0 and below 1, got -1"),
        ({"weight_decay": -1e-5}, "Recipe.weight_decay must be at least 0, got -1e-05"),
        ({"weight_decay": math.inf}, "Recipe.weight_decay must be at least 0, got inf"),
    ],
)
def test_a_recipe_names_the_rule_and_the_value(fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        Recipe(**fields)
    assert str(raised.value) == rule


@pytest.mark.parametrize(
    "text", ['{"peak_lr": "0.1"}', '{"peak_lrr": 0.1}', '{"augment": 1}', '{"optimizer": "adam"}', '{"dropout": 1}']
)
def test_a_recipe_in_a_file_is_read_strictly(text: str) -> None:
    name = text.split('"')[1].removesuffix("r")
    with pytest.raises(ValueError, match=name):
        parse_json(Recipe, text)
