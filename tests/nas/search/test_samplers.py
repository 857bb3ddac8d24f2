"""What every sampler keeps to, whatever it learns; a new row of `SAMPLERS` is tested by being there."""

import random
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from nas.search.samplers import SAMPLERS, Candidate, RandomSampler, Refusal, Sampler, SpaceExhausted, TPESampler
from results import TrialResult, TrialStatus
from search_space import ArchSpec, Space, StageChoices, load_space


@pytest.fixture(params=sorted(SAMPLERS))
def kind(request: pytest.FixtureRequest) -> type[Sampler]:
    return SAMPLERS[request.param]


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
    first = StageChoices(op=("mbconv", "conv"), kernel=(3, 5), expansion=(1, 2), width=(8,), depth=(1,), stride=2)
    second = replace(first, depth=(0, 1), width=(16,))
    space = replace(small_space, name="twins", stages=(first, second), reference=None)
    assert space.size() < space.num_encodings
    return space


def result_of(candidate: Candidate, accuracy: float | None) -> TrialResult:
    """What was measured of a candidate; that it failed, where it has no accuracy."""
    ok = accuracy is not None
    return TrialResult(
        index=candidate.index,
        status=TrialStatus.OK if ok else TrialStatus.FAILED,
        reason=None if ok else "it failed",
        key=candidate.arch.key,
        arch=candidate.arch,
        decisions=candidate.decisions,
        seed=0,
        params=candidate.arch.params,
        macs=0,
        seconds=1,
        device_seconds=1,
        started_s=0,
        ended_s=1,
        worker="host:1",
        device="cpu",
        accuracy=accuracy,
        step_time_ratio=1.0 if ok else None,
    )


def by_accuracy(result: TrialResult) -> float | None:
    return result.accuracy


def nothing(arch: ArchSpec) -> Refusal | None:
    return None


def make(
    kind: type[Sampler], space: Space, *, seed: int = 0, allows: Callable[[ArchSpec], bool] = lambda arch: True
) -> Sampler:
    def refusal(arch: ArchSpec) -> Refusal | None:
        return None if allows(arch) else Refusal("params", arch.params)

    return kind(space, seed=seed, refusal=refusal, score=by_accuracy)


def accuracy_of(arch: ArchSpec) -> float:
    """A landscape: the smaller the better, with no chance in it."""
    return 1 / (1 + arch.params / 10_000)


def ask_and_tell(
    sampler: Sampler, indices: range, accuracy: Callable[[ArchSpec], float | None] = accuracy_of
) -> list[Candidate]:
    candidates = []
    for index in indices:
        candidates.append(sampler.ask(index))
        sampler.tell(candidates[-1], result_of(candidates[-1], accuracy(candidates[-1].arch)))
    return candidates


def keys(candidates: list[Candidate]) -> list[str]:
    return [candidate.arch.key for candidate in candidates]


def test_candidates_are_different_networks_of_the_space(kind: type[Sampler], wide: Space) -> None:
    candidates = ask_and_tell(make(kind, wide), range(40))
    assert [candidate.index for candidate in candidates] == list(range(40))
    assert len(set(keys(candidates))) == 40
    for candidate in candidates:
        assert candidate.arch in wide
        assert candidate.decisions == wide.encode(candidate.arch)
        assert wide.decode(candidate.decisions).key == candidate.arch.key


def test_the_same_seed_proposes_the_same(kind: type[Sampler], wide: Space) -> None:
    first, again, other = (keys(ask_and_tell(make(kind, wide, seed=seed), range(30))) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_torchs_pythons_and_numpys_own_randomness_is_left_alone(kind: type[Sampler], wide: Space) -> None:
    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    ask_and_tell(make(kind, wide), range(25))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_limits_are_honoured(kind: type[Sampler], wide: Space) -> None:
    limit = wide.reference.params
    candidates = ask_and_tell(make(kind, wide, allows=lambda arch: arch.params <= limit), range(25))
    assert all(candidate.arch.params <= limit for candidate in candidates)


@pytest.mark.parametrize("name", ["eight", "with_twins"])
def test_a_small_space_is_proposed_to_its_last_network(
    kind: type[Sampler], name: str, request: pytest.FixtureRequest
) -> None:
    space: Space = request.getfixturevalue(name)
    sampler = make(kind, space)
    candidates = ask_and_tell(sampler, range(space.size()))
    assert len(set(keys(candidates))) == space.size()
    for _ in range(2):
        with pytest.raises(SpaceExhausted, match=f"no network of the space {space.name} is left to try: "):
            sampler.ask(space.size())


def test_the_last_networks_that_the_limits_allow_are_found(
    kind: type[Sampler], small_space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "MAX_TRIES", 3000)
    rng = random.Random(0)
    allowed = {small_space.sample(rng).key for _ in range(4)}
    sampler = make(kind, small_space, allows=lambda arch: arch.key in allowed)
    assert set(keys(ask_and_tell(sampler, range(len(allowed))))) == allowed
    with pytest.raises(SpaceExhausted, match=f"is left to try: {len(allowed)} were proposed"):
        sampler.ask(len(allowed))


def test_limits_that_exclude_everything_name_what_was_seen_of_each(small_space: Space) -> None:
    def refusal(arch: ArchSpec) -> Refusal:
        small = arch.params < small_space.reference.params
        return Refusal("params", arch.params) if small else Refusal("predicted step time", arch.params / 1000)

    sampler = RandomSampler(small_space, seed=0, refusal=refusal, score=by_accuracy)
    with pytest.raises(SpaceExhausted, match=r"refused were .*params from [\d,]+ to [\d,]+") as raised:
        sampler.ask(0)
    assert re.search(r"predicted step time from [\d.]+ to [\d.]+", str(raised.value))


def test_limits_that_exclude_everything_name_the_sizes_seen(kind: type[Sampler], small_space: Space) -> None:
    sampler = make(kind, small_space, allows=lambda arch: False)
    with pytest.raises(SpaceExhausted) as raised:
        sampler.ask(0)
    params = [small_space.sample(random.Random(number)).params for number in range(3000)]
    found = re.fullmatch(
        r"no network of the space small within the limits was found in ([\d,]+) draws; refused were params from "
        rf"{min(params):,} to {max(params):,}",
        str(raised.value),
    )
    assert found
    assert 144 <= int(found[1].replace(",", "")) < 20_000, "it ends when all of its networks were refused"


def test_trials_that_failed_do_not_stop_it(kind: type[Sampler], wide: Space) -> None:
    candidates = ask_and_tell(make(kind, wide), range(40), lambda arch: None)
    assert len(set(keys(candidates))) == 40
    mixed = ask_and_tell(make(kind, wide), range(40), lambda arch: accuracy_of(arch) if arch.params % 2 else None)
    assert len(set(keys(mixed))) == 40


def test_many_run_at_once_and_end_in_any_order(kind: type[Sampler], wide: Space) -> None:
    sampler, rng = make(kind, wide), random.Random(1)
    running: list[Candidate] = []
    seen: list[str] = []
    for index in range(60):
        running.append(sampler.ask(index))
        seen.append(running[-1].arch.key)
        if len(running) == 5:
            ended = running.pop(rng.randrange(5))
            sampler.tell(ended, result_of(ended, accuracy_of(ended.arch) if rng.random() < 0.8 else None))
    assert len(set(seen)) == 60


def test_what_is_on_record_is_not_proposed_again(kind: type[Sampler], eight: Space) -> None:
    first = make(kind, eight)
    history = [
        result_of(candidate, accuracy_of(candidate.arch) if candidate.index % 3 else None)
        for candidate in (first.ask(index) for index in range(5))
    ]
    second = make(kind, eight)
    second.recover(history)
    rest = ask_and_tell(second, range(5, 8))
    assert len({result.key for result in history} | set(keys(rest))) == 8
    with pytest.raises(SpaceExhausted):
        second.ask(8)


def test_recovery_is_deterministic(kind: type[Sampler], wide: Space) -> None:
    history = [
        result_of(candidate, accuracy_of(candidate.arch)) for candidate in ask_and_tell(make(kind, wide), range(20))
    ]

    def resumed() -> list[str]:
        sampler = make(kind, wide)
        sampler.recover(history)
        return keys(ask_and_tell(sampler, range(20, 30)))

    assert resumed() == resumed()


def test_random_goes_on_after_recovery_as_if_it_had_not_been_interrupted(wide: Space) -> None:
    whole = ask_and_tell(make(RandomSampler, wide), range(30))
    for missing in (set(), {3}, {0, 7, 11}):
        resumed = make(RandomSampler, wide)
        resumed.recover(result_of(whole[index], 0.5) for index in range(12) if index not in missing)
        again = [resumed.ask(index) for index in [*sorted(missing), *range(12, 30)]]
        assert again == [whole[index] for index in [*sorted(missing), *range(12, 30)]]


def test_random_does_not_depend_on_what_was_measured(wide: Space) -> None:
    told = ask_and_tell(make(RandomSampler, wide), range(30))
    sampler = make(RandomSampler, wide)
    assert [sampler.ask(index) for index in range(30)] == told


def test_random_draws_every_decision_evenly(small_space: Space) -> None:
    sampler = RandomSampler(small_space, seed=0, refusal=nothing, score=by_accuracy)
    drawn = [sampler._propose(index, 0) for index in range(2000)]
    for place, decision in enumerate(small_space.decisions):
        for value in range(len(decision.values)):
            share = sum(decisions[place] == value for decisions in drawn) / len(drawn)
            assert share == pytest.approx(1 / len(decision.values), abs=0.05), decision.name


def test_tpe_learns(wide: Space) -> None:
    candidates = ask_and_tell(make(TPESampler, wide), range(70))
    params = [candidate.arch.params for candidate in candidates]
    at_random = sum(params[: TPESampler.START_UP_TRIALS]) / TPESampler.START_UP_TRIALS
    assert sum(params[-20:]) / 20 < 0.6 * at_random


def test_tpe_learns_from_a_record_too(wide: Space) -> None:
    history = [
        result_of(candidate, accuracy_of(candidate.arch))
        for candidate in ask_and_tell(make(RandomSampler, wide), range(50))
    ]
    sampler = make(TPESampler, wide)
    sampler.recover(history)
    params = [candidate.arch.params for candidate in ask_and_tell(sampler, range(50, 65))]
    assert sum(params) / len(params) < 0.7 * sum(result.params for result in history) / len(history)


def test_tpe_learns_of_candidates_that_were_drawn_at_random(
    small_space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TPESampler, "MODEL_TRIES", 0)
    sampler = TPESampler(small_space, seed=0, refusal=nothing, score=by_accuracy)
    ask_and_tell(sampler, range(4))
    ask_and_tell(sampler, range(4, 6), lambda arch: None)
    assert [trial.state.name for trial in sampler._study.get_trials()] == ["COMPLETE"] * 4 + ["FAIL"] * 2
