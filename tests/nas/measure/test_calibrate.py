"""Block tables made, kept and found. How long a part takes, no test can know."""

import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.device import Compute, DType
from nas.measure import Calibration, block_table, calibrate, kept_calibration, space_parts
from nas.measure.block_table import MIN_ROUNDS, _rounds, versions_here
from nas.measure.calibration import save_calibration
from nas.train import Recipe
from search_space import Space, StageChoices

SETTING: dict[str, Any] = {"recipe": Recipe(), "compute": Compute(), "batch_size": 4, "image_size": 8}


def test_a_part_is_set_against_the_reference_around_it(machine: Any) -> None:
    # Part n takes n + 1 seconds and the reference 1 and 3 in turn; in the first round the parts ten times as long.
    num_parts = 19
    steps_a_round = num_parts + 4

    def cost(name: str, number: int) -> float:
        if name == "reference":
            return 1.0 + 2 * (on.order.count(name) % 2)
        return (float(name) + 1) * (10 if number < steps_a_round else 1)

    on = machine(cost)
    rounds = _rounds(
        [on.call(str(number)) for number in range(num_parts)],
        on.call("reference"),
        SimpleNamespace(clock=on.clock),  # type: ignore[arg-type]
        ends=0.0,
        rng=random.Random(0),
    )
    assert len(rounds) == MIN_ROUNDS
    for found in rounds:
        assert found.reference_s == pytest.approx([1.0, 3.0, 1.0, 3.0])
        assert found.ratios == {number: pytest.approx((number + 1) / 2) for number in range(num_parts)}
    orders = [on.order[start : start + steps_a_round] for start in range(0, len(on.order), steps_a_round)]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders) == MIN_ROUNDS + 1
    assert all(
        [order.index("reference"), order[9], order[18], order[-1]] == [0, *["reference"] * 3] for order in orders
    )


@pytest.fixture(scope="module")
def made_once(small_space: Space, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return calibrate(small_space, **SETTING, seconds=0.0)


@pytest.fixture
def made(made_once: Calibration) -> Calibration:
    save_calibration(made_once)
    return made_once


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_space_is_calibrated_kept_and_found(dtype: DType, odd_space: Space) -> None:
    setting = SETTING | {"compute": Compute(dtype=dtype), "recipe": Recipe(dropout=0.1, drop_path=0.1)}
    before = torch.get_rng_state()
    found = calibrate(odd_space, **setting, seconds=0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(found.parts) == [part.name for part in space_parts(odd_space, 8)]
    assert {part.num_rounds for part in found.parts.values()} == {MIN_ROUNDS}
    assert (found.conditions.compute.dtype, found.conditions.drop_path) == (dtype, 0.1)
    assert (found.reference, found.versions) == (odd_space.reference, versions_here())
    assert datetime.fromisoformat(found.made_at).tzinfo is not None
    assert kept_calibration(odd_space, **setting) == found


def test_time_enough_gives_as_many_rounds_as_there_may_be(small_space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_table, "MAX_ROUNDS", MIN_ROUNDS + 3)
    found = calibrate(small_space, **SETTING, seconds=1e9)
    assert {part.num_rounds for part in found.parts.values()} == {MIN_ROUNDS + 3}


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 8},
        {"image_size": 9},
        {"recipe": Recipe(optimizer="adamw")},
        {"recipe": Recipe(drop_path=0.1)},
        *({"compute": Compute(**how)} for how in ({"threads": 2}, {"dtype": "bfloat16"}, {"channels_last": False})),
    ],
    ids=str,
)
def test_it_is_not_found_under_another_setting(change: dict[str, Any], made: Calibration, small_space: Space) -> None:
    assert kept_calibration(small_space, **SETTING) == made
    assert kept_calibration(small_space, **(SETTING | change)) is None


def test_it_is_not_found_with_another_version(
    made: Calibration, small_space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"torch", "trainaware-nas", "instructions"} == set(made.versions)
    for name in made.versions:
        with monkeypatch.context() as patch:
            patch.setattr(block_table, "versions_here", lambda name=name: made.versions | {name: "another"})
            assert kept_calibration(small_space, **SETTING) is None
    assert kept_calibration(small_space, **SETTING) == made


def test_a_space_with_more_parts_or_another_reference_is_not_served(made: Calibration, small_space: Space) -> None:
    assert kept_calibration(replace(small_space, name="renamed"), **SETTING) == made
    wider = replace(small_space.stages[-1], width=(16, 24))
    assert kept_calibration(replace(small_space, stages=(small_space.stages[0], wider)), **SETTING) is None
    last = StageChoices(op=("conv",), width=(16,), depth=(0, 1))
    assert kept_calibration(replace(small_space, stages=(*small_space.stages, last)), **SETTING) is None
    other = small_space.decode([1] * len(small_space.decisions))
    assert kept_calibration(replace(small_space, reference=other), **SETTING) is None
    assert kept_calibration(small_space.with_num_classes(11), **SETTING) is None


def test_a_batch_of_one_is_refused_before_anything_is_timed(small_space: Space) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        calibrate(small_space, **(SETTING | {"batch_size": 1}), seconds=0.0)
    assert kept_calibration(small_space, **SETTING) is None


def test_two_spaces_with_one_reference_are_both_served(made: Calibration, small_space: Space) -> None:
    save_calibration(made)
    deeper = replace(small_space.stages[-1], depth=(1, 2))
    wider = replace(small_space, name="wider", stages=(*small_space.stages[:-1], deeper))
    assert kept_calibration(wider, **SETTING) is None
    both = calibrate(wider, **SETTING, seconds=0.0)
    assert set(both.parts) > set(made.parts)
    assert kept_calibration(wider, **SETTING) == kept_calibration(small_space, **SETTING) == both
    again = calibrate(small_space, **SETTING, seconds=0.0)
    assert set(again.parts) == set(both.parts)
    assert kept_calibration(wider, **SETTING) == again


def test_what_cannot_be_kept_is_not_lost(small_space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "step-time").write_text("a file where the folder should be")
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path))
    with pytest.warns(UserWarning, match="holds for now, but could not be kept"):
        made = calibrate(small_space, recipe=Recipe(), compute=Compute(), batch_size=4, image_size=8, seconds=0.0)
    assert made.has(space_parts(small_space, 8))
