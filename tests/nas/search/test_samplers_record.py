"""Every sampler goes on from what is on record, and picks the best of it."""

from dataclasses import replace
from typing import Any

import pytest

from nas.search.samplers import (
    Asked,
    Candidate,
    CostAwareSampler,
    Outcome,
    SpaceExhausted,
    Told,
)
from results import Limits, Objective
from search_space import Space
from tests.nas.search.worlds import AnySampler, World, ask_and_tell, at_once, decisions, make, world_of


def test_a_recovered_sampler_goes_on_as_if_it_had_not_been_interrupted(kind: type[AnySampler], world: World) -> None:
    limits = Limits(max_params=world.params[2000])
    whole = make(kind, world, seed=3, limits=limits)
    history, running = at_once(whole, world, 14, 4)
    recovered = make(kind, world, seed=3, limits=limits)
    recovered.recover(history)
    assert recovered.pending() == whole.pending() == running
    assert recovered.picks() == whole.picks()
    for _ in range(5):
        expected, found = whole.ask(), recovered.ask()
        assert found == expected
        ended = running.pop(0)
        for sampler in (whole, recovered):
            sampler.tell(ended, world.outcome(ended.arch))
        running.append(found)
    assert recovered.picks() == whole.picks()


def test_what_is_on_record_is_not_proposed_again(kind: type[AnySampler], eight: Space) -> None:
    world = world_of(eight)
    first = make(kind, world)
    history, running = at_once(first, world, 6, 3)
    second = make(kind, world)
    second.recover(history)
    for candidate in running:
        second.tell(candidate, Outcome())
    rest = ask_and_tell(second, world, 2)
    assert len({*decisions(rest), *(event.decisions for event in history if isinstance(event, Asked))}) == 8
    with pytest.raises(SpaceExhausted):
        second.ask()


def test_a_record_in_other_words_is_the_same_network(kind: type[AnySampler], table: World) -> None:
    sampler = make(kind, table)
    sampler.recover([Asked(index=0, decisions=(1, 1, 0, 3)), Told(index=0, outcome=Outcome(accuracy=0.5, step_time=1))])
    (picked,) = sampler.picks()
    assert picked == Candidate(index=0, decisions=(1, 1, 0, 0), arch=(2, 12, None))


def test_only_what_was_measured_within_the_limits_is_picked(kind: type[AnySampler], rows: World) -> None:
    limits = Limits(max_step_time=1.2, min_accuracy=0.6)
    sampler = make(kind, rows, limits=limits)
    assert sampler.picks() == []
    told: dict[int, Outcome] = {}

    def outcome(candidate: Candidate[Any]) -> Outcome:
        measured = rows.outcome(candidate.arch)
        # Some fail, some are slower than foreseen.
        changes = {0: Outcome(), 1: Outcome(accuracy=0.99, step_time=1.3), 2: Outcome(accuracy=None, step_time=1.3)}
        told[candidate.index] = changes.get(candidate.index % 6, measured)
        return told[candidate.index]

    candidates = ask_and_tell(sampler, rows, 18, outcome)
    sampler.ask()
    picked = [candidate.index for candidate in sampler.picks()]
    allowed = [
        index
        for index, found in told.items()
        if found.accuracy is not None and found.step_time is not None
        if limits.keep(
            accuracy=found.accuracy, step_time_ratio=found.step_time, params=rows.params_of(candidates[index])
        )
    ]
    assert 0 < len(allowed) < 12
    assert sorted(picked) == allowed
    if kind is not CostAwareSampler:
        objective = Objective(reference_params=10_000)
        rewards = [
            objective.weigh(told[index].accuracy, told[index].step_time, rows.params_of(candidates[index]))  # type: ignore[arg-type]
            for index in picked
        ]
        assert rewards == sorted(rewards, reverse=True)


@pytest.mark.parametrize("front", [False, True])
def test_a_long_search_learns_from_a_part_of_its_trials(
    front: bool, table: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CostAwareSampler, "LEARNS_FROM", 12)
    monkeypatch.setattr("nas.search.samplers._surrogate.FITS_EACH_BELOW", 6)
    monkeypatch.setattr("nas.search.samplers._surrogate.FITS_AT_MOST", 5)
    world = replace(table, front=front)
    whole = make(CostAwareSampler, world, seed=3)
    history, running = at_once(whole, world, 24, 3)
    recovered = make(CostAwareSampler, world, seed=3)
    recovered.recover(history)
    assert [recovered.ask(), recovered.ask()] == [whole.ask(), whole.ask()]
    assert recovered.picks() == whole.picks()
    told = [event for event in history if isinstance(event, Told)]
    taught_by = recovered._taught_by()
    assert len(taught_by) == 12 < len(told)
    assert [*taught_by][:6] == [event.index for event in told[:6]]
    assert [*taught_by] == [event.index for event in told if event.index in taught_by]
    best = max(told, key=lambda event: event.outcome.accuracy or 0.0)
    assert best.index in taught_by or not front
    assert {candidate.index for candidate in running} <= {candidate.index for candidate in recovered.pending()}
