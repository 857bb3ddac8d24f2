"""The last share of a budget trains the best networks anew."""

from typing import Any

import pytest

from nas.search.loop import Finished
from results import TrialStatus, Weights
from search_space import Space
from tests.nas.search.sessions import Begin, MakeFinished, Ok, Session, told_of


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("budget", "share", "searched"),
    [(20, 0.2, 16), (16, 0.2, 12), (23, 0.2, 18), (10, 0.4, 6), (10, 0.7, 3), (20, 0.29, 14), (10, 0.8, 2)],
)
def test_a_budget_of_trials_with_a_confirmation_is_met_exactly(
    session: Begin, ok: Ok, budget: int, share: float, searched: int, workers: int
) -> None:
    running = session(budget=str(budget), workers=workers, confirm_share=share)
    running.run(ok)
    assert sorted(running.keys) == list(range(budget))
    assert (len(running.searched), len(running.repeated)) == (searched, budget - searched)
    assert (running.loop.stop_reason or "").startswith("the budget")
    assert running.loop.notes == ()
    assert len({trial.key for trial in running.searched}) == searched


@pytest.mark.parametrize(("repeat", "num_networks"), [(2, 5), (3, 3), (5, 2), (9, 2)])
def test_the_best_are_trained_anew_in_turn(session: Begin, ok: Ok, repeat: int, num_networks: int) -> None:
    running = session(budget="20", confirm_share=0.5, repeat=repeat)
    running.run(ok)
    best = sorted(running.searched, key=lambda trial: -running.loop.objective.reward(trial))[:num_networks]
    expected = [(best[place % num_networks].key, 1 + place // num_networks) for place in range(10)]
    assert [(trial.key, trial.repeat) for trial in running.repeated] == expected
    assert running.loop.confirmation is not None
    assert running.loop.confirmation.num_networks == num_networks
    assert running.told == told_of(running.searched), "it is not the sampler's business"
    assert len({trial.seed for trial in running.writer.trials}) == 20
    assert len(running.writer.asks) == 10
    assert {trial.decisions for trial in running.repeated} == {trial.decisions for trial in best}


def test_a_budget_that_is_too_small_confirms_nothing_and_is_searched_with(session: Begin, ok: Ok) -> None:
    running = session(budget="14", confirm_share=0.2)
    running.run(ok)
    assert (len(running.searched), running.repeated, running.loop.confirmation) == (14, [], None)
    assert running.loop.notes == (
        "no network was confirmed: confirm_share 0.2 of the budget has room for 3 new trainings, and must have room "
        "for 4: give a larger budget or share",
    )


def test_where_nothing_was_measured_there_is_nothing_to_confirm(session: Begin, finished: MakeFinished) -> None:
    running = session(budget="20", confirm_share=0.2)
    running.run(lambda index, seconds: finished(TrialStatus.FAILED))
    assert (len(running.searched), running.repeated) == (20, [])
    assert running.loop.notes == (
        "no network was confirmed: 2 must have been measured within the limits by then, got 0",
    )


def test_with_a_worker_for_each_trial_the_first_results_are_waited_for(session: Begin, ok: Ok) -> None:
    running = session(budget="20", workers=20, confirm_share=0.2, repeat=2)
    running.start_all(lambda index: 1.0 + index)
    assert running.loop.num_running == 16
    assert running.loop.confirmation is None
    running.run(ok, lambda index: 1.0 + index)
    assert (len(running.searched), len(running.repeated)) == (16, 4)


def test_trainings_anew_that_fail_are_counted(session: Begin, ok: Ok, finished: MakeFinished) -> None:
    running = session(budget="20", confirm_share=0.3)

    def told(index: int, seconds: float) -> Finished:
        return ok(index, seconds) if index < 14 else finished(TrialStatus.DIVERGED, seconds=seconds)

    running.run(told)
    assert [trial.status for trial in running.repeated] == [TrialStatus.DIVERGED] * 6
    assert sorted(trial.repeat for trial in running.repeated) == [1, 1, 2, 2, 3, 3]
    assert running.loop.over
    assert running.told == told_of(running.searched)


def test_a_space_that_is_used_up_is_confirmed(session: Begin, ok: Ok, eight: Space) -> None:
    running = session(space=eight, budget="40", confirm_share=0.2)
    running.run(ok)
    assert (len(running.searched), len(running.repeated)) == (8, 8), "no more than its share"
    assert running.loop.stop_reason == "its best 2 networks were trained anew"
    assert running.loop.notes == (
        "the search ended early, with 24 trials of its budget left: no network of the space eight is left to try: "
        "8 were proposed",
    )


def test_an_interrupted_search_confirms_nothing(session: Begin, ok: Ok) -> None:
    running = session(budget="20", confirm_share=0.2, workers=2)
    running.run(ok, until=lambda: len(running.keys) == 13)
    running.loop.interrupt()
    running.run(ok)
    assert (len(running.keys), running.repeated, running.loop.stop_reason) == (15, [], "interrupted")
    assert running.loop.notes == ()
    resumed = session(budget="20", confirm_share=0.2)
    resumed.run(ok)
    assert (len(resumed.searched), len(resumed.repeated)) == (16, 4)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_of_the_wall_clock_is_for_confirming(session: Begin, ok: Ok, share: float) -> None:
    running = session(budget="100s", workers=2, expected_s=3, confirm_share=share)
    running.run(ok)
    search_ended_s = max(trial.ended_s for trial in running.searched)
    assert 100 * (1 - share) - 2 <= search_ended_s <= 100 * (1 - share)
    assert len(running.repeated) == 100 * share
    assert running.clock.now_s == 100


def test_a_share_of_the_device_time_is_for_confirming(session: Begin, ok: Ok) -> None:
    running = session(budget="100cpu-s", workers=3, devices=2, expected_s=2, confirm_share=0.3)
    running.run(ok)
    assert sum(trial.device_seconds for trial in running.searched) in (68, 72)
    assert sum(trial.device_seconds for trial in running.writer.trials) <= 100
    assert len(running.repeated) == 7


def test_slow_trainings_anew_end_within_the_clock(session: Begin, ok: Ok) -> None:
    running = session(budget="100s", expected_s=2, confirm_share=0.2)
    running.run(ok, lambda index: 5.0 if index >= 40 else 2.0)
    assert [trial.index for trial in running.repeated] == [41, 42, 43, 44]
    assert running.clock.now_s == 100
    assert (running.loop.stop_reason or "").startswith("the budget")


def test_what_did_not_fit_beside_the_confirmation_waits_for_a_larger_budget(session: Begin, ok: Ok) -> None:
    running = session(budget="50s", expected_s=3, confirm_share=0.5)
    running.run(ok, lambda index: 3.0)
    waiting = running.writer.asks[-1]
    assert waiting.index == 8
    assert waiting.index not in running.keys
    assert len(running.repeated) == 8
    larger = session(budget="200s", expected_s=3, confirm_share=0.5)
    larger.start_all()
    assert (larger.started[0].index, larger.started[0].decisions) == (8, waiting.decisions)


def confirmed(running: Session) -> list[tuple[int, str, int, int]]:
    """What was trained anew, and how."""
    return [(trial.index, trial.key, trial.repeat, trial.seed) for trial in running.repeated]


@pytest.mark.parametrize(("sampler", "done"), [*(("random", done) for done in range(13, 20)), ("cost-aware", 16)])
def test_a_confirmation_goes_on_where_it_was_killed(session: Begin, ok: Ok, done: int, sampler: str) -> None:
    settings: dict[str, Any] = {"budget": "20", "confirm_share": 0.3, "sampler": sampler}
    whole = session("whole", **settings)
    whole.run(ok)
    killed = session("cut", **settings)
    killed.run(ok, until=lambda: len(killed.keys) == done)
    resumed = session("cut", **settings)
    resumed.run(ok)
    assert confirmed(resumed) == confirmed(whole)
    assert resumed.keys == whole.keys
    assert {trial.repeat for trial in whole.repeated} == {1, 2, 3}


def test_nothing_is_trained_anew_before_all_that_was_searched_is_measured(session: Begin, ok: Ok) -> None:
    settings: dict[str, Any] = {"budget": "20", "confirm_share": 0.3, "workers": 2}
    killed = session(**settings)
    killed.run(ok, lambda index: 100.0 if index == 12 else 2.0, until=lambda: len(killed.writer.trials) == 13)
    assert 12 not in killed.keys
    assert not any(killed.loop.next() for _ in range(3))
    resumed = session(**settings)
    resumed.run(ok)
    assert resumed.started[0].index == 12
    assert (len(resumed.searched), len(resumed.repeated)) == (14, 6)
    assert {trial.key for trial in resumed.repeated} == {
        trial.key for trial in sorted(resumed.searched, key=lambda trial: -resumed.loop.objective.reward(trial))[:2]
    }


def test_a_larger_budget_searches_on_and_confirms_anew(session: Begin, ok: Ok) -> None:
    session(budget="20", confirm_share=0.2).run(ok)
    larger = session(budget="40", confirm_share=0.2)
    larger.run(lambda index, seconds: ok(index + 20, seconds))
    kinds = [bool(trial.repeat) for trial in larger.writer.trials]
    assert kinds == [False] * 16 + [True] * 4 + [False] * 12 + [True] * 8
    best = sorted(larger.searched, key=lambda trial: -larger.loop.objective.reward(trial))[:2]
    anew = larger.repeated[4:]
    assert {trial.key for trial in anew} == {trial.key for trial in best}
    for trial in best:
        repeats = [again.repeat for again in larger.repeated if again.key == trial.key]
        assert repeats == list(range(1, len(repeats) + 1))
        assert len(repeats) >= 3
    assert len({(trial.key, trial.repeat) for trial in larger.writer.trials}) == 40


def test_what_the_machines_lost_of_a_confirmation_is_run_again(session: Begin, ok: Ok) -> None:
    running = session(budget="20", confirm_share=0.3, workers=2)
    running.run(ok, until=lambda: len(running.repeated) == 2)
    lost = running.started[-2:]
    running.lose()
    running.run(ok)
    again = [candidate for candidate in running.started if candidate in lost]
    assert again == [*lost, *lost]
    assert (len(running.searched), len(running.repeated)) == (14, 6)
    assert sorted(trial.repeat for trial in running.repeated) == [1, 1, 2, 2, 3, 3]
    assert sorted(running.keys) == list(range(20))


def test_a_budget_that_was_met_has_nothing_to_say_when_it_is_resumed(session: Begin, ok: Ok) -> None:
    session(budget="20", confirm_share=0.2).run(ok)
    again = session(budget="20", confirm_share=0.2)
    again.run(ok)
    assert (again.started, again.loop.notes) == ([], ())


def test_a_space_that_is_used_up_with_its_budget_did_not_end_early(session: Begin, ok: Ok, eight: Space) -> None:
    running = session(space=eight, budget="12", confirm_share=0.33)
    running.run(ok)
    assert (len(running.searched), len(running.repeated), running.loop.notes) == (8, 4, ())


def alone_of(session: Session) -> list[tuple[str, int, Weights]]:
    return [(trial.key, trial.repeat, trial.weights) for trial in session.repeated]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_best_that_a_supernet_judged_are_trained_alone(session: Begin, ok: Ok, workers: int) -> None:
    running = session(budget="20", workers=workers, alone=2, repeat=2)
    running.run(ok)
    assert len(running.searched) == 12
    assert {trial.weights for trial in running.searched} == {Weights.SUPERNET}
    first, second = sorted(running.searched, key=lambda trial: -running.loop.objective.reward(trial))[:2]
    wanted = [(Weights.OWN, 1), (Weights.OWN, 2), (Weights.INHERITED, 3), (Weights.INHERITED, 4)]
    assert sorted(alone_of(running)) == sorted(
        (trial.key, repeat, weights) for weights, repeat in wanted for trial in (first, second)
    )
    if workers == 1:
        assert [key for key, _, _ in alone_of(running)] == [first.key, second.key] * 4
    assert running.told == told_of(running.searched), "it is not the sampler's business"
    assert (running.loop.stop_reason or "").startswith("the budget")


@pytest.mark.parametrize("done", range(12, 20))
def test_trainings_alone_go_on_where_they_were_killed(session: Begin, ok: Ok, done: int) -> None:
    settings: dict[str, Any] = {"budget": "20", "alone": 2, "repeat": 2}
    whole = session("whole", **settings)
    whole.run(ok)
    killed = session("cut", **settings)
    killed.run(ok, until=lambda: len(killed.keys) == done)
    resumed = session("cut", **settings)
    resumed.run(ok)
    assert alone_of(resumed) == alone_of(whole)
    assert resumed.keys == whole.keys


def test_a_clock_has_room_kept_for_trainings_alone(session: Begin, ok: Ok) -> None:
    # Eight trainings of 5 s, two at once: 20 of 60 seconds.
    running = session(budget="60s", workers=2, expected_s=1, alone=2, repeat=2, alone_s=5.0)
    running.start_all(lambda index: 1.0)
    while not running.loop.over:
        running.end_next(ok)
        running.start_all(lambda index: 1.0 if running.loop.weights_of(index) is Weights.SUPERNET else 5.0)
    assert max(trial.ended_s for trial in running.searched) == 40
    assert len(running.repeated) == 8
    assert running.clock.now_s == 60


def test_what_does_not_fit_is_from_inherited_weights(session: Begin, ok: Ok) -> None:
    # Half of the clock is kept at most: ten trainings of 5 s in place of twelve.
    running = session(budget="100s", expected_s=1, alone=2, repeat=3, alone_s=5.0)
    assert running.loop.expect_alone(5.0) == pytest.approx(0.6)
    running.start_all(lambda index: 1.0)
    while not running.loop.over:
        running.end_next(ok)
        running.start_all(lambda index: 1.0 if running.loop.weights_of(index) is Weights.SUPERNET else 5.0)
    kinds = [trial.weights for trial in running.repeated]
    assert kinds == [Weights.OWN] * 6 + [Weights.INHERITED] * 4
    assert running.loop.stop_reason == "the budget is used up"


def test_a_larger_budget_trains_the_new_best_alone(session: Begin, ok: Ok) -> None:
    session(budget="12", alone=1, repeat=2).run(ok)
    larger = session(budget="24", alone=1, repeat=2)
    larger.run(lambda index, seconds: ok(index + 20, seconds))
    best = max(larger.searched, key=larger.loop.objective.reward)
    assert [trial.key for trial in larger.repeated[4:]] == [best.key] * 4
    assert len(larger.writer.trials) == 24


def test_without_a_network_nothing_is_trained_alone(session: Begin, finished: MakeFinished) -> None:
    running = session(budget="20", alone=2, repeat=2)
    running.run(lambda index, seconds: finished(TrialStatus.FAILED))
    assert (len(running.searched), running.repeated) == (20, [])
    assert running.loop.over


def test_while_the_last_of_the_search_run_the_best_are_not_sought_anew(
    session: Begin, ok: Ok, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = session(budget="20", confirm_share=0.2, workers=3)
    sought: list[int] = []
    picks = running.sampler.picks
    monkeypatch.setattr(running.sampler, "picks", lambda: sought.append(len(running.writer.trials)) or picks())
    running.run(ok, until=lambda: len(running.started) == 16)
    for trials in (14, 15):
        while len(running.writer.trials) < trials:
            running.end_next(ok)
        assert [running.loop.next() for _ in range(3)] == [None] * 3
    assert sought == [14, 15]
    running.end_next(ok)
    running.run(ok)
    assert sought == [14, 15, 16]
    assert len(running.repeated) == 4
