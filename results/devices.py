"""Trials by the device that measured them: step times of different devices, and their ratios, do not compare."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from results.durable import RunError
from results.record import TrialResult

__all__ = ["SeveralDevices", "by_device", "count_text", "one_device"]


class SeveralDevices(RunError):
    """A device of the run must be named, as it has trials of several, whose step times do not compare."""


class _Measured(Protocol):
    @property
    def device(self) -> str: ...


T = TypeVar("T", bound=_Measured)


def by_device(trials: Iterable[TrialResult]) -> dict[str, list[TrialResult]]:
    """The `ok` trials by the name of their device, devices in the order of their first such trial."""
    groups: dict[str, list[TrialResult]] = {}
    for trial in trials:
        if trial.ok:
            groups.setdefault(trial.device, []).append(trial)
    return groups


def count_text(counts: Mapping[str, int]) -> str:
    """Each device's name, quoted, with its number of trials."""
    return ", ".join(f"{device!r} ({count})" for device, count in counts.items())


def one_device(measured: Iterable[T]) -> list[T]:
    """`measured`, trials or networks, where one device measured them all.

    Raises:
        ValueError: naming the devices, where they are several.
    """
    measured = list(measured)
    counts = Counter(one.device for one in measured)
    if len(counts) > 1:
        raise ValueError(
            "what is compared must be of one device, as step times of different devices do not compare, got "
            f"{count_text(counts)}: choose one of them (results.by_device)"
        )
    return measured
