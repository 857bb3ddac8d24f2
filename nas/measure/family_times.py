"""Step times of a family's members, and members by step time: parts are timed as they are needed. No torch here."""

from collections.abc import Callable, Iterable, Sequence

from nas.measure.calibration import Calibration
from nas.measure.parts import Part, network_parts
from nas.measure.rough import RoughStepTime
from scaling import Base, Compound, Found, MemberShape, Target, find_places
from search_space import ArchSpec

__all__ = ["StepTimeTable", "places_by_step_time"]

MAX_LOOKS = 12


class StepTimeTable:
    """Step times of any network, from a table that grows.

    Args:
        timer: times parts under fixed conditions, and gives a calibration that holds them and all before.
        image_size: of those conditions, in pixels.
        reference: the network of whose step the parts' times are shares.
    """

    def __init__(self, timer: Callable[[Sequence[Part]], Calibration], image_size: int, reference: ArchSpec) -> None:
        self._timer = timer
        self._image_size = image_size
        self._parts = list(network_parts(reference, image_size))
        self.calibration = timer(self._parts)

    def missing(self, archs: Iterable[ArchSpec]) -> list[Part]:
        """The parts of these networks that are not in the table, each once."""
        parts = dict.fromkeys(part for arch in archs for part in network_parts(arch, self._image_size))
        return [part for part in parts if part.name not in self.calibration.parts]

    def time(self, archs: Iterable[ArchSpec]) -> None:
        """Time what is missing of these networks."""
        if missing := self.missing(archs):
            self.calibration = self._timer(missing)
            self._parts += missing

    def rough(self) -> RoughStepTime:
        """For networks that may have other parts, too."""
        return RoughStepTime(self.calibration, self._parts)


def places_by_step_time(
    table: StepTimeTable, base: Base, targets: Sequence[Target], compound: Compound
) -> dict[str, Found]:
    """As `find_places`, by step time: targets that are not relative are in the reference's steps.

    What the table lacks is estimated, the members that are found so are timed, and so on until every part of the
    members found is one that was timed.
    """
    found: dict[str, Found] = {}
    for _ in range(MAX_LOOKS):
        rough = table.rough()
        found = find_places(base, targets, _cost(rough), compound)
        members = [base.arch, *(compound.member(base, *each.place).arch for each in found.values())]
        if not table.missing(members):
            break
        table.time(members)
    return found


def _cost(rough: RoughStepTime) -> Callable[[MemberShape], float]:
    return lambda shape: rough(shape.arch)
