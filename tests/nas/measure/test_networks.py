"""Real networks timed: what comes back is a step time; how long it is, no test can know."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from nas.device import Compute, DType, describe_device
from nas.measure import (
    Conditions,
    Precision,
    StepTime,
    conditions_here,
    measure_dtype_gain,
    measure_step_time,
    networks,
)
from nas.measure.networks import training_step_call
from nas.measure.step_time import Interval, Samples
from nas.train import Recipe
from search_space import ArchSpec

SHORT = Precision(max_rounds=7)
Measure = Callable[..., StepTime]


@pytest.fixture
def measure(tiny_arch: ArchSpec, other_arch: ArchSpec) -> Measure:
    def run(**changes: Any) -> StepTime:
        settings: dict[str, Any] = {
            "recipe": Recipe(),
            "compute": Compute(),
            "batch_size": 4,
            "image_size": 8,
            "precision": SHORT,
        }
        return measure_step_time(tiny_arch, other_arch, **(settings | changes))

    return run


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_time_of_two_networks(dtype: DType, channels_last: bool, measure: Measure) -> None:
    compute = Compute(dtype=dtype, channels_last=channels_last)
    found = measure(compute=compute, recipe=Recipe(optimizer="adamw", drop_path=0.1))
    samples = found.samples
    assert (found.num_rounds, len(samples.candidate_s), len(samples.reference_s)) == (7, 7, 8)
    assert 2 <= samples.warm_up_rounds <= 20
    assert all(math.isfinite(taken) and taken > 0 for taken in (*samples.candidate_s, *samples.reference_s))
    assert 0 < found.low <= found.ratio <= found.high
    assert found.precise == (found.high - found.low <= SHORT.width * found.ratio)
    assert found.conditions == Conditions(
        device=describe_device(compute),
        compute=compute,
        batch_size=4,
        image_size=8,
        optimizer="adamw",
        drop_path=0.1,
    )


def test_the_gain_of_a_dtype_is_a_float32_step_over_a_bfloat16_one(
    tiny_arch: ArchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = {"float32": 3.0, "bfloat16": 2.0}
    asked: list[tuple[str, int]] = []

    def in_turn(candidate: Callable[[], None], reference: Callable[[], None], **settings: Any) -> Samples:
        candidate(), reference()
        slow, fast = (took[dtype] for dtype, _ in asked)
        return Samples((slow,) * 7, (fast,) * 8, 2)

    def call(arch: ArchSpec, *, compute: Compute, batch_size: int, **_: Any) -> Callable[[], None]:
        return lambda: asked.append((compute.dtype, batch_size))

    monkeypatch.setattr(networks, "time_in_turn", in_turn)
    monkeypatch.setattr(networks, "training_step_call", call)
    found = measure_dtype_gain(
        tiny_arch, recipe=Recipe(), compute=Compute(), batch_size=4, image_size=8, precision=SHORT
    )
    assert asked == [("float32", 4), ("bfloat16", 4)]
    assert found == Interval(1.5, 1.5, 1.5)


def test_the_conditions_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "describe_device", lambda compute: f"a chip at {compute.threads}")
    found = conditions_here(
        recipe=Recipe(optimizer="rmsprop"), compute=Compute(threads=3), batch_size=16, image_size=24
    )
    assert (found.device, found.compute, found.batch_size) == ("a chip at 3", Compute(threads=3), 16)
    assert (found.image_size, found.optimizer, found.drop_path) == (24, "rmsprop", 0.0)


def test_without_a_precision_the_usual_one_holds(measure: Measure) -> None:
    found = measure(precision=None)
    assert 10 <= found.num_rounds <= Precision().max_rounds


def test_measuring_leaves_torchs_own_randomness_alone(measure: Measure) -> None:
    before = torch.get_rng_state()
    measure(seed=3, recipe=Recipe(dropout=0.2, drop_path=0.2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_of_one_is_refused(measure: Measure) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        measure(batch_size=1)


def test_a_step_trains_the_network(tiny_arch: ArchSpec) -> None:
    # On a batch of its own that stays: its loss falls.
    losses: list[float] = []

    def keep(step: Any) -> Any:
        def call(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            losses.append(float(loss := step(images, labels)))
            return loss

        return call

    real = networks.TrainingStep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "TrainingStep", lambda *args: keep(real(*args)))
        call = training_step_call(
            tiny_arch,
            recipe=Recipe(),
            compute=Compute(),
            batch_size=8,
            image_size=8,
            generator=torch.Generator().manual_seed(0),
        )
    for _ in range(20):
        call()
    assert losses[-1] < losses[0] / 2
