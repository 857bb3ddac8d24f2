"""What the tests of measuring share: one thread, a cache of their own, a machine whose time only its calls move, a
space of every shape that may be written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.device import CallClock, Compute
from nas.measure import Calibration, Conditions, PartTime, space_parts
from search_space import HeadSpec, Space, StageChoices, StemSpec

Cost = Callable[[str, int], float]
"""(a call's name, how many calls there were before) -> the seconds that it takes."""


class Machine:
    """Calls by name that take the seconds that a `Cost` says."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.now = 0.0
        self.order: list[str] = []

    def call(self, name: str) -> Callable[[], None]:
        def step() -> None:
            self.now += self.cost(name, len(self.order))
            self.order.append(name)

        return step

    def clock(self) -> CallClock:
        return CallClock(lambda: self.now)


MakeMachine = Callable[[Cost], Machine]
MakeConditions = Callable[..., Conditions]
MakeCalibration = Callable[..., Calibration]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where calibrations are kept."""
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def machine() -> MakeMachine:
    return Machine


@pytest.fixture(scope="session")
def odd_space() -> Space:
    """Widths and depths to choose, stages that vanish, every op, identities that are no layer, padding `same`, no head
    convolution, strides that do not divide the image."""
    return Space(
        name="odd",
        stem=StemSpec(width=8, stride=1, kernel=5),
        stages=(
            StageChoices(op=("identity", "mbconv"), expansion=(1, 2), width=(8, 16), depth=(0, 1, 3)),
            StageChoices(
                op=("conv", "fused_mbconv", "identity"), kernel=(3, 5), width=(16, 24), depth=(0, 2), stride=2
            ),
            StageChoices(op=("mbconv",), se_ratio=(0.0, 0.25, 0.2500001), width=(24,), depth=(1, 2), stride=3),
        ),
        head=HeadSpec(width=0, num_classes=7),
        image_size=13,
        batch_size=4,
        activation="relu6",
        padding="same",
    )


def make_conditions(**changes: Any) -> Conditions:
    fields: dict[str, Any] = {
        "device": "a chip",
        "compute": Compute(),
        "batch_size": 4,
        "image_size": 8,
        "optimizer": "sgd",
        "drop_path": 0.0,
    }
    return Conditions(**(fields | changes))


@pytest.fixture(scope="session")
def conditions() -> MakeConditions:
    """`conditions(batch_size=8)`."""
    return make_conditions


def make_calibration(space: Space, *, ratio: Callable[[], float] = lambda: 0.01, **changes: Any) -> Calibration:
    """A block table in which each part of `space` takes what `ratio` says next."""
    fields: dict[str, Any] = {
        "conditions": make_conditions(image_size=space.image_size),
        "versions": {"torch": "2.14.1"},
        "reference": space.reference,
        "reference_s": 0.02,
        "parts": {part.name: PartTime(ratio=ratio(), num_rounds=9) for part in space_parts(space, space.image_size)},
        "seconds": 45.0,
        "made_at": "2026-11-22T12:00:00+00:00",
    }
    return Calibration(**(fields | changes))


@pytest.fixture(scope="session")
def calibration_of() -> MakeCalibration:
    """`calibration_of(space, ratio=..., seconds=3.0)`."""
    return make_calibration
