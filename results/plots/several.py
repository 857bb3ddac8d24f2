"""Runs that are drawn over each other: whether they compare, and on which device."""

from collections.abc import Mapping

from results.conditions import check_comparable, common_device
from results.store import Run

__all__ = ["device_of_all"]


def device_of_all(runs: Mapping[str, Run], asked: str | None) -> str | None:
    """The device that all have trials of and that is `asked`, where one is; of one run alone `asked` itself.

    Raises:
        TypeError: for runs without names.
        ValueError: for no run, or runs that do not compare, as `results.Run.compare`.
    """
    if not isinstance(runs, Mapping):
        raise TypeError(f"runs must be a Run, or several by their names, as {{'a': run}}, got {type(runs).__name__}")
    if not runs:
        raise ValueError("runs must be at least one, got none")
    first, *others = runs.values()
    for other in others:
        check_comparable(first, other)
        asked = common_device(first, other, asked)
    return asked
