"""The last part of a search: its best networks are trained anew, with other seeds.

One short training is a draw of chance, and the best of many is one that was lucky: only new trainings say how good the
best networks are, and which of them cannot be told apart.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nas.search.samplers import Candidate
from search_space import ArchSpec

__all__ = ["Confirmation", "Confirming", "why_nothing"]

FEWEST = 4
"""Trainings: of two networks, twice each. With fewer nothing could be told of either."""
FEWEST_NETWORKS = 2


@dataclass(frozen=True, kw_only=True)
class Confirming:
    """How much is confirmed: `share` of the budget is kept for it, and each network is trained anew at least `repeat`
    times."""

    share: float = 0.0
    repeat: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"confirm_share must be at least 0 and below 1, got {self.share}")
        if self.repeat < 2:
            raise ValueError(f"repeat must be at least 2 (one training has no spread), got {self.repeat}")


class Confirmation:
    """Which network is trained anew next, of the best `num_networks`: the one with the fewest new trainings so far, the
    better where they are equal. It is over after `num_trainings`."""

    def __init__(self, *, num_networks: int, num_trainings: int) -> None:
        self.num_networks = num_networks
        self.num_trainings = num_trainings
        self._begun = 0

    @classmethod
    def fitting(cls, room: int, num_picks: int, confirming: Confirming, *, begun: int = 0) -> Self | None:
        """For `room` trainings beside those that an earlier session had `begun` when it ended; None where they, or the
        networks to choose from, are too few."""
        num_networks = min(num_picks, max(FEWEST_NETWORKS, (room + begun) // confirming.repeat))
        if not room or room + begun < FEWEST or num_networks < FEWEST_NETWORKS:
            return None
        return cls(num_networks=num_networks, num_trainings=room)

    def next(self, picks: Sequence[Candidate[ArchSpec]], repeats: Counter[str]) -> Candidate[ArchSpec] | None:
        """The network to train anew, of `picks`, the best first; `repeats` counts by key the new trainings that were
        begun. None where it is over."""
        best = picks[: self.num_networks]
        if self._begun >= self.num_trainings or not best:
            return None
        self._begun += 1
        return min(best, key=lambda candidate: repeats[candidate.arch.key])


def why_nothing(room: int, num_picks: int, confirming: Confirming) -> str:
    """Why `Confirmation.fitting` is None where no earlier session began one, on one line."""
    if room < FEWEST:
        return (
            f"no network was confirmed: confirm_share {confirming.share:g} of the budget has room for {room} new "
            f"training{'' if room == 1 else 's'}, and must have room for {FEWEST}: give a larger budget or share"
        )
    return (
        f"no network was confirmed: {FEWEST_NETWORKS} must have been measured within the limits by then, "
        f"got {num_picks}"
    )
