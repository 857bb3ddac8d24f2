"""What one kind of sampler does and the others do not."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.search.samplers import (
    SAMPLERS,
    Asked,
    EvolutionSampler,
    Goal,
    ListSampler,
    NSGA2Sampler,
    Outcome,
    RandomSampler,
    SpaceExhausted,
    TPESampler,
)
from results import Limits, Objective
from search_space import Space
from tests.nas.search.worlds import AnySampler, World, ask_and_tell, make, world_of


def test_a_sampler_for_rewards_only_says_so(table: World) -> None:
    assert [kind for kind in SAMPLERS.values() if not kind.FINDS_FRONTS] == [EvolutionSampler]
    with pytest.raises(ValueError, match="goal must be reward for this sampler"):
        make(EvolutionSampler, replace(table, front=True))


@pytest.mark.parametrize(
    ("kind", "front"),
    [(EvolutionSampler, False), (TPESampler, False), (NSGA2Sampler, False), (TPESampler, True), (NSGA2Sampler, True)],
)
def test_they_learn(kind: type[AnySampler], front: bool, networks: World) -> None:
    sampler = make(kind, replace(networks, front=front))
    count = 70 if kind is TPESampler else 120
    params = [networks.params_of(candidate) for candidate in ask_and_tell(sampler, networks, count)]
    assert np.mean(params[-20:]) < 0.65 * np.mean(params[:16])


def test_random_does_not_depend_on_what_was_measured_nor_when(networks: World) -> None:
    told = ask_and_tell(make(RandomSampler, networks), networks, 30)
    sampler = make(RandomSampler, networks)
    assert [sampler.ask() for _ in range(30)] == told


def test_random_draws_every_decision_evenly(table: World) -> None:
    sampler = make(RandomSampler, table)
    drawn = [sampler._propose(index, 0) for index in range(3000)]
    for place, decision in enumerate(table.domain.decisions):
        for value in range(len(decision.values)):
            share = sum(row[place] == value for row in drawn) / len(drawn)
            assert share == pytest.approx(1 / len(decision.values), abs=0.04), decision.name


def test_a_child_differs_from_its_parent_in_one_decision(networks: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POPULATION": 5, "SAMPLE": 5}.items():
        monkeypatch.setattr(EvolutionSampler, name, value)
    sampler = make(EvolutionSampler, networks)
    ask_and_tell(sampler, networks, 10)
    active = networks.domain.active
    for _ in range(10):
        parent = sampler.picks()[0] if sampler.picks()[0].index in range(5, 10) else None
        child = sampler.ask()
        youngest = [each for each in sampler._candidates.values() if each.index in range(5, 10)]
        best = min(youngest, key=networks.params_of)
        assert parent in (None, best)
        changed = [
            place
            for place, (one, other) in enumerate(zip(best.decisions, child.decisions, strict=True))
            if one != other and active(best.decisions)[place] and active(child.decisions)[place]
        ]
        assert len(changed) <= 1


def test_optunas_study_is_told_of_candidates_that_were_drawn_at_random(
    table: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TPESampler, "MODEL_TRIES", 0)
    sampler = make(TPESampler, table)
    ask_and_tell(sampler, table, 4)
    ask_and_tell(sampler, table, 2, lambda candidate: Outcome())
    assert isinstance(sampler, TPESampler)
    assert [trial.state.name for trial in sampler._study.get_trials()] == ["COMPLETE"] * 4 + ["FAIL"] * 2


def test_a_list_is_gone_through_in_its_order(eight: Space) -> None:
    world = world_of(eight)
    rng = random.Random(4)
    chosen = list({arch.key: arch for arch in (eight.sample(rng) for _ in range(20))}.values())[:4]

    def make_list() -> ListSampler[Any]:
        goal = Goal(objective=Objective(reference_params=1), limits=Limits())
        return ListSampler(chosen, world.domain, goal=goal, seed=0)

    sampler = make_list()
    assert [candidate.arch for candidate in ask_and_tell(sampler, world, 4)] == chosen
    with pytest.raises(SpaceExhausted, match="all 4 networks were trained"):
        sampler.ask()
    sampler = make_list()
    sampler.recover([Asked(index=index, decisions=eight.encode(chosen[index])) for index in range(2)])
    assert [candidate.arch for candidate in sampler.pending()] == chosen[:2]
    assert [candidate.arch for candidate in (sampler.ask(), sampler.ask())] == chosen[2:]
