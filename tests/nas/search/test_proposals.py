"""A space as samplers see it, a record as their history, and which sampler a config asks for."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.measure import Prediction
from nas.search.config import SearchConfig
from nas.search.proposals import history_events, make_sampler, outcome_of, space_domain
from nas.search.samplers import SAMPLERS, Asked, Costs, Outcome, Sampler, Told
from results import Ask, Objective, RunError, TrialResult, TrialStatus, in_order
from search_space import ArchSpec, HeadSpec, Space

FOLDER = Path("runs/a")


def predicted(archs: Sequence[ArchSpec]) -> list[Prediction | None]:
    """Of every other one."""
    found = Prediction(ratio=1.5, low=1.2, high=1.9)
    return [found if place % 2 == 0 else None for place in range(len(archs))]


def trial(space: Space, index: int, **changes: Any) -> TrialResult:
    arch = changes.pop("arch", None) or space.sample(random.Random(index))
    fields: dict[str, Any] = {
        "index": index,
        "status": TrialStatus.OK,
        "key": arch.key,
        "arch": arch,
        "seed": 0,
        "params": arch.params,
        "macs": 0,
        "seconds": 1.0,
        "device_seconds": 1.0,
        "started_s": 0.0,
        "ended_s": 1.0,
        "worker": "host:1",
        "device": "cpu",
        "accuracy": 0.5,
        "step_time_ratio": 1.25,
    }
    return TrialResult(**(fields | changes))


def make(config: SearchConfig, space: Space) -> Sampler[ArchSpec]:
    return make_sampler(
        config,
        space,
        image_size=8,
        objective=Objective(reference_params=1000),
        step_times=lambda archs: [Prediction(ratio=1.5, low=1.2, high=1.9)] * len(archs),
    )


def test_costs_are_the_networks_own_and_what_is_predicted(small_space: Space) -> None:
    domain = space_domain(small_space, 8, predicted)
    archs = [small_space.sample(random.Random(number)) for number in range(4)]
    assert domain.costs(archs) == [
        Costs(
            params=arch.params,
            macs=arch.macs(8),
            step_time=1.5 if place % 2 == 0 else None,
            step_time_low=1.2 if place % 2 == 0 else None,
        )
        for place, arch in enumerate(archs)
    ]
    assert domain.costs([]) == []


def test_a_space_is_its_domain(small_space: Space) -> None:
    domain = space_domain(small_space, 8, predicted)
    assert (domain.name, domain.size, domain.decisions) == ("small", small_space.size(), small_space.decisions)
    assert domain.sizes == tuple(len(decision.values) for decision in small_space.decisions)
    for number in range(20):
        arch = small_space.sample(random.Random(number))
        decisions = small_space.encode(arch)
        assert domain.encode(domain.decode(decisions)) == domain.canonical(decisions) == decisions
        assert domain.active(decisions) == small_space.active(decisions)


def test_a_sampler_is_told_accuracy_and_step_time_of_what_went_well(small_space: Space) -> None:
    assert outcome_of(trial(small_space, 0)) == Outcome(accuracy=0.5, step_time=1.25)
    failed = {"status": TrialStatus.DIVERGED, "reason": "the loss was not finite"}
    assert outcome_of(trial(small_space, 0, **failed)) == Outcome(accuracy=None, step_time=1.25)
    assert outcome_of(trial(small_space, 0, **failed, step_time_ratio=None)) == Outcome()


def test_a_record_is_a_history(small_space: Space) -> None:
    trials = [trial(small_space, index) for index in range(4)]
    again = trial(small_space, 9, arch=trials[0].arch, repeat=1)
    decisions = [small_space.encode(each.arch) for each in trials]
    # 0 and 1 were asked for at once; 3 knew what came of 1; 2 is of a session of an older version.
    asks = [Ask(index=index, decisions=decisions[index], after=after) for index, after in ((0, 0), (1, 0), (3, 1))]
    record = [trials[1], trials[2], again, trials[0]]
    told = [Told(index=index, outcome=Outcome(accuracy=0.5, step_time=1.25)) for index in range(3)]
    asked = [Asked(index=index, decisions=decisions[index]) for index in range(4)]
    assert list(history_events(in_order(asks, record), small_space, folder=FOLDER)) == [
        asked[0],
        asked[1],
        told[1],
        asked[3],
        asked[2],
        told[2],
        told[0],
    ]


def test_a_record_that_contradicts_itself_is_refused(small_space: Space) -> None:
    first, second = (trial(small_space, index) for index in range(2))
    decisions = [small_space.encode(each.arch) for each in (first, second)]
    asks = [Ask(index=index, decisions=decisions[index], after=0) for index in range(2)]
    anew = trial(small_space, 1, arch=first.arch, repeat=1)
    elsewhere = replace(small_space.reference, head=HeadSpec(width=9))
    for history, said in (
        ([replace(asks[0], decisions=decisions[1]), first], "trials.jsonl: trial 0: is not of the network that was"),
        ([*asks, first, anew], "trials.jsonl: trial 1: is not of the network that was asked for"),
        ([trial(small_space, 3, arch=elsewhere)], "trials.jsonl: trial 3: the network is not in space small"),
        ([asks[0], replace(asks[0], index=1)], "asks.jsonl: trial 1: its network was asked for before"),
        ([first, replace(asks[0], after=1)], "asks.jsonl: trial 0: was asked for when it had ended, after 1 trials"),
        ([replace(asks[0], decisions=(0,))], "asks.jsonl: trial 0: indices must hold one position a decision"),
        ([replace(asks[0], decisions=(99,) * len(decisions[0]))], "asks.jsonl: trial 0: stage1"),
    ):
        with pytest.raises(RunError, match=f"^{re.escape(str(FOLDER / said))}"):
            list(history_events(history, small_space, folder=FOLDER))


def test_a_history_recovers_what_is_in_flight(small_space: Space) -> None:
    decisions = small_space.encode(small_space.reference)
    history = [Ask(index=4, decisions=decisions, after=0)]
    for name in SAMPLERS:
        sampler = make(SearchConfig(sampler=name), small_space)
        sampler.recover(history_events(history, small_space, folder=FOLDER))
        (pending,) = sampler.pending()
        assert (pending.index, pending.decisions, pending.arch) == (4, decisions, small_space.decode(decisions))


def test_every_name_is_a_sampler_for_the_goals_that_it_can_search_for(small_space: Space) -> None:
    for name, kind in SAMPLERS.items():
        assert type(make(SearchConfig(sampler=name), small_space)) is kind
        config = SearchConfig(sampler=name, goal="front")
        if kind.FINDS_FRONTS:
            assert make(config, small_space)._goal.front
        else:
            able = "cost-aware, random, tpe, nsga2"
            with pytest.raises(ValueError, match=f"^sampler must be one of {able} for goal front, got '{name}'$"):
                make(config, small_space)
    with pytest.raises(ValueError, match=r"sampler must be one of cost-aware, random, .*, got 'bayes'"):
        make(SearchConfig(sampler="bayes"), small_space)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_predictions_are_for_whom_they_matter(name: str, small_space: Space) -> None:
    config = SearchConfig(sampler=name)
    for asked, told in ((config, name == "cost-aware"), (replace(config, max_step_time=2.0), True)):
        (costs,) = make(asked, small_space)._domain.costs([small_space.reference])
        assert (costs.step_time is not None) == told
