"""What is known of a candidate beforehand: from a block table that is made up here, and trials that were never run."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.device import Compute
from nas.measure import Calibration, Conditions, Prediction, space_parts
from nas.measure.calibration import PartTime
from nas.search.config import SearchConfig
from nas.search.forecast import Forecast
from nas.search.plan import Plan
from nas.search.samplers import SpaceExhausted
from results import TrialResult, TrialStatus, Weights
from search_space import ArchSpec, Space

DEVICE = "a chip"


@pytest.fixture
def calibration(small_space: Space) -> Calibration:
    """Every part costs as its multiply-adds say."""
    parts = space_parts(small_space, small_space.image_size)
    return Calibration(
        conditions=Conditions(
            device=DEVICE, compute=Compute(), batch_size=16, image_size=8, optimizer="sgd", drop_path=0.0
        ),
        versions={"torch": "1"},
        reference=small_space.reference,
        reference_s=0.01,
        parts={part.name: PartTime(ratio=0.01 * (1 + number % 7), num_rounds=5) for number, part in enumerate(parts)},
        seconds=1.0,
        made_at="2026-11-22T00:00:00+00:00",
    )


@pytest.fixture
def forecast(calibration: Calibration) -> Forecast:
    found = Forecast()
    found.begin(calibration, [])
    return found


def trial(arch: ArchSpec, ratio: float, *, index: int = 0, seconds: float = 10.0, device: str = DEVICE) -> TrialResult:
    return TrialResult(
        index=index,
        status=TrialStatus.OK,
        key=arch.key,
        arch=arch,
        seed=0,
        params=arch.params,
        macs=0,
        seconds=seconds,
        device_seconds=seconds,
        started_s=0,
        ended_s=seconds,
        worker="host:1",
        device=device,
        accuracy=0.5,
        step_time_ratio=ratio,
        step_time_ratio_low=ratio / 1.01,
        step_time_ratio_high=ratio * 1.01,
    )


def networks(space: Space, count: int) -> list[ArchSpec]:
    rng = random.Random(1)
    return [space.sample(rng) for _ in range(count)]


def test_nothing_is_known_without_a_calibration(small_space: Space) -> None:
    forecast = Forecast()
    forecast.learn(trial(small_space.reference, 1.0))
    assert forecast.step_time(small_space.reference) is None
    assert forecast.trial_seconds(None) is None


def test_the_reference_takes_once_its_own_time(forecast: Forecast, small_space: Space) -> None:
    found = forecast.step_time(small_space.reference)
    assert found is not None
    assert found.low < 1.0 < found.high
    assert found.ratio == pytest.approx(1.0, abs=1e-3)


def test_a_trial_corrects_what_is_predicted(forecast: Forecast, small_space: Space) -> None:
    arch = networks(small_space, 1)[0]
    before = forecast.step_time(arch)
    assert before is not None
    forecast.learn(trial(arch, before.ratio * 1.2))
    after = forecast.step_time(arch)
    assert after is not None
    assert before.ratio < after.ratio < before.ratio * 1.2
    assert after.high / after.low < before.high / before.low


def test_what_was_measured_on_another_device_teaches_nothing(forecast: Forecast, small_space: Space) -> None:
    arch = networks(small_space, 1)[0]
    before = forecast.step_time(arch)
    forecast.learn(trial(arch, 100.0, device="another chip"))
    forecast.learn(replace(trial(arch, 100.0), step_time_ratio_low=None, step_time_ratio_high=None))
    assert forecast.step_time(arch) == before


def test_a_trials_length_follows_its_step_time_once_three_were_seen(forecast: Forecast, small_space: Space) -> None:
    archs = networks(small_space, 4)
    predicted = Prediction(ratio=4.0, low=3.9, high=4.1)
    # 5 s and 3 s more for each unit of step time; the last took a tenth longer than that.
    for index, (arch, ratio) in enumerate(zip(archs, (1.0, 2.0, 3.0), strict=False)):
        assert forecast.trial_seconds(predicted) is None
        forecast.learn(trial(arch, ratio, index=index, seconds=5.0 + 3.0 * ratio))
    assert forecast.trial_seconds(predicted) == pytest.approx(17.0)
    assert forecast.trial_seconds(None) is None
    forecast.learn(trial(archs[3], 3.0, index=3, seconds=15.4))
    assert 17.0 < (forecast.trial_seconds(predicted) or 0.0) < 1.2 * 17.0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(1, 1000)), min_size=3, max_size=10))
def test_no_trial_so_far_took_longer_than_one_like_it_is_expected_to(told: list[tuple[float, float]]) -> None:
    forecast = Forecast()
    forecast._lengths = told
    for ratio, seconds in told:
        assert (forecast.trial_seconds(Prediction(ratio=ratio, low=ratio, high=ratio)) or 0.0) >= seconds * (1 - 1e-9)


def test_an_earlier_sessions_trials_count(calibration: Calibration, forecast: Forecast, small_space: Space) -> None:
    trials = [trial(arch, 1.5, index=index) for index, arch in enumerate(networks(small_space, 5))]
    for each in trials:
        forecast.learn(each)
    resumed = Forecast()
    resumed.begin(calibration, trials)
    arch = networks(small_space, 6)[5]
    assert resumed.step_time(arch) == forecast.step_time(arch)


@pytest.fixture
def plan_of(small_space: Space, tmp_path: Path) -> Callable[..., Plan]:
    def make(**settings: object) -> Plan:
        config = SearchConfig(data="digits", image_size=8, **settings)  # type: ignore[arg-type]
        return Plan.of(config, small_space)

    return make


def test_networks_that_are_surely_too_slow_are_never_proposed(
    plan_of: Callable[..., Plan], forecast: Forecast, small_space: Space
) -> None:
    ratios = [found.ratio for arch in networks(small_space, 200) if (found := forecast.step_time(arch))]
    limit = sorted(ratios)[len(ratios) // 3]
    sampler = plan_of(max_step_time=limit).sampler(forecast)
    lows = [found.low for index in range(20) if (found := forecast.step_time(sampler.ask(index).arch))]
    assert len(lows) == 20
    assert max(lows) <= limit
    assert max(ratios) / 1.5 > limit, "there were networks to refuse"


def test_without_a_limit_or_a_calibration_nothing_is_refused(plan_of: Callable[..., Plan], forecast: Forecast) -> None:
    def proposed(sampler_forecast: Forecast, **settings: object) -> list[str]:
        sampler = plan_of(**settings).sampler(sampler_forecast)
        return [sampler.ask(index).arch.key for index in range(10)]

    assert proposed(forecast) == proposed(Forecast()) == proposed(Forecast(), max_step_time=1e-6)


def test_a_limit_that_no_network_keeps_names_what_was_predicted(
    plan_of: Callable[..., Plan], forecast: Forecast
) -> None:
    sampler = plan_of(max_step_time=1e-6).sampler(forecast)
    sampler.MAX_TRIES = 200
    with pytest.raises(SpaceExhausted, match=r"refused were predicted step time from [\d.]+ to [\d.]+$"):
        sampler.ask(0)


def test_a_tenth_of_the_training_is_spent_on_its_step_time(plan_of: Callable[..., Plan]) -> None:
    assert plan_of(train_length="300").precision(Weights.OWN).max_rounds == 30
    assert plan_of(train_length="20").precision(Weights.OWN).max_rounds == 15
    assert plan_of(train_length="300").precision(Weights.SUPERNET).max_rounds == 6
