"""Real networks timed: what comes back is a step time; how long it is, no test can know."""

import math

import pytest
import torch

from nas.device import Compute
from nas.measure import measure_step_time
from nas.measure.networks import training_step_call
from nas.train import Recipe
from search_space import ArchSpec


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_time_of_two_networks(dtype: str, tiny_arch: ArchSpec, other_arch: ArchSpec) -> None:
    compute = Compute(dtype=dtype)  # type: ignore[arg-type]
    step_time = measure_step_time(
        tiny_arch, other_arch, recipe=Recipe(), compute=compute, batch_size=4, image_size=8, rounds=6
    )
    numbers = (step_time.seconds, step_time.reference_seconds, step_time.low, step_time.ratio, step_time.high)
    assert all(math.isfinite(number) and number > 0 for number in numbers)
    assert step_time.low <= step_time.ratio <= step_time.high
    assert (step_time.num_rounds, step_time.batch_size, step_time.image_size) == (6, 4, 8)


def test_a_network_against_itself(tiny_arch: ArchSpec) -> None:
    step_time = measure_step_time(tiny_arch, tiny_arch, recipe=Recipe(), compute=Compute(), batch_size=4, image_size=8)
    assert step_time.num_rounds == 15
    assert step_time.low > 0


def test_measuring_leaves_torchs_own_randomness_alone(tiny_arch: ArchSpec, other_arch: ArchSpec) -> None:
    before = torch.get_rng_state()
    measure_step_time(
        tiny_arch, other_arch, recipe=Recipe(), compute=Compute(), batch_size=4, image_size=8, rounds=6, seed=3
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_of_one_is_refused(tiny_arch: ArchSpec) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 2, got 1"):
        training_step_call(
            tiny_arch, recipe=Recipe(), compute=Compute(), batch_size=1, image_size=8, generator=torch.Generator()
        )
