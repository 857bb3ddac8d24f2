"""What every sampler keeps to, whatever it learns; a new row of `SAMPLERS` is tested by being there."""

import random
import re

import numpy as np
import pytest

from nas.search.samplers import (
    Asked,
    Costs,
    Goal,
    Outcome,
    RandomSampler,
    SpaceExhausted,
)
from results import Limits, Objective
from search_space import Space
from tests.nas.search.worlds import AnySampler, World, ask_and_tell, at_once, decisions, make, table_of, world_of


def test_candidates_are_different_things_in_canonical_form(kind: type[AnySampler], world: World) -> None:
    candidates = ask_and_tell(make(kind, world), world, 11)
    assert [candidate.index for candidate in candidates] == list(range(11))
    assert len(set(decisions(candidates))) == 11
    for candidate in candidates:
        assert world.domain.canonical(candidate.decisions) == candidate.decisions
        assert world.domain.encode(candidate.arch) == candidate.decisions
        assert all(type(position) is int for position in candidate.decisions), "as JSON has them"


def test_the_same_seed_proposes_the_same(kind: type[AnySampler], world: World) -> None:
    first, again, other = (decisions(ask_and_tell(make(kind, world, seed=seed), world, 9)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_trials_are_numbered_from_the_highest(kind: type[AnySampler], table: World) -> None:
    sampler = make(kind, table)
    assert [sampler.ask(index).index for index in (None, None, 7, None, 3, None)] == [0, 1, 7, 8, 3, 9]
    assert [candidate.index for candidate in sampler.pending()] == [0, 1, 7, 8, 3, 9]


def test_torchs_pythons_and_numpys_own_randomness_is_left_alone(kind: type[AnySampler], table: World) -> None:
    import torch

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    sampler = make(kind, table)
    ask_and_tell(sampler, table, 10)
    sampler.picks()
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert after == before


def test_limits_of_size_are_honoured_exactly(kind: type[AnySampler], world: World) -> None:
    params = world.params
    limits = Limits(min_params=params[len(params) // 3], max_params=params[2 * len(params) // 3])
    candidates = ask_and_tell(make(kind, world, limits=limits), world, 14)
    assert all(limits.params_allow(world.params_of(candidate)) for candidate in candidates)


def test_what_is_surely_too_slow_is_not_proposed(kind: type[AnySampler], rows: World) -> None:
    candidates = ask_and_tell(make(kind, rows, limits=Limits(max_step_time=0.9)), rows, 14)
    assert all(costs.step_time <= 0.9 for costs in rows.domain.costs([each.arch for each in candidates]))  # type: ignore[operator]


def test_a_slow_guess_is_proposed_where_its_interval_reaches_below_the_limit(table: World) -> None:
    goal = Goal(objective=Objective(reference_params=1), limits=Limits(max_step_time=1.0))
    for low, refused in ((0.9, False), (1.0, False), (1.1, True), (None, True)):
        found = goal.refusal(Costs(params=1, macs=1, step_time=1.2, step_time_low=low))
        assert found == (("predicted step time", 1.2) if refused else None)


@pytest.mark.parametrize("name", ["eight", "with_twins", "rows"])
def test_a_small_world_is_proposed_to_its_last_thing(
    kind: type[AnySampler], name: str, request: pytest.FixtureRequest
) -> None:
    world = table_of((1, 2), (8, 16), (0.5, 1.0)) if name == "rows" else world_of(request.getfixturevalue(name))
    size = world.domain.size
    sampler = make(kind, world)
    assert len(set(decisions(ask_and_tell(sampler, world, size)))) == size
    for _ in range(2):
        with pytest.raises(SpaceExhausted, match=f"no network of the space {world.domain.name} is left to try: {size}"):
            sampler.ask()


def test_the_last_that_the_limits_allow_are_found(
    kind: type[AnySampler], table: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "MAX_TRIES", 3000)
    # Of 240 rows, five are of 64 parameters and ten of up to 144.
    sampler = make(kind, table, limits=Limits(max_params=144))
    found = ask_and_tell(sampler, table, 15)
    assert {(row[0], row[1]) for row in (each.arch for each in found)} == {(1, 8), (2, 8), (1, 12)}
    with pytest.raises(SpaceExhausted, match="is left to try: 15 were proposed"):
        sampler.ask()


def test_limits_that_exclude_everything_name_the_sizes_seen(kind: type[AnySampler], small_space: Space) -> None:
    world = world_of(small_space)
    params = world.params
    sampler = make(kind, world, limits=Limits(max_params=params[0] - 1))
    with pytest.raises(SpaceExhausted) as raised:
        sampler.ask()
    found = re.fullmatch(
        r"no network of the space small within the limits was found in ([\d,]+) draws; refused were params from "
        rf"{params[0]:,} to {params[-1]:,}",
        str(raised.value),
    )
    assert found
    assert 144 <= int(found[1].replace(",", "")) < 20_000, "it ends when all of its networks were refused"


def test_what_was_seen_is_named_of_each_limit(table: World) -> None:
    # Small rows are slow for their size: no row keeps to both.
    sampler = make(RandomSampler, table, limits=Limits(min_params=5000, max_step_time=0.9))
    with pytest.raises(SpaceExhausted, match=r"refused were .*params from [\d,]+ to 4,\d\d\d") as raised:
        sampler.ask()
    assert re.search(r"predicted step time from 0\.\d+ to 2\.\d+", str(raised.value))


def test_trials_that_failed_do_not_stop_it(kind: type[AnySampler], rows: World) -> None:
    failed = ask_and_tell(make(kind, rows), rows, 12, lambda candidate: Outcome())
    assert len(set(decisions(failed))) == 12
    ways = (Outcome(), Outcome(step_time=9.0), None, None)
    mixed = ask_and_tell(
        make(kind, rows, limits=Limits(max_step_time=5.0, min_accuracy=0.6)),
        rows,
        16,
        lambda candidate: ways[candidate.index % 4] or rows.outcome(candidate.arch),
    )
    assert len(set(decisions(mixed))) == 16


def test_many_run_at_once_and_end_in_any_order(kind: type[AnySampler], world: World) -> None:
    sampler = make(kind, world)
    history, running = at_once(sampler, world, 16, 5)
    asked = [event.decisions for event in history if isinstance(event, Asked)]
    assert len(set(asked)) == 16
    assert sampler.pending() == running
