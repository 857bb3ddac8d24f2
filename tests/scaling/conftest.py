"""Bases: the published S, the reference of the tiny space, and any network at all."""

from typing import Any

import pytest
from hypothesis import strategies as st

from scaling import Base
from search_space import OPS, ArchSpec, HeadSpec, StageSpec, StemSpec, Unrounded, load_space, published


def base_of(arch: ArchSpec, unrounded: Unrounded | None = None, **given: Any) -> Base:
    sizes = {"train_size": 32, "eval_size": 40, "batch_size": 64, **given}
    return Base(name="base", arch=arch, unrounded=unrounded or Unrounded.of(arch), **sizes)


@pytest.fixture(scope="session")
def base_s() -> Base:
    found = published("efficientnetv2_s")
    return base_of(found.arch, found.unrounded, train_size=found.train_size, eval_size=found.eval_size, batch_size=4096)


@pytest.fixture(scope="session")
def base_tiny() -> Base:
    space = load_space("efficientnetv2-tiny")
    return base_of(*space.unrounded(space.reference))


@st.composite
def stages(draw: st.DrawFn) -> StageSpec:
    # An identity costs nothing where its widths happen to be equal, so a wider one may cost less.
    op = draw(st.sampled_from(sorted(set(OPS) - {"identity"})))
    neutral = {"kernel": 1, "expansion": 1, "se_ratio": 0.0}
    listed: dict[str, Any] = {
        "kernel": draw(st.sampled_from((1, 3, 5))),
        "expansion": draw(st.sampled_from((1, 4, 6))),
        "se_ratio": draw(st.sampled_from((0.0, 0.25))),
    }
    settings = {name: listed[name] if name in OPS[op].settings else neutral[name] for name in neutral}
    return StageSpec(
        op=op,
        width=draw(st.integers(1, 300)),
        depth=draw(st.integers(1, 9)),
        stride=draw(st.sampled_from((1, 2))),
        **settings,
    )


@st.composite
def bases(draw: st.DrawFn) -> Base:
    """Any network, with or without widths and depths before rounding."""
    found = tuple(draw(st.lists(stages(), min_size=1, max_size=6)))
    stem = draw(st.sampled_from((found[0].width, 8, 20)))
    head = HeadSpec(width=draw(st.sampled_from((0, 128))), num_classes=10)
    arch = ArchSpec(stem=StemSpec(width=stem, stride=draw(st.sampled_from((1, 2)))), stages=found, head=head)
    unrounded = Unrounded(
        widths=tuple(stage.width * draw(st.sampled_from((0.94, 1.0, 1.06))) for stage in found),
        depths=tuple(draw(st.sampled_from((None, stage.depth - 0.3, float(stage.depth)))) for stage in found),
    )
    train_size = draw(st.sampled_from((16, 32, 64, 128, 224)))
    eval_size = draw(st.sampled_from((train_size, 2 * (5 * train_size // 8))))
    return base_of(arch, unrounded, train_size=train_size, eval_size=max(train_size, eval_size))
