"""Members by step time, with a device on which every part takes a known time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from nas.measure import Calibration, Part, PartTime, RoughStepTime, network_parts
from nas.measure.family_times import StepTimeTable, places_by_step_time
from scaling import Base, Compound, parse_targets
from search_space import Space, load_space

SIZE = 32


class Device:
    """Every part takes time with its channels and pixels; it notes what it was asked to time."""

    def __init__(self, empty: Calibration) -> None:
        self.found = empty
        self.asked: list[list[Part]] = []

    def __call__(self, parts: Sequence[Part]) -> Calibration:
        self.asked.append(list(parts))
        times = {part.name: PartTime(ratio=true_time(part), num_rounds=9) for part in parts}
        self.found = replace(self.found, parts=self.found.parts | times)
        return self.found


def true_time(part: Part) -> float:
    layer = part.layer
    return 1e-3 + 1e-7 * part.size**2 * layer.in_channels * layer.width * (3 if layer.op == "fused_mbconv" else 1)


@pytest.fixture
def space() -> Space:
    return load_space("efficientnetv2-tiny")


@pytest.fixture
def device(space: Space, calibration_of: Any) -> Device:
    return Device(replace(calibration_of(space), parts={}))


@pytest.fixture
def base(space: Space) -> Base:
    arch, unrounded = space.unrounded(space.reference)
    return Base(name="base", arch=arch, unrounded=unrounded, train_size=SIZE, eval_size=40, batch_size=64)


def test_members_by_step_time_take_that_time(space: Space, device: Device, base: Base) -> None:
    table = StepTimeTable(device, SIZE, space.reference)
    compound = Compound()
    found = places_by_step_time(table, base, parse_targets("M=2x,L=4x"), compound)

    def true_sum(place: Any) -> float:
        parts = network_parts(compound.member(base, *place).arch, SIZE)
        return sum(times * true_time(part) for part, times in parts.items())

    for name, factor in (("M", 2), ("L", 4)):
        assert found[name].reached
        assert true_sum(found[name].place) / true_sum((0.0, 0.0)) == pytest.approx(factor * found[name].share)


def test_no_part_is_timed_twice(space: Space, device: Device, base: Base) -> None:
    table = StepTimeTable(device, SIZE, space.reference)
    places_by_step_time(table, base, parse_targets("M=2x,L=4x"), Compound())
    asked = [part for parts in device.asked for part in parts]
    assert len(set(asked)) == len(asked)
    before = len(device.asked)
    places_by_step_time(table, base, parse_targets("M=2x,L=4x"), Compound())
    table.time([base.arch])
    assert len(device.asked) == before


def test_what_is_not_timed_is_likened_by_its_multiply_adds(space: Space, device: Device) -> None:
    reference = space.reference
    table = StepTimeTable(device, SIZE, reference)
    rough = table.rough()
    assert rough(reference) == pytest.approx(1.0)
    wider = replace(reference, head=replace(reference.head, width=2 * reference.head.width))
    head = next(part for part in network_parts(reference, SIZE) if part.layer.op == "head")
    whole = sum(times * true_time(part) for part, times in network_parts(reference, SIZE).items())
    assert rough(wider) == pytest.approx(1 + true_time(head) / whole, rel=0.01)


def test_only_parts_of_the_table_can_be_likened(space: Space, device: Device) -> None:
    known = list(network_parts(space.reference, SIZE))
    calibration = device(known)
    rough = RoughStepTime(calibration, known)
    deeper = replace(space.reference, stages=tuple(replace(stage, depth=9) for stage in space.reference.stages))
    assert 1 < rough(deeper) < 9
