"""Timing in turn, on a machine whose time is made up. No test here asserts how long anything takes."""

from collections.abc import Callable, Iterator
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.device import CallClock
from nas.measure import Precision, Samples, StepTime, step_time
from nas.measure.step_time import MAX_WARM_UP, MIN_ROUNDS, time_in_turn

FACTORS = st.floats(0.1, 10.0)


def steady(name: str, number: int) -> float:
    return {"candidate": 3.0, "reference": 2.0}[name]


def disagreeing(name: str, number: int) -> float:
    """Of the candidate's steps every other one takes three times as long."""
    return 1.0 if name == "reference" or number // 2 % 2 else 3.0


def take(on: Any, *, held_bytes: Callable[[], int] = lambda: 0, **precision: Any) -> Samples:
    return time_in_turn(
        on.call("candidate"),
        on.call("reference"),
        new_clock=on.clock,
        precision=Precision(**precision),
        held_bytes=held_bytes,
    )


def test_calls_are_taken_strictly_in_turn_and_the_warm_up_does_not_count(machine: Any) -> None:
    on = machine(steady)
    samples = take(on)
    turn = ["candidate", "reference"]
    assert on.order == [*turn * 2, "reference", *turn * 10]
    assert samples == Samples((3.0,) * 10, (2.0,) * 11, 2)


def test_a_step_is_set_against_the_reference_before_and_after_it() -> None:
    assert Samples((2.0, 6.0), (1.0, 3.0, 5.0), 2).ratios == [1.0, 1.5]


def test_samples_that_do_not_stand_in_turn_have_no_ratios() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = Samples((1.0,) * 7, (1.0,) * 7, 2).ratios


def test_it_looks_at_rounds_that_grow(machine: Any) -> None:
    looks: dict[int, list[int]] = {}

    class Clock(CallClock):
        def seconds(self) -> list[float]:
            looks.setdefault(id(self), []).append(len(super().seconds()))
            return super().seconds()

    on, clocks = machine(disagreeing), []

    def new_clock() -> CallClock:
        clocks.append(Clock(lambda: on.now))
        return clocks[-1]

    samples = time_in_turn(
        on.call("candidate"), on.call("reference"), new_clock=new_clock, precision=Precision(max_rounds=60)
    )
    of_candidate, of_reference = (looks[id(clock)] for clock in clocks[-2:])
    assert of_candidate == [10, 14, 19, 26, 36, 50, 60]
    assert of_reference == [number + 1 for number in of_candidate]
    assert len(samples.candidate_s) == 60


def test_it_ends_at_the_first_look_at_which_the_ratios_agree(machine: Any) -> None:
    # 12 rounds of 1 or 3, then 2 for ever. Of 19 rounds the interval is from rank 5 to 15: 1 to 3. Of 26 it is from
    # rank 8 to 19, and both are 2.
    def cost(name: str, number: int) -> float:
        rounds_before = (number - 5) // 2
        return 1.0 if name == "reference" else (1.0, 3.0)[rounds_before % 2] if rounds_before < 12 else 2.0

    assert len(take(machine(cost)).candidate_s) == 26


def test_ratios_that_never_agree_end_at_max_rounds(machine: Any, conditions: Any) -> None:
    samples = take(machine(disagreeing), max_rounds=33)
    found = StepTime.of(samples, conditions(), width=Precision.width)
    assert (found.num_rounds, found.precise) == (33, False)
    assert (found.low, found.high) == (1.0, 3.0)


@pytest.mark.parametrize(("max_seconds", "rounds"), [(0.001, MIN_ROUNDS), (30.9, MIN_ROUNDS), (31.1, 7), (38.5, 9)])
def test_seconds_end_it_but_not_before_an_interval_can_be_had(
    max_seconds: float, rounds: int, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = machine(lambda name, number: 1.0 if name == "candidate" and number % 4 == 1 else 2.0)
    monkeypatch.setattr(step_time, "time", SimpleNamespace(monotonic=lambda: on.now))
    # 2 rounds of 4 seconds to warm up, a step of the reference, then rounds of 3 and 4 seconds in turn.
    assert len(take(on, max_seconds=max_seconds).candidate_s) == rounds


def from_list(seconds: list[float], slow: str) -> Callable[[str, int], float]:
    return lambda name, number: seconds[min(number // 2, len(seconds) - 1)] if name == slow else 1.0


@pytest.mark.parametrize("slow", ["candidate", "reference"])
@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [
        ([4.0], 2),
        ([4.0, 3.9, 3.8], 2),
        ([8.0, 7.0, 6.0, 5.0, 4.9], 5),
        ([8.0, 4.0, 6.0, 2.0], 3),
        ([0.9**number for number in range(50)], MAX_WARM_UP),
    ],
    ids=["steady", "hardly faster", "faster and faster", "faster than ever, or not", "no end"],
)
def test_it_warms_up_while_steps_get_faster(seconds: list[float], rounds: int, slow: str, machine: Any) -> None:
    assert take(machine(from_list(seconds, slow))).warm_up_rounds == rounds


@pytest.mark.parametrize(
    ("held", "rounds"), [([0, 0], 2), ([5, 3], 2), ([1, 2, 3, 3], 4), (list(range(1, 50)), MAX_WARM_UP)]
)
def test_it_warms_up_while_memory_is_added(held: list[int], rounds: int, machine: Any) -> None:
    said: Iterator[int] = iter(held)
    assert take(machine(steady), held_bytes=lambda: next(said)).warm_up_rounds == rounds


def test_a_warm_up_without_end_ends_with_the_seconds(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    on = machine(steady)
    monkeypatch.setattr(step_time, "time", SimpleNamespace(monotonic=lambda: on.now))
    held = iter(range(100))
    samples = take(on, held_bytes=lambda: next(held), max_seconds=20.0)
    assert (samples.warm_up_rounds, len(samples.candidate_s)) == (4, MIN_ROUNDS)


@given(FACTORS, FACTORS, st.floats(-0.003, 0.1))
def test_a_drift_that_is_linear_leaves_no_bias(machine: Any, own: float, reference: float, slope: float) -> None:
    def cost(name: str, number: int) -> float:
        return (own if name == "candidate" else reference) * (1 + slope * number)

    samples = take(machine(cost))
    assert samples.ratios == pytest.approx([own / reference] * len(samples.candidate_s), rel=1e-6)


@given(FACTORS, st.lists(FACTORS, min_size=40, max_size=40), st.integers(12, 30))
def test_a_load_that_neighbours_share_cancels(machine: Any, own: float, loads: list[float], steps: int) -> None:
    # It changes every `steps` steps, so at most one round in six meets two loads.
    on = machine(lambda name, number: (own if name == "candidate" else 1.0) * loads[number // steps])
    samples = take(on)
    assert median(samples.ratios) == pytest.approx(own, rel=1e-6)
