"""What this room's tests share: random spaces, and the named ones at sizes that a test can hold."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from search_space import SPACES, BlockChoice, HeadSpec, Space, StageChoices, StemSpec, load_space
from supernet import Supernet

BLOCKS = (
    BlockChoice(op="identity"),
    BlockChoice(op="conv"),
    BlockChoice(op="mbconv"),
    BlockChoice(op="fused_mbconv"),
    BlockChoice(op="mbconv", kernel=3, expansion=3, se_ratio=0.0),
    BlockChoice(op="mbconv", kernel=5, expansion=1, se_ratio=0.25),
    BlockChoice(op="fused_mbconv", kernel=3),
)
MOST_NETWORKS = 200


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The networks here are small: more threads only cost time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def some(draw: st.DrawFn, values: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    return tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)))


@st.composite
def stage_choices(draw: st.DrawFn) -> StageChoices:
    op = some(draw, BLOCKS, 3)
    lists = {
        "kernel": some(draw, (1, 3, 5), 2),
        "expansion": some(draw, (1, 2, 3), 3),
        "se_ratio": some(draw, (0.0, 0.25, 0.5), 2),
    }
    used = {name: values for name, values in lists.items() if any(block.leaves(name) for block in op)}
    depth = draw(st.sampled_from([(1,), (2,), (0, 1), (1, 2), (2, 0), (1, 3), (0, 2, 3)]))
    width = draw(st.sampled_from([(4,), (6,), (4, 6), (7, 4)]))
    return StageChoices(op=op, **used, depth=depth, width=width, stride=draw(st.sampled_from([1, 1, 2])))


@st.composite
def random_spaces(draw: st.DrawFn) -> Space:
    """Small ones, in which stages vanish, change width, do nothing, and tie settings to an op."""
    stages = draw(st.lists(stage_choices(), min_size=1, max_size=4))
    while math.prod(len(values) for stage in stages for values in stage.decisions.values()) > MOST_NETWORKS:
        stages = stages[1:] or [replace(stages[0], op=("conv",), kernel=(3,), expansion=(1,), se_ratio=(0.0,))]
    if all(0 in stage.depth for stage in stages):
        stages[-1] = replace(stages[-1], depth=(1,))
    return Space(
        name="random",
        stem=StemSpec(width=draw(st.sampled_from([4, 6])), stride=draw(st.sampled_from([1, 2]))),
        stages=tuple(stages),
        head=HeadSpec(width=draw(st.sampled_from([0, 10])), num_classes=5),
        image_size=16,
        batch_size=8,
        activation=draw(st.sampled_from(["silu", "relu", "relu6"])),
        padding=draw(st.sampled_from(["symmetric", "same"])),
    )


@pytest.fixture(scope="session")
def spaces() -> st.SearchStrategy[Space]:
    return random_spaces()


def reduced(space: Space) -> Space:
    """The same choices at an eighth of the width, and of a third of the layers."""
    stages = []
    for stage in space.stages:
        width, depth = {width // 8 for width in stage.width}, {-(-depth // 3) for depth in stage.depth}
        lists = {"width": sorted(width), "depth": sorted(depth), "unrounded_width": (), "unrounded_depth": ()}
        stages.append(replace(stage, **lists))
    return replace(
        space,
        stem=replace(space.stem, width=space.stem.width // 8),
        stages=tuple(stages),
        head=HeadSpec(width=64, num_classes=10),
        reference=None,
    )


@pytest.fixture(scope="session")
def filled() -> Callable[..., Supernet]:
    """A space's supernet, every number of it drawn: batch norms whose statistics and weights are 0 and 1 hide what is
    left out of them."""

    def fill(space: Space, seed: int = 0) -> Supernet:
        generator = torch.Generator().manual_seed(seed)
        supernet = Supernet(space, generator=generator)
        for name, tensor in supernet.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0.0, 0.1, generator=generator)
        return supernet

    return fill


@pytest.fixture(scope="session")
def named(filled: Callable[..., Supernet]) -> dict[str, Supernet]:
    """Of every named space; reduced where it is for ImageNet."""
    spaces = [load_space(name) for name in SPACES]
    return {space.name: filled(reduced(space) if space.image_size > 32 else space) for space in spaces}


@pytest.fixture(scope="session")
def tiny(named: dict[str, Supernet]) -> Supernet:
    return named["efficientnetv2-tiny"]


@pytest.fixture(scope="session")
def hollow() -> dict[str, Supernet]:
    """Of every named space as it is, without numbers."""
    with torch.device("meta"):
        return {name: Supernet(load_space(name)) for name in SPACES}
