"""The last part of a search: its best networks are trained anew, with other seeds.

One short training is a draw of chance, and the best of many is one that was lucky: only new trainings say how good the
best networks are, and which of them cannot be told apart. Where a supernet judged them, the best are trained alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nas.search.samplers import Candidate
from results import Weights
from search_space import ArchSpec

__all__ = ["AloneConfirmation", "Confirmation", "Confirming", "Trained", "why_nothing"]

Trained = Counter[tuple[str, Weights]]
"""New trainings that were begun, by the network's key and what they began with."""

FEWEST = 4
"""Trainings: of two networks, twice each. With fewer nothing could be told of either."""
FEWEST_NETWORKS = 2


@dataclass(frozen=True, kw_only=True)
class Confirming:
    """How much is confirmed: `share` of the budget is kept for it, and each network is trained anew at least `repeat`
    times. Of a search that a supernet judges, the best `alone` networks are trained alone."""

    share: float = 0.0
    repeat: int = 3
    alone: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"confirm_share must be at least 0 and below 1, got {self.share}")
        if self.repeat < 2:
            raise ValueError(f"repeat must be at least 2 (one training has no spread), got {self.repeat}")
        if self.alone < 0:
            raise ValueError(f"confirm must be at least 0 networks, got {self.alone}")

    @property
    def num_alone(self) -> int:
        """Trainings of networks alone."""
        return self.alone * self.repeat * len(AloneConfirmation.BEGIN_WITH)


class Confirmation:
    """Which network is trained anew next, of the best `num_networks`: the one with the fewest new trainings so far, the
    better where they are equal. It is over after `num_trainings`."""

    def __init__(self, *, num_networks: int, num_trainings: int, weights: Weights = Weights.OWN) -> None:
        self.num_networks = num_networks
        self.num_trainings = num_trainings
        self._weights = weights
        self._begun = 0

    @classmethod
    def fitting(
        cls, room: int, num_picks: int, confirming: Confirming, *, begun: int = 0, weights: Weights = Weights.OWN
    ) -> Self | None:
        """For `room` trainings, from such `weights`, beside those that an earlier session had `begun` when it ended;
        None where they, or the networks to choose from, are too few."""
        num_networks = min(num_picks, max(FEWEST_NETWORKS, (room + begun) // confirming.repeat))
        if not room or room + begun < FEWEST or num_networks < FEWEST_NETWORKS:
            return None
        return cls(num_networks=num_networks, num_trainings=room, weights=weights)

    def next(
        self, picks: Sequence[Candidate[ArchSpec]], trained: Trained
    ) -> tuple[Candidate[ArchSpec], Weights] | None:
        """The network to train anew, of `picks`, the best first, and what it begins with. None where it is over."""
        best = picks[: self.num_networks]
        if self._begun >= self.num_trainings or not best:
            return None
        self._begun += 1
        return min(best, key=lambda candidate: trained[candidate.arch.key, self._weights]), self._weights


class AloneConfirmation:
    """Of a search that a supernet judged: each of the best `num_networks` is trained alone `repeat` times from random
    weights, all of them in turn; then as often from the supernet's. What an earlier session trained counts."""

    BEGIN_WITH = (Weights.OWN, Weights.INHERITED)

    def __init__(self, *, num_networks: int, repeat: int) -> None:
        self.num_networks = num_networks
        self.num_trainings = num_networks * repeat * len(self.BEGIN_WITH)
        self._repeat = repeat

    def next(
        self, picks: Sequence[Candidate[ArchSpec]], trained: Trained
    ) -> tuple[Candidate[ArchSpec], Weights] | None:
        """As `Confirmation.next`."""
        for weights in self.BEGIN_WITH:
            begun = {candidate.arch.key: trained[candidate.arch.key, weights] for candidate in picks}
            left = [one for one in picks[: self.num_networks] if begun[one.arch.key] < self._repeat]
            if left:
                return min(left, key=lambda candidate: begun[candidate.arch.key]), weights
        return None


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
