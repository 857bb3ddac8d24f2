"""What a search's tests share: the cache, one thread, sessions and worlds that nobody has to train for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.device import Compute
from nas.measure import Conditions, Samples, StepTime
from nas.search.loop import Finished
from nas.search.samplers import SAMPLERS
from nas.search.task import Evaluation
from results import TrialStatus
from search_space import Space, StageChoices, load_space
from tests.nas.search.sessions import Begin, MakeFinished, Ok, Session
from tests.nas.search.worlds import EARLY, AnySampler, World, table_of, world_of


@pytest.fixture(autouse=True)
def _cached_and_calm(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


def make_finished(
    status: TrialStatus = TrialStatus.OK, *, seconds: float | None = 2.0, correct: int = 50, **changes: Any
) -> Finished:
    """How a worker tells of a trial: measured as far as one of this status is."""
    step_time = StepTime(
        ratio=1.5,
        low=1.25,
        high=1.75,
        precise=False,
        samples=Samples((0.03,) * 15, (0.02,) * 16, 2),
        conditions=Conditions(
            device="a chip", compute=Compute(), batch_size=16, image_size=8, optimizer="sgd", drop_path=0.0
        ),
    )
    reason = None if status is TrialStatus.OK else f"the reason for {status}"
    fields: dict[str, Any] = {"status": status, "reason": reason, "device": "a chip", "step_time": step_time}
    if status is TrialStatus.OK:
        fields |= {
            "correct": correct,
            "num_evaluated": 100,
            "train_steps": 5,
            "train_loss": 1.25,
            "peak_memory_bytes": 1 << 20,
            "max_batch_size": 512,
        }
    evaluation = None
    if status in (TrialStatus.OK, TrialStatus.PRUNED, TrialStatus.DIVERGED):
        evaluation = Evaluation(**(fields | changes))
    return Finished(status=status, reason=reason, seconds=seconds, worker="host:1", evaluation=evaluation)


@pytest.fixture(scope="session")
def finished() -> MakeFinished:
    """`finished(status, correct=50, seconds=2.0)`."""
    return make_finished


@pytest.fixture
def session(tmp_path: Path, small_space: Space) -> Iterator[Begin]:
    """Begins a run in `name`, or goes on with it."""
    opened: list[Session] = []

    def begin(name: str = "run", space: Space = small_space, **settings: Any) -> Session:
        for other in opened:
            other.writer.close()
        opened.append(Session(tmp_path / name, space, **settings))
        return opened[-1]

    yield begin
    for other in opened:
        other.writer.close()


@pytest.fixture
def ok(finished: MakeFinished) -> Ok:
    return lambda index, seconds: finished(seconds=seconds, correct=20 + index % 60)


@pytest.fixture(scope="module")
def eight(small_space: Space) -> Space:
    """Eight networks."""
    stage = StageChoices(op=("mbconv",), kernel=(3, 5), expansion=(1, 2), width=(8,), depth=(1, 2), stride=2)
    return replace(small_space, name="eight", stages=(stage,), reference=None)


@pytest.fixture(scope="module")
def wide() -> Space:
    """So many networks that one is hardly ever proposed twice."""
    return load_space("efficientnetv2-tiny")


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
