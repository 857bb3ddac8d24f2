"""Spaces: every method against brute force over all indices of small random spaces."""

import math
import pickle
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_space import ArchSpec, BlockChoice, HeadSpec, Space, StageChoices, StageSpec, StemSpec, load_space

STEM, HEAD = StemSpec(width=8), HeadSpec(width=16, num_classes=10)
BLOCKS = (
    BlockChoice(op="identity"),
    BlockChoice(op="conv"),
    BlockChoice(op="conv", kernel=3),
    BlockChoice(op="mbconv"),
    BlockChoice(op="mbconv", kernel=3, se_ratio=0.0),
    BlockChoice(op="fused_mbconv", expansion=4),
)


def space_of(*stages: StageChoices, **frame: Any) -> Space:
    return Space(
        **{"name": "test", "stem": STEM, "head": HEAD, "image_size": 32, "batch_size": 8, **frame}, stages=stages
    )


def some(draw: st.DrawFn, values: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    return tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)))


@st.composite
def stage_choices(draw: st.DrawFn) -> StageChoices:
    op = some(draw, BLOCKS, 3)
    lists = {
        "kernel": some(draw, (3, 5), 2),
        "expansion": some(draw, (1, 4), 2),
        "se_ratio": some(draw, (0.0, 0.25), 2),
    }
    used = {name: values for name, values in lists.items() if any(block.leaves(name) for block in op)}
    depth = draw(st.sampled_from([(1,), (2,), (0, 1), (1, 2), (2, 0), (3, 1), (1, 2, 3), (0, 2, 3)]))
    width = draw(st.sampled_from([(8,), (8,), (12,), (8, 12), (12, 8)]))
    return StageChoices(op=op, **used, depth=depth, width=width, stride=draw(st.sampled_from([1, 1, 2])))


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    stages = draw(st.lists(stage_choices(), min_size=1, max_size=4))
    while math.prod(len(values) for stage in stages for values in stage.decisions.values()) > 200:
        stages = stages[1:] or [replace(stages[0], depth=(1,), width=(8,))]
    if all(0 in stage.depth for stage in stages):
        stages[-1] = replace(stages[-1], depth=(1,))
    return space_of(*stages)


def all_indices(space: Space) -> Iterator[tuple[int, ...]]:
    return product(*(range(len(decision.values)) for decision in space.decisions))


fast = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fast
@given(small_spaces())
def test_size_and_encode_are_those_of_brute_force(space: Space) -> None:
    smallest: dict[str, tuple[int, ...]] = {}
    for indices in all_indices(space):
        smallest.setdefault(space.decode(indices).key, indices)  # product() comes in lexicographic order
    assert space.size() == len(smallest)
    assert space.num_encodings == math.prod(len(decision.values) for decision in space.decisions)
    for indices in all_indices(space):
        arch = space.decode(indices)
        assert arch in space
        assert space.encode(arch) == smallest[arch.key]
        assert space.encode(arch.canonical()) == smallest[arch.key]
    assert space.encode(ArchSpec.from_json(arch.canonical().to_json())) == smallest[arch.key]


@fast
@given(small_spaces(), small_spaces())
def test_contains_is_that_of_brute_force(space: Space, other: Space) -> None:
    keys = {space.decode(indices).key for indices in all_indices(space)}
    for indices in list(all_indices(other))[:30]:
        arch = other.decode(indices)
        assert (arch in space) == (arch.key in keys)


@fast
@given(small_spaces(), st.randoms(use_true_random=False))
def test_inactive_decisions_mean_nothing(space: Space, rng: random.Random) -> None:
    for indices in rng.sample(list(all_indices(space)), k=min(20, space.num_encodings)):
        active, canonical = space.active(indices), space.canonical(indices)
        fresh = [
            place if flag else rng.randrange(len(decision.values))
            for place, flag, decision in zip(indices, active, space.decisions, strict=True)
        ]
        assert space.decode(fresh) == space.decode(indices)
        assert space.decode(canonical).key == space.decode(indices).key
        assert space.canonical(fresh) == canonical == space.canonical(canonical)
        assert all(place == 0 for place, flag in zip(canonical, space.active(canonical), strict=True) if not flag)


@fast
@given(small_spaces(), st.integers(0, 1000))
def test_sampling_stays_in_the_space_and_repeats_with_the_seed(space: Space, seed: int) -> None:
    rng, again = random.Random(seed), random.Random(seed)
    first, second = space.sample(rng), space.sample(rng)
    child = space.cross_over(first, second, rng)
    assert all(arch in space for arch in (first, second, child))
    assert space.cross_over(first, first, rng).key == first.key
    drawn = space.sample(again), space.sample(again)
    assert (*drawn, space.cross_over(*drawn, again)) == (first, second, child)


@fast
@given(small_spaces(), st.integers(0, 1000))
def test_mutation_gives_another_network_of_the_space(space: Space, seed: int) -> None:
    rng = random.Random(seed)
    arch = space.sample(rng)
    if space.size() == 1:
        with pytest.raises(ValueError, match=r"no other network found in 1000 changes; space test holds 1"):
            space.mutate(arch, rng)
        return
    for _ in range(5):
        mutant = space.mutate(arch.canonical(), rng)
        assert mutant in space
        assert mutant.key != arch.key
        arch = mutant


def test_mutation_reaches_every_network() -> None:
    """Also past a stage that vanished, and past changes that say the same in other words."""
    maybe = StageChoices(op=("identity", "mbconv"), kernel=(3, 5), width=(8,), depth=(0, 1))
    space, rng = space_of(maybe, StageChoices(op=("conv",), width=(8,), depth=(1,))), random.Random(0)
    arch, seen = space.sample(rng), set()
    for _ in range(100):
        arch = space.mutate(arch, rng)
        seen.add(arch.key)
    assert len(seen) == space.size() == 3


def test_mutation_changes_one_active_decision_where_one_network_has_one_description() -> None:
    space, rng = load_space("accel-nasbench"), random.Random(0)
    arch = space.sample(rng)
    for _ in range(50):
        mutant = space.mutate(arch, rng)
        assert sum(a != b for a, b in zip(space.encode(arch), space.encode(mutant), strict=True)) == 1


def test_crossing_takes_a_woken_stage_from_the_parent_that_has_it() -> None:
    maybe = StageChoices(op=("mbconv",), kernel=(3, 5), width=(8,), depth=(0, 2))
    space, rng = space_of(StageChoices(op=("conv",), width=(8,), depth=(1,)), maybe), random.Random(0)
    without, deep = space.decode([0, 0]), space.decode([1, 1])
    assert {space.encode(space.cross_over(without, deep, rng)) for _ in range(20)} == {(0, 0), (1, 1)}


def test_decisions_have_the_names_and_values_that_are_promised() -> None:
    space = space_of(
        StageChoices(op=("conv",), width=(8,), depth=(1,)),
        StageChoices(op=BLOCKS[3:], kernel=(3, 5), expansion=(1, 4), se_ratio=(0.0, 0.25), width=(8, 12), depth=(0, 1)),
    )
    assert {decision.name: decision.values for decision in space.decisions} == {
        "stage2.op": ("mbconv", "mbconv k3 se0.0", "fused_mbconv e4"),
        "stage2.kernel": (3, 5),
        "stage2.expansion": (1, 4),
        "stage2.se_ratio": (0.0, 0.25),
        "stage2.depth": (0, 1),
        "stage2.width": (8, 12),
    }
    assert space.active([1, 0, 0, 0, 1, 0]) == (True, False, True, False, True, True)
    assert space.active([1, 1, 1, 1, 0, 1]) == (False, False, False, False, True, False)


def test_settings_that_an_op_does_not_use_are_neutral() -> None:
    lists = {"kernel": (5,), "expansion": (4,), "se_ratio": (0.25,)}
    space = space_of(StageChoices(op=("identity", "conv", "mbconv"), **lists, width=(8,), depth=(1,)))
    stages = [space.decode([op]).stages[0] for op in range(3)]
    assert [(stage.kernel, stage.expansion, stage.se_ratio) for stage in stages] == [(1, 1, 0), (5, 1, 0), (5, 4, 0.25)]


def test_decode_refuses_wrong_indices() -> None:
    space = load_space("nas-bench-macro")
    with pytest.raises(ValueError, match=r"indices must hold one position a decision \(8\), got 7"):
        space.decode([0] * 7)
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=rf"stage8.op: index must be from 0 to 2, got {wrong}"):
            space.decode([0] * 7 + [wrong])
    with pytest.raises(TypeError):
        space.decode([0.0] * 8)  # type: ignore[list-item]


def test_encode_says_what_does_not_fit() -> None:
    space = load_space("nas-bench-macro")
    arch = space.decode([1] * 8)
    for wrong, message in (
        (replace(arch, activation="silu"), r"not in space nas-bench-macro: activation must be relu, got silu"),
        (arch.with_num_classes(11), r"head must be HeadSpec\(width=1280, num_classes=10\), got .*num_classes=11"),
        (replace(arch, stages=arch.stages[:5]), r"it ends after 5 layers where more must follow"),
        (replace(arch, stages=(*arch.stages, arch.stages[-1])), r"layer 9 of 9 fits no choice, got BlockSpec"),
        (replace(arch, stages=(replace(arch.stages[0], kernel=7), *arch.stages[1:])), r"layer 1 of 8 fits no choice"),
    ):
        assert wrong not in space
        with pytest.raises(ValueError, match=message):
            space.encode(wrong)
    assert "nas-bench-macro" not in space


def test_a_deep_space_is_counted_without_recursion() -> None:
    """Two neighbours that share a block: k layers in all, k from 2 to 1200, and each k once."""
    stage = StageChoices(op=("conv",), width=(8,), depth=tuple(range(1, 601)))
    space = space_of(stage, stage)
    assert (space.num_encodings, space.size()) == (360_000, 1199)
    arch = ArchSpec(stem=STEM, head=HEAD, stages=(StageSpec(op="conv", width=8, depth=603),))
    assert space.encode(arch) == (2, 599)


def test_with_num_classes_sets_the_reference_too() -> None:
    space = load_space("efficientnetv2").with_num_classes(7)
    assert space.reference.head.num_classes == space.head.num_classes == 7
    assert space.reference in space
    assert space.sample(random.Random(0)).head.num_classes == 7


def test_the_reference_is_the_middle_unless_given() -> None:
    choices = StageChoices(op=("mbconv",), kernel=(3, 5), expansion=(1, 4, 6), width=(8,), depth=(1, 2, 3, 4))
    space = space_of(choices)
    assert str(space.reference.stages[0]) == "M3e4-8x2"
    assert space_of(choices, reference=space.decode([1, 1, 1])).reference == space.decode([1, 1, 1])
    with pytest.raises(ValueError, match=r"Space.reference must be one of the space's networks, layer 1 of 9 fits no"):
        space_of(choices, reference=replace(space.reference, stages=(StageSpec(op="conv", width=8, depth=9),)))


def test_json_and_pickle_give_the_space_back() -> None:
    for name in ("efficientnetv2", "efficientnetv2-tiny", "nas-bench-macro", "accel-nasbench"):
        space = load_space(name)
        assert Space.from_json(space.to_json()) == space
        assert pickle.loads(pickle.dumps(space)) == space


CONV: dict[str, Any] = {"op": ("conv",), "width": (8,), "depth": (1,)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": ()}, r"StageChoices.op must hold at least one choice, got none"),
        ({"op": "conv"}, r"StageChoices.op must be a list of choices, got 'conv'"),
        ({"op": ("conv", BlockChoice(op="conv"))}, r"StageChoices.op must hold each choice once, got BlockChoice"),
        ({"op": (3,)}, r"StageChoices.op must hold block choices or names of ops, got 3"),
        ({"width": (8, 8)}, r"StageChoices.width must hold each choice once, got 8 twice"),
        ({"width": (0,)}, r"StageChoices.width must be an integer from 1 to 65536, got 0"),
        ({"depth": (-1,)}, r"StageChoices.depth must be an integer from 0 to 1024, got -1"),
        ({"depth": (0,)}, r"StageChoices.depth must hold a number above 0, got only 0: leave the stage out"),
        ({"kernel": (2,)}, r"StageChoices.kernel must be an odd integer from 1 to 31, got 2"),
        ({"op": ("mbconv",), "se_ratio": (0, 0.0)}, r"StageChoices.se_ratio must hold each choice once, got 0.0 twice"),
        ({"expansion": (1, 4)}, r"StageChoices.expansion must be left out where no op leaves it open, got \(1, 4\)"),
        ({"stride": 0}, r"StageChoices.stride must be an integer from 1 to 8, got 0"),
    ],
)  # fmt: skip
def test_stage_choices_refuse(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageChoices(**{**CONV, **change})


def test_block_choices_refuse() -> None:
    with pytest.raises(ValueError, match=r"BlockChoice.se_ratio has no meaning for op 'conv': leave it out"):
        BlockChoice(op="conv", se_ratio=0.0)
    with pytest.raises(ValueError, match=r"BlockChoice.kernel must be an odd integer from 1 to 31, got 4"):
        BlockChoice(op="conv", kernel=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, r"Space.name must be up to 64 letters, .*, got 'a/b'"),
        ({"image_size": 0}, r"Space.image_size must be an integer from 1 to 16384, got 0"),
        ({"batch_size": 1.0}, r"Space.batch_size must be an integer from 1 to 1048576, got 1.0"),
        ({"activation": "gelu"}, r"activation must be one of silu, relu, relu6, got 'gelu'"),
    ],
)
def test_a_space_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space_of(StageChoices(**CONV), **change)


def test_a_space_refuses_wrong_stages() -> None:
    with pytest.raises(ValueError, match=r"Space.stages must hold from 1 to 64 stages, got 0"):
        space_of()
    with pytest.raises(ValueError, match=r"Space.stages must hold a stage that cannot vanish"):
        space_of(StageChoices(**{**CONV, "depth": (0, 1)}))
