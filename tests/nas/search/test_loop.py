"""A search keeps to its budget and ends as it should; without an engine."""

import random

import pytest

from nas.measure import Prediction
from nas.search.forecast import Forecast
from nas.search.samplers import SAMPLERS, Candidate, SpaceExhausted
from results import TrialResult, TrialStatus
from search_space import ArchSpec, Space
from tests.nas.search.sessions import Begin, MakeFinished, Ok, told_of


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_budget_of_trials_is_met_exactly(session: Begin, ok: Ok, workers: int, sampler: str) -> None:
    running = session(budget="8", workers=workers, sampler=sampler)
    running.run(ok)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert sorted(running.keys) == list(range(8))
    assert len(set(running.keys.values())) == 8
    assert running.finished == running.writer.trials
    assert running.told == told_of(running.finished)
    assert not running.loop.interrupted


def test_never_more_at_once_than_there_are_workers(session: Begin, ok: Ok) -> None:
    running = session(budget="9", workers=3)
    running.start_all(lambda index: 1.0)
    assert running.loop.num_running == 3
    assert running.loop.next() is None
    assert not running.loop.over
    running.end_next(ok)
    assert running.loop.num_running == 2
    running.start_all(lambda index: 1.0)
    assert [candidate.index for candidate in running.started] == [0, 1, 2, 3]


def test_a_budget_of_wall_clock_is_kept(session: Begin, ok: Ok) -> None:
    running = session(budget="60s", workers=2, expected_s=10)
    running.run(ok, lambda index: 4.0 + index % 3)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert 54 <= running.clock.now_s <= 60
    assert all(trial.started_s + 6 <= 60 for trial in running.writer.trials if trial.index > 5)


def test_a_budget_of_device_time_is_kept(session: Begin, ok: Ok) -> None:
    running = session(budget="60cpu-s", workers=2, devices=2, expected_s=3)
    running.run(ok, lambda index: 3.0)
    assert [trial.device_seconds for trial in running.writer.trials] == [6.0] * 10
    assert (running.loop.stop_reason or "").startswith("the budget")


def test_device_time_that_a_trial_leaves_over_is_used(session: Begin, finished: MakeFinished) -> None:
    # The first two are expected to use all of it; the one that fails at once leaves room for more.
    running = session(budget="20cpu-s", workers=2, expected_s=9)
    running.start_all(lambda index: 1.0 if index == 0 else 9.0)
    assert running.loop.num_running == 2
    assert running.loop.next() is None
    running.end_next(lambda index, seconds: finished(TrialStatus.FAILED, seconds=seconds))
    assert running.loop.stop_reason is None
    running.start_all(lambda index: 9.0)
    assert [candidate.index for candidate in running.started] == [0, 1, 2]


def test_a_budget_that_is_too_small_for_one_trial(session: Begin, ok: Ok) -> None:
    running = session(budget="5s", expected_s=10)
    running.run(ok)
    assert running.loop.over
    assert running.writer.trials == []


class KnownLengths(Forecast):
    """Foresees 2.0 for every step time, and for its trial what `lengths` says, in the order of asking."""

    def __init__(self, lengths: list[float | None]) -> None:
        super().__init__()
        self.lengths = lengths
        self.learned: list[TrialResult] = []

    def step_time(self, arch: ArchSpec) -> Prediction | None:
        return Prediction(ratio=2.0, low=1.5, high=2.5)

    def trial_seconds(self, predicted: Prediction | None) -> float | None:
        return self.lengths.pop(0)

    def learn(self, trial: TrialResult) -> None:
        self.learned.append(trial)


def test_a_trial_that_is_foreseen_to_be_short_still_fits(session: Begin, ok: Ok) -> None:
    # The longest so far took 9 of 20 seconds: without a forecast nothing more would be started after the second.
    forecast = KnownLengths([9.0, 9.0, 1.5, 3.0])
    running = session(budget="20s", forecast=forecast)
    running.run(ok, lambda index: (9.0, 9.0, 1.5)[index])
    assert [trial.index for trial in running.writer.trials] == [0, 1, 2]
    assert running.loop.stop_reason == "the budget has no room for another trial: 3 s expected, 0.5s left"
    assert forecast.learned == running.writer.trials
    predicted = {
        (trial.step_time_predicted, trial.step_time_predicted_low, trial.step_time_predicted_high)
        for trial in running.writer.trials
    }
    assert predicted == {(2.0, 1.5, 2.5)}


def test_a_candidate_that_does_not_fit_yet_is_not_lost(session: Begin, finished: MakeFinished) -> None:
    forecast = KnownLengths([9.0, 9.5, 12.0, 12.0])
    running = session(budget="20cpu-s", workers=3, forecast=forecast)
    running.start_all(lambda index: 1.0 if index == 0 else 9.0)
    assert running.loop.num_running == 2
    running.end_next(lambda index, seconds: finished(TrialStatus.FAILED, seconds=0.5))
    assert running.loop.next() is None
    forecast.lengths = [5.0]
    candidate = running.loop.next()
    assert candidate is not None
    assert candidate.index == 2


def test_an_interrupted_search_finishes_what_runs(session: Begin, ok: Ok) -> None:
    running = session(budget="20", workers=3)
    running.start_all(lambda index: 1.0)
    running.loop.interrupt()
    running.loop.interrupt()
    assert running.loop.next() is None
    assert (running.loop.interrupted, running.loop.stop_reason, running.loop.over) == (True, "interrupted", False)
    for _ in range(3):
        assert not running.loop.over
        running.end_next(ok)
        assert running.loop.next() is None
    assert running.loop.over
    assert sorted(running.keys) == [0, 1, 2]


def test_the_first_reason_to_stop_stays(session: Begin) -> None:
    loop = session().loop
    loop.stop("first")
    loop.stop("second")
    assert (loop.stop_reason, loop.interrupted) == ("first", False)


def test_a_space_that_is_used_up_ends_the_search(session: Begin, ok: Ok, eight: Space) -> None:
    running = session(space=eight, budget="12", workers=2)
    running.run(ok)
    assert len(running.keys) == 8
    assert running.loop.stop_reason == "no network of the space eight is left to try: 8 were proposed"
    assert running.loop.notes == (
        f"the search ended early, with 4 trials of its budget left: {running.loop.stop_reason}",
    )


@pytest.mark.parametrize("order", range(4))
def test_random_proposes_the_same_at_any_number_of_workers(session: Begin, ok: Ok, order: int) -> None:
    alone = session("alone", budget="20")
    alone.run(ok)
    rng = random.Random(order)
    lengths = [rng.uniform(0.1, 10) for _ in range(20)]
    together = session("together", budget="20", workers=3)
    together.run(ok, lambda index: lengths[index])
    assert [trial.index for trial in together.writer.trials] != list(range(20)), "they end in another order"
    assert together.keys == alone.keys
    assert {trial.index: trial.seed for trial in together.writer.trials} == {
        trial.index: trial.seed for trial in alone.writer.trials
    }
    other = session("other", budget="20", seed=4)
    other.run(ok)
    assert other.keys != alone.keys


def test_every_trial_has_a_seed_of_its_own(session: Begin) -> None:
    loops = [session(f"seed-{seed}", seed=seed).loop for seed in (0, 1, 2**32 - 1)]
    seeds = [loop.trial_seed(index) for loop in loops for index in range(1000)]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**63


def test_an_exhausted_sampler_keeps_the_number(session: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    running = session()

    def exhausted(index: int) -> Candidate[ArchSpec]:
        raise SpaceExhausted("nothing is left")

    monkeypatch.setattr(running.sampler, "ask", exhausted)
    assert running.loop.next() is None
    assert (running.loop.stop_reason, running.loop.over, running.loop._next_index) == ("nothing is left", True, 0)
