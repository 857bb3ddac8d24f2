"""How waiting for images is measured, with a clock that only goes when it is told to."""

from collections.abc import Iterator

import pytest

from nas.device import Compute
from nas.train import waiting
from nas.train.waiting import DataWatch


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def batches(clock: Clock, seconds: float, count: int = 100) -> Iterator[int]:
    for number in range(count):
        clock.now += seconds
        yield number


def test_a_loader_that_limits_is_told_once_a_phase_with_its_rates(clock: Clock) -> None:
    notes: list[str] = []
    watch = DataWatch(Compute(), note=notes.append, advice="buy a disk")
    seen = []
    for number in watch.timed(batches(clock, 0.9), batch_size=60):
        clock.now += 0.6
        seen.append(number)
    assert seen == list(range(100))
    assert watch.share() == pytest.approx(0.6)
    assert notes == [
        "the step waits for images 60 % of the time: the loader gives 40 images/s, the step could take 100; buy a disk"
    ]
    for _ in watch.timed(batches(clock, 0.9), batch_size=60):
        clock.now += 0.6
    assert len(notes) == 2


def test_a_fast_loader_is_not_spoken_of(clock: Clock) -> None:
    notes: list[str] = []
    watch = DataWatch(Compute(), note=notes.append, advice="")
    for _ in watch.timed(batches(clock, 0.19), batch_size=60):
        clock.now += 0.81
    assert watch.share() == pytest.approx(0.19)
    assert not notes


def test_what_a_step_does_beside_is_not_counted(clock: Clock) -> None:
    watch = DataWatch(Compute(), note=lambda text: None, advice="")
    assert watch.share() == 0
    for number in watch.timed(batches(clock, 0.5), batch_size=60):
        clock.now += 0.5
        if number in (20, 60):
            assert watch.share() == pytest.approx(0.5)
            clock.now += 1000.0
            watch.restart()
    assert watch.share() == pytest.approx(0.5)


def test_the_start_of_workers_is_not_counted(clock: Clock) -> None:
    watch = DataWatch(Compute(), note=lambda text: None, advice="")
    given = watch.timed(batches(clock, 0.0), batch_size=60)
    next(given)
    clock.now += 100.0
    for _ in given:
        clock.now += 1.0
    assert watch.share() == 0
