"""Made-up runs to draw."""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from results import Limits, Objective, Run, RunWriter, TrialResult
from search_space.choices import StageChoices
from search_space.space import Space
from search_space.spec import ArchSpec, HeadSpec, StemSpec

MakeRun = Callable[..., Run]
MakeSampled = Callable[..., list[TrialResult]]


@pytest.fixture(scope="session")
def space() -> Space:
    """Two stages, of which the second may vanish."""
    lists = {"op": ("mbconv", "fused_mbconv"), "kernel": (3, 5), "expansion": (1, 4)}
    stages = (
        StageChoices(**lists, depth=(1, 2), width=(8,), stride=2),  # type: ignore[arg-type]
        StageChoices(**lists, depth=(0, 1), width=(16,), stride=2),  # type: ignore[arg-type]
    )
    return Space(
        name="made-up",
        stem=StemSpec(width=8),
        stages=stages,
        head=HeadSpec(width=16, num_classes=10),
        image_size=32,
        batch_size=8,
    )


@pytest.fixture
def make_run(tmp_path: Path, objective: Objective, space: Space) -> MakeRun:
    def make(
        trials: Iterable[TrialResult] = (), *, limits: Limits | None = None, name: str = "run", with_space: bool = True
    ) -> Run:
        config = {"space": json.loads(space.to_json())} if with_space else {}
        folder = tmp_path / "runs" / name
        with RunWriter.create(
            tmp_path / "runs" / "new", config=config, objective=objective, limits=limits or Limits()
        ) as writer:
            for one in trials:
                writer.append(one)
        # A folder may have been given any name since.
        return Run((tmp_path / "runs" / "new").rename(folder))

    return make


@pytest.fixture
def sampled(trial: Callable[..., TrialResult], space: Space) -> MakeSampled:
    """Trials of different networks of the space, with what `measure` says of each."""

    def make(number: int, measure: Callable[[ArchSpec, random.Random], dict[str, float]]) -> list[TrialResult]:
        rng = random.Random(0)
        archs: dict[str, ArchSpec] = {}
        while len(archs) < number:
            arch = space.sample(rng)
            archs.setdefault(arch.key, arch)
        return [
            trial(index, arch=arch, decisions=space.encode(arch), **measure(arch, rng))
            for index, arch in enumerate(archs.values())
        ]

    return make
