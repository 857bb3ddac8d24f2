"""Which networks a step looks at: fair, and truly at the ends."""

import random
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_space import SPACES, BlockChoice, HeadSpec, Space, StageChoices, StemSpec, load_space
from supernet import end_of, fair_network, sandwich

fast = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 2**64)
SIZE = 16


@pytest.mark.parametrize(("name", "decisions"), [("efficientnetv2", 24), ("accel-nasbench", 24)])
def test_each_value_is_drawn_once_a_deck(name: str, decisions: int) -> None:
    """Where one network has one description: the draws are read back from the networks. (Stage 7 may vanish.)"""
    space = load_space(name)
    places = [place for place, decision in enumerate(space.decisions) if not decision.name.startswith("stage7")]
    assert len(places) == decisions
    for place in places:
        size = len(space.decisions[place].values)
        drawn = [space.encode(fair_network(space, 5, draw))[place] for draw in range(6 * size)]
        decks = [tuple(drawn[start : start + size]) for start in range(0, len(drawn), size)]
        assert all(sorted(deck) == list(range(size)) for deck in decks), space.decisions[place].name
        assert len(set(decks)) > 1, space.decisions[place].name


def test_decisions_are_drawn_on_their_own() -> None:
    """Any two values of two decisions meet: the decks are not dealt in step."""
    space = load_space("efficientnetv2")
    drawn = [space.encode(fair_network(space, 0, draw)) for draw in range(300)]
    firsts = [number for number, decision in enumerate(space.decisions) if decision.name.endswith("expansion")][:6]
    for one, other in pairwise(firsts):
        assert len({(indices[one], indices[other]) for indices in drawn}) == 9


@fast
@given(data=st.data(), seed=seeds, step=st.integers(0, 10**9), between=st.integers(0, 5))
def test_a_step_follows_from_seed_and_number_alone(
    spaces: st.SearchStrategy[Space], data: st.DataObject, seed: int, step: int, between: int
) -> None:
    space = data.draw(spaces)
    state = random.getstate()
    networks = sandwich(space, seed, step, between=between)
    sandwich(space, seed + 1, step + 1, between=between)
    assert networks == sandwich(space, seed, step, between=between)
    assert random.getstate() == state
    assert len(networks) == 2 + between
    assert all(arch in space for arch in networks)
    assert networks[:2] == (end_of(space, "largest", seed, step), end_of(space, "smallest", seed, step))
    # No draw is left out or made twice from one step to the next.
    assert networks[2:] == tuple(fair_network(space, seed, step * between + number) for number in range(between))


def test_another_seed_and_another_process() -> None:
    space = load_space("efficientnetv2-tiny")
    steps = [[str(arch) for arch in sandwich(space, seed, 3, between=2)] for seed in (0, 1)]
    assert all(one != other for one, other in zip(*(step[2:] for step in steps), strict=True))
    script = (
        "from search_space import load_space; from supernet import sandwich\n"
        "for arch in sandwich(load_space('efficientnetv2-tiny'), 0, 3, between=2): print(arch)\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == steps[0]


@st.composite
def growing_stages(draw: st.DrawFn, width: tuple[int, ...], *, tied: bool) -> StageChoices:
    blocks = [BlockChoice(op="mbconv"), BlockChoice(op="fused_mbconv"), BlockChoice(op="conv")]
    if len(width) == 1:
        blocks.append(BlockChoice(op="identity"))
    if tied:
        blocks += [
            BlockChoice(op="fused_mbconv", kernel=9, expansion=3),
            BlockChoice(op="mbconv", expansion=2, se_ratio=0.5),
            BlockChoice(op="conv", kernel=7),
        ]
    op = draw(st.lists(st.sampled_from(blocks[1:]), max_size=2, unique=True))
    return StageChoices(
        op=(blocks[0], *op),
        kernel=tuple(draw(st.permutations((3, 5)))),
        expansion=tuple(draw(st.sampled_from([(1, 4), (4, 1), (2,), (3, 4)]))),
        se_ratio=tuple(draw(st.sampled_from([(0.0, 0.25), (0.25, 0.0), (0.25,)]))),
        depth=draw(st.sampled_from([(1, 2), (3, 1), (0, 1), (2,), (2, 0)])),
        width=width,
    )


@st.composite
def growing_spaces(draw: st.DrawFn, *, tied: bool) -> Space:
    """Widths never fall: behind a stage that vanished a layer is no larger."""
    widths = draw(st.sampled_from([((8,), (8, 12)), ((12, 8), (16,)), ((10,), (10,)), ((8, 12),)]))
    stages = [draw(growing_stages(width, tied=tied)) for width in widths]
    stages[0] = replace(stages[0], depth=(2, 1), stride=2)
    return Space(
        name="growing",
        stem=StemSpec(width=8),
        stages=tuple(stages),
        head=HeadSpec(width=draw(st.sampled_from([0, 16])), num_classes=5),
        image_size=SIZE,
        batch_size=8,
    )


def largest_and_smallest(space: Space, *, macs: bool) -> dict[tuple[str, ...], tuple[int, int]]:
    """By the ops of all stages ('' for one that vanished), over every network there is."""
    costs: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for indices in product(*(range(len(decision.values)) for decision in space.decisions)):
        cost = space.decode(indices).cost(SIZE)
        ops = tuple("" if stage is None else stage.op for stage in space.chosen(indices))
        costs[ops].append(cost.macs if macs else cost.params)
    return {ops: (max(each), min(each)) for ops, each in costs.items()}


def check_ends(space: Space, seed: int, *, macs: bool) -> None:
    bounds = largest_and_smallest(space, macs=macs)
    for draw in range(4):
        largest, smallest = end_of(space, "largest", seed, draw), end_of(space, "smallest", seed, draw)
        sizes = [arch.macs(SIZE) if macs else arch.params for arch in (largest, smallest)]
        assert sizes[0] == bounds[tuple(stage.op for stage in largest.stages)][0]
        left = iter(smallest.stages)
        ops = [None if 0 in choices.depth else next(left).op for choices in space.stages]
        assert next(left, None) is None
        # Where a stage can vanish, with any op or none there.
        rivals = [
            low for others, (_, low) in bounds.items() if all(map(lambda op, other: op in (None, other), ops, others))
        ]
        assert sizes[1] == min(rivals)


@fast
@given(data=st.data(), seed=seeds)
def test_no_network_of_these_ops_has_more_or_fewer_params(data: st.DataObject, seed: int) -> None:
    check_ends(data.draw(growing_spaces(tied=True)), seed, macs=False)


@fast
@given(data=st.data(), seed=seeds)
def test_no_network_of_these_ops_has_more_or_fewer_macs(data: st.DataObject, seed: int) -> None:
    """Settings that are tied to each other may have more params and fewer MACs."""
    check_ends(data.draw(growing_spaces(tied=False)), seed, macs=True)


@pytest.mark.parametrize("name", SPACES)
def test_the_ends_of_the_named_spaces(name: str) -> None:
    """No network of 200 lies outside, and each op stands at an end equally often."""
    space, rng = load_space(name), random.Random(0)
    largest, smallest = ([end_of(space, end, 0, draw) for draw in range(12)] for end in ("largest", "smallest"))
    params = [space.sample(rng).params for _ in range(200)]
    assert max(arch.params for arch in largest) > max(params)
    assert min(arch.params for arch in smallest) < min(params)
    ops = Counter(arch.stages[0].op for arch in largest)
    wanted = {block.op for block in space.stages[0].blocks} - {"identity"}
    assert ops == dict.fromkeys(wanted, 12 // len(wanted))


def test_of_tied_settings_the_largest_has_most_params_not_the_largest_expansion() -> None:
    blocks = (
        BlockChoice(op="fused_mbconv", kernel=3, expansion=4),
        BlockChoice(op="fused_mbconv", kernel=7, expansion=2),
    )
    space = Space(
        name="tied",
        stem=StemSpec(width=8),
        stages=(StageChoices(op=blocks, width=(8,), depth=(1,)),),
        head=HeadSpec(width=0, num_classes=10),
        image_size=SIZE,
        batch_size=8,
    )
    assert str(end_of(space, "largest", 0, 0).stages[0]) == "F7e2-8x1"
    assert str(end_of(space, "smallest", 0, 0).stages[0]) == "F3e4-8x1"
