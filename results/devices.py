"""Trials by the device that measured them: step times of different devices, and their ratios, do not compare."""

from collections.abc import Iterable, Mapping, Sequence

from results.record import TrialResult

__all__ = ["by_device", "count_text", "one_device"]


def by_device(trials: Iterable[TrialResult]) -> dict[str, list[TrialResult]]:
    """The `ok` trials by the name of their device, devices in the order of their first such trial."""
    groups: dict[str, list[TrialResult]] = {}
    for trial in trials:
        if trial.ok:
            groups.setdefault(trial.device, []).append(trial)
    return groups


def count_text(groups: Mapping[str, Sequence[TrialResult]]) -> str:
    """Each device's name, quoted, with its number of trials."""
    return ", ".join(f"{device!r} ({len(trials)})" for device, trials in groups.items())


def one_device(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """`trials`, which are all `ok`, where one device measured them all.

    Raises:
        ValueError: naming the devices, where they are several.
    """
    trials = list(trials)
    groups = by_device(trials)
    if len(groups) > 1:
        raise ValueError(
            "trials that are compared must be of one device, as step times of different devices do not compare, got "
            f"trials of {count_text(groups)}: choose one of them (results.by_device)"
        )
    return trials
