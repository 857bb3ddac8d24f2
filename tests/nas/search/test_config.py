"""What a search is asked: its rules, and the way through a run's config.json."""

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from nas.data import DataConfig
from nas.search import SearchConfig
from nas.search.confirm import Confirming
from nas.train import Recipe
from results import Limits
from search_space import parse_json


def saved(config: SearchConfig) -> str:
    """As it stands in config.json."""
    return json.dumps(asdict(config), default=str)


CHANGED = SearchConfig(
    space="my-space.yaml",
    data="pictures",
    data_root=Path("downloads"),
    download=True,
    holdout=0.25,
    max_images=1000,
    budget="6cpu-h",
    train_length="1.5ep",
    recipe=Recipe(optimizer="adamw", peak_lr=0.003, augment=True, label_smoothing=0.1),
    evaluator="supernet",
    supernet="runs/super",
    image_size=48,
    batch_size=100,
    w=-0.1,
    v=0.0,
    max_params=10**6,
    min_params=10,
    max_step_time=1.5,
    min_accuracy=0.5,
    sampler="tpe",
    goal="front",
    confirm_share=0.0,
    confirm=2,
    repeat=5,
    seed=2**32 - 1,
    workers=3,
    device="cuda",
    cpus_per_trial=2,
    gpus_per_trial=0.5,
    dtype="bfloat16",
    deadline=60.5,
    address="auto",
)


WARM = SearchConfig(warm_start="runs/super")


def test_every_field_is_tested() -> None:
    default = SearchConfig()
    same = [
        field.name for field in fields(SearchConfig) if getattr(CHANGED, field.name) == getattr(default, field.name)
    ]
    assert same == ["warm_start"], "which cannot be given beside a supernet"
    assert default.inherits_from is None
    assert (CHANGED.inherits_from, WARM.inherits_from) == ("runs/super", "runs/super")
    assert WARM.anchored().warm_start == str(Path("runs/super").absolute())


@pytest.mark.parametrize("config", [SearchConfig(), CHANGED, WARM], ids=["default", "changed", "warm"])
def test_what_is_saved_is_read_again(config: SearchConfig) -> None:
    again = parse_json(SearchConfig, saved(config))
    assert again == config
    assert isinstance(again.recipe, Recipe)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"budget": "soon"}, "a budget must be trials (40), time (30m, 8h, 2d) or device time (6gpu-h, 6cpu-h), got"),
        ({"train_length": "1h"}, "a training's length must be steps (450) or epochs (2ep), got '1h'"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"cpus_per_trial": 0}, "cpus_per_trial must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, "seed must be at most 4294967295, got 4294967296"),
        ({"image_size": 3}, "image_size must be at least 4, got 3"),
        ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
        ({"deadline": 0}, "deadline must be above 0 seconds, got 0"),
        ({"deadline": math.nan}, "deadline must be above 0 seconds, got nan"),
        ({"gpus_per_trial": -0.5}, "gpus_per_trial must be from 0 to 1"),
        ({"gpus_per_trial": 2}, "gpus_per_trial must be from 0 to 1 (a trial trains on one GPU), got 2"),
        ({"gpus_per_trial": math.nan}, "gpus_per_trial must be from 0 to 1"),
        ({"gpus_per_trial": 1, "device": "cpu"}, "gpus_per_trial must be 0 on device cpu, got 1"),
        ({"gpus_per_trial": 0, "device": "cuda"}, "gpus_per_trial must be above 0 on device cuda, got 0"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ({"goal": "speed"}, "goal must be one of reward, front, got 'speed'"),
        ({"confirm_share": 1.0}, "confirm_share must be at least 0 and below 1, got 1.0"),
        (
            {"evaluator": "supernet", "supernet": "runs/super", "budget": "30"},
            "budget must be above the 30 trainings that confirm 5 with repeat 3 takes, got 30",
        ),
        (
            {"evaluator": "supernet", "supernet": "runs/super", "warm_start": "runs/super"},
            "warm_start cannot be given with evaluator supernet, which trains no candidate",
        ),
        ({"confirm_share": -0.2}, "confirm_share must be at least 0 and below 1, got -0.2"),
        ({"evaluator": "oracle"}, "evaluator must be one of training, supernet, got 'oracle'"),
        ({"evaluator": "supernet"}, "supernet must be given with evaluator supernet, and only then, got None"),
        ({"supernet": "runs/a"}, "supernet must be given with evaluator supernet, and only then, got 'runs/a'"),
        ({"repeat": 1}, "repeat must be at least 2 (one training has no spread), got 1"),
        ({"dtype": "float16"}, "dtype must be one of auto, float32, bfloat16, got 'float16'"),
        ({"w": math.nan}, "Objective.w must be a number from -10 to 10, got nan"),
        ({"v": 11.0}, "Objective.v must be a number from -10 to 10, got 11.0"),
        ({"max_params": 0}, "Limits.max_params must be an integer of at least 1, got 0"),
        ({"max_params": 5, "min_params": 6}, "Limits.min_params must be at most max_params, 5, got 6"),
        ({"max_step_time": -1.0}, "Limits.max_step_time must be finite and above 0, got -1.0"),
        ({"min_accuracy": 50.0}, "Limits.min_accuracy must be a share from 0 to 1, got 50.0"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        SearchConfig(**given)
    assert str(raised.value).startswith(rule)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workers", "2"),
        ("workers", True),
        ("batch_size", 32.5),
        ("device", "tpu"),
        ("goal", "speed"),
        ("repeat", 2.5),
        ("confirm_share", 1),
        ("recipe", {"peak_lr": "0.1"}),
        ("recipe", {"peak_lrr": 0.1}),
        ("recipe", {"momentum": 1}),
        ("seed", -1),
        ("budgets", "8h"),
    ],
)
def test_a_file_is_read_strictly(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        parse_json(SearchConfig, json.dumps({field: value}))


def test_what_is_confirmed_follows_from_it() -> None:
    assert CHANGED.confirming() == Confirming(share=0.0, repeat=5, alone=2)
    assert CHANGED.confirming().num_alone == 20, "from random weights, and from the supernet's"
    assert SearchConfig().confirming() == Confirming(share=0.2, repeat=3)


def test_a_config_of_an_older_version_is_read() -> None:
    older = json.loads(saved(SearchConfig(sampler="random")))
    for name in ("goal", "confirm_share", "confirm", "repeat", "evaluator", "supernet", "warm_start"):
        del older[name]
    assert parse_json(SearchConfig, json.dumps(older)) == SearchConfig(sampler="random")


def test_limits_and_data_follow_from_it() -> None:
    assert CHANGED.limits() == Limits(max_params=10**6, min_params=10, max_step_time=1.5, min_accuracy=0.5)
    assert CHANGED.data_config(48) == DataConfig(
        data="pictures",
        image_size=48,
        root=Path("downloads"),
        holdout=0.25,
        split_seed=2**32 - 1,
        max_images=1000,
        download=True,
    )


@pytest.mark.parametrize(
    ("length", "num_images", "batch_size", "steps"),
    [
        ("450", 10, 10, 450),
        ("2ep", 1000, 100, 20),
        (None, 50_000, 64, 300),
        (None, 640, 64, 50),
        (None, 1, 64, 1),
    ],
)
def test_steps_of_a_short_training(length: str | None, num_images: int, batch_size: int, steps: int) -> None:
    assert SearchConfig(train_length=length).train_steps(num_images, batch_size) == steps


def test_paths_are_made_absolute_for_workers_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert SearchConfig().anchored() == SearchConfig()
    anchored = SearchConfig(data="pictures", data_root=Path("downloads")).anchored()
    assert (anchored.data, anchored.data_root) == (str(tmp_path / "pictures"), tmp_path / "downloads")
    assert anchored.anchored() == anchored
    at_home = SearchConfig(data="~/pictures", data_root=Path("~/downloads")).anchored()
    assert (at_home.data, at_home.data_root) == (str(tmp_path / "home/pictures"), tmp_path / "home/downloads")
