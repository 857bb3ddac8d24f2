"""What a plot is given, a run or networks, as what it draws."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from results.devices import one_device
from results.limits import Limits
from results.networks import Network
from results.record import TrialResult
from results.store import Run

__all__ = ["Source", "trials_on"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Networks of one device and what is known of their run.

    Attributes:
        networks: within the run's limits.
        limits: the run's; none where networks alone were given.
        outside: how many networks were measured and keep to no limit.
        missing: how many trials were not measured in full, by status.
        of: where the networks are from, in words; empty where networks alone were given.
    """

    networks: Sequence[Network]
    limits: Limits
    outside: int = 0
    missing: dict[str, int]
    of: str = ""

    @classmethod
    def find(cls, what: Run | Iterable[Network], device: str | None = None) -> Self:
        """Of a run, or of networks.

        Raises:
            RunError: for a device that the run does not have, or None where it has several.
            ValueError: for networks of several devices.
        """
        if not isinstance(what, Run):
            return cls(networks=one_device(what), limits=Limits(), missing={})
        found = what.networks(device=device)
        space = what.config.get("space")
        name = space.get("name") if isinstance(space, dict) else None
        return cls(
            networks=found,
            limits=what.limits,
            outside=len(what.networks(device=device, limits=Limits())) - len(found),
            missing=dict(Counter(str(trial.status) for trial in trials_on(what, device) if not trial.ok)),
            of=f"run {what.folder.absolute().name}" + (f", space {name}" if name else ""),
        )

    @property
    def missing_text(self) -> str:
        """How many trials are not in the picture, and why; empty where all are."""
        told = [f"{count} {status.replace('_', ' ')}" for status, count in self.missing.items()]
        if self.outside:
            told.append(f"{self.outside} outside the limits")
        return f"not drawn: {', '.join(told)}" if told else ""

    @property
    def nothing(self) -> str:
        """Why there is nothing to draw."""
        return f"no network was measured in full ({self.missing_text or 'no trial ended'})"


def trials_on(run: Run, device: str | None) -> list[TrialResult]:
    """All trials of a run, or those on one device."""
    return [trial for trial in run.trials if device is None or trial.device == device]
