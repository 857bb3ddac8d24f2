"""What a training is told: its length and its recipe, and how a wrong one is refused."""

import math
from typing import Any

import pytest

from nas.train import Recipe
from search_space import parse_json


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
