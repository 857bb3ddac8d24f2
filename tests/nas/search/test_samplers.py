"""What every sampler keeps to, whatever it learns; a new row of `SAMPLERS` is tested by being there.

Each is asked of a space of networks, of which nobody knows step times, and of a table that has no ops and no network.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from nas.search.proposals import space_domain
from nas.search.samplers import (
    SAMPLERS,
    Asked,
    Candidate,
    CostAwareSampler,
    Costs,
    Domain,
    EvolutionSampler,
    Goal,
    ListSampler,
    NSGA2Sampler,
    Outcome,
    RandomSampler,
    Sampler,
    SpaceExhausted,
    Told,
    TPESampler,
)
from results import Limits, Objective
from search_space import Decision, Space, StageChoices, load_space

AnySampler = Sampler[Any]
EARLY: dict[type[AnySampler], dict[str, int]] = {
    EvolutionSampler: {"POPULATION": 6, "SAMPLE": 3},
    TPESampler: {"START_UP_TRIALS": 6},
    NSGA2Sampler: {"POPULATION": 6},
    CostAwareSampler: {"START_UP": 5, "POOL": 48, "GENERATIONS": 1, "CHILDREN": 24},
}
"""Settings under which a model has its say after a few trials, in little time."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where candidates come from, what would be measured of each, and whether a front is searched for."""

    domain: Domain[Any]
    outcome: Callable[[Any], Outcome]
    front: bool = False

    @property
    def params(self) -> list[int]:
        """Of every thing in it that was drawn often enough to be seen, in order."""
        rng = random.Random(0)
        domain = self.domain
        drawn = [domain.decode([rng.randrange(size) for size in domain.sizes]) for _ in range(3000)]
        return sorted(costs.params for costs in domain.costs(drawn))

    def params_of(self, candidate: Candidate[Any]) -> int:
        return self.domain.costs([candidate.arch])[0].params


def world_of(space: Space) -> World:
    """A space's networks: the smaller the more accurate, with no chance in it."""
    domain = space_domain(space, space.image_size, lambda archs: [None] * len(archs))
    return World(domain=domain, outcome=lambda arch: Outcome(accuracy=1 / (1 + arch.params / 10_000), step_time=1.5))


Row = tuple[int, int, float | None]


def table_of(depths: Sequence[int], widths: Sequence[int], ratios: Sequence[float]) -> World:
    """Somebody's measurements. A row's third part has a meaning only where its switch is on."""
    rows: dict[Row, tuple[Costs, Outcome]] = {}
    for depth, width, ratio in product(depths, widths, (None, *ratios)):
        step_time = 0.2 * depth + width / 100 + (ratio or 0.0)
        costs = Costs(params=depth * width**2, macs=9 * depth * width**2, step_time=step_time, step_time_low=step_time)
        accuracy = 0.5 + 0.05 * depth - 0.002 * abs(width - 24) + 0.1 * (ratio or 0.0)
        rows[depth, width, ratio] = costs, Outcome(accuracy=accuracy, step_time=step_time)

    def decode(positions: Sequence[int]) -> Row:
        depth, width, switch, ratio = positions
        return depths[depth], widths[width], ratios[ratio] if switch else None

    def encode(row: Row) -> tuple[int, ...]:
        depth, width, ratio = row
        on = ratio is not None
        return depths.index(depth), widths.index(width), int(on), ratios.index(ratio) if on else 0

    decisions = {"depth": depths, "width": widths, "switch": ("off", "on"), "ratio": ratios}
    domain = Domain(
        name="table",
        decisions=tuple(Decision(name=name, values=tuple(values)) for name, values in decisions.items()),
        decode=decode,
        encode=encode,
        active=lambda positions: (True, True, True, bool(positions[2])),
        size=len(rows),
        costs=lambda asked: [rows[row][0] for row in asked],
    )
    return World(domain=domain, outcome=lambda row: rows[row][1])


@pytest.fixture(scope="module")
def wide() -> Space:
    """So many networks that one is hardly ever proposed twice."""
    return load_space("efficientnetv2-tiny")


@pytest.fixture(scope="module")
def eight(small_space: Space) -> Space:
    """Eight networks."""
    stage = StageChoices(op=("mbconv",), kernel=(3, 5), expansion=(1, 2), width=(8,), depth=(1, 2), stride=2)
    return replace(small_space, name="eight", stages=(stage,), reference=None)


@pytest.fixture(scope="module")
def with_twins(small_space: Space) -> Space:
    """Many of its encodings mean one network: a stage that may vanish, an op that has no settings."""
    first = StageChoices(op=("mbconv", "conv"), kernel=(3,), expansion=(1, 2), width=(8,), depth=(1,), stride=2)
    second = replace(first, depth=(0, 1), width=(16,))
    space = replace(small_space, name="twins", stages=(first, second), reference=None)
    assert space.size() < space.num_encodings
    return space


@pytest.fixture(scope="module")
def networks(wide: Space) -> World:
    return world_of(wide)


@pytest.fixture(scope="module")
def table() -> World:
    """240 rows."""
    return table_of((1, 2, 3, 4), tuple(range(8, 56, 4)), (0.25, 0.5, 0.75, 1.0))


@pytest.fixture(params=sorted(SAMPLERS))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[AnySampler]:
    found = SAMPLERS[request.param]
    for name, value in EARLY.get(found, {}).items():
        monkeypatch.setattr(found, name, value)
    return found


@pytest.fixture(params=["reward", "front"])
def rows(request: pytest.FixtureRequest, kind: type[AnySampler], table: World) -> World:
    """The table; each sampler is asked for what it can do."""
    if request.param == "front" and not kind.FINDS_FRONTS:
        pytest.skip("it searches for a reward only")
    return replace(table, front=request.param == "front")


@pytest.fixture(params=["networks", "table", "table, front"])
def world(request: pytest.FixtureRequest, kind: type[AnySampler], networks: World, table: World) -> World:
    if "front" in request.param and not kind.FINDS_FRONTS:
        pytest.skip("it searches for a reward only")
    return networks if request.param == "networks" else replace(table, front="front" in request.param)


def make(kind: type[AnySampler], world: World, *, seed: int = 0, limits: Limits | None = None) -> AnySampler:
    goal = Goal(objective=Objective(reference_params=10_000), limits=limits or Limits(), front=world.front)
    return kind(world.domain, goal=goal, seed=seed)


def ask_and_tell(
    sampler: AnySampler, world: World, count: int, outcome: Callable[[Candidate[Any]], Outcome] | None = None
) -> list[Candidate[Any]]:
    candidates = []
    for _ in range(count):
        candidates.append(sampler.ask())
        told = outcome(candidates[-1]) if outcome else world.outcome(candidates[-1].arch)
        sampler.tell(candidates[-1], told)
    return candidates


def decisions(candidates: Iterable[Candidate[Any]]) -> list[tuple[int, ...]]:
    return [candidate.decisions for candidate in candidates]


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


def at_once(
    sampler: AnySampler, world: World, count: int, workers: int
) -> tuple[list[Asked | Told], list[Candidate[Any]]]:
    """So many trials, some running at once and ending in any order, some failing: the history, and what still runs."""
    rng = random.Random(1)
    running: list[Candidate[Any]] = []
    history: list[Asked | Told] = []
    for _ in range(count):
        running.append(sampler.ask())
        history.append(Asked(index=running[-1].index, decisions=running[-1].decisions))
        if len(running) == workers:
            ended = running.pop(rng.randrange(workers))
            outcome = Outcome() if rng.random() < 0.2 else world.outcome(ended.arch)
            sampler.tell(ended, outcome)
            history.append(Told(index=ended.index, outcome=outcome))
    return history, running


def test_many_run_at_once_and_end_in_any_order(kind: type[AnySampler], world: World) -> None:
    sampler = make(kind, world)
    history, running = at_once(sampler, world, 16, 5)
    asked = [event.decisions for event in history if isinstance(event, Asked)]
    assert len(set(asked)) == 16
    assert sampler.pending() == running


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
