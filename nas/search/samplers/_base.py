"""What every sampler is: ask for a candidate, tell what was measured of it, recover from what is on record."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from results import TrialResult
from search_space import ArchSpec, Space

__all__ = ["Candidate", "Refusal", "Sampler", "SpaceExhausted"]


class SpaceExhausted(Exception):
    """No network is left that has not been proposed and that the limits allow; the message says what was seen."""


class Refusal(NamedTuple):
    """Why a network may not be trained: the quantity that a limit forbids, and its value."""

    quantity: str
    value: int | float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network proposed as trial `index`, with its decisions as the space encodes them."""

    index: int
    arch: ArchSpec
    decisions: tuple[int, ...]


def _range_text(quantity: str, refusals: Iterable[Refusal]) -> str:
    values = [refusal.value for refusal in refusals if refusal.quantity == quantity]
    return f"{quantity} from {_number(min(values))} to {_number(max(values))}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


class Sampler(ABC):
    """Proposes networks of a space, each at most once.

    Public methods keep the books; a kind of sampler fills in `_propose` and, where it learns, `_learn`.

    Args:
        space: where candidates come from.
        seed: the same seed, told the same results in the same order, proposes the same candidates.
        refusal: why a network may not be trained, by what is known of it before; None where it may.
        score: the reward of a result; None for one that has none.
    """

    MAX_TRIES = 20_000

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        refusal: Callable[[ArchSpec], Refusal | None],
        score: Callable[[TrialResult], float | None],
    ) -> None:
        self._space = space
        self._seed = seed
        self._refusal = refusal
        self._score = score
        self._proposed: set[str] = set()

    def ask(self, index: int) -> Candidate:
        """A candidate for trial `index`.

        Raises:
            SpaceExhausted: where none is found; the search ends.
        """
        refused: dict[str, Refusal] = {}
        draws = 0
        for attempt in range(self.MAX_TRIES):
            draws += 1
            decisions = self._propose(index, attempt)
            arch = self._space.decode(decisions)
            refusal = refused.get(arch.key) or self._refusal(arch)
            if refusal is not None:
                refused[arch.key] = refusal
                self._reject(index)
            elif arch.key in self._proposed:
                self._reject(index)
            else:
                self._proposed.add(arch.key)
                return Candidate(index=index, arch=arch, decisions=self._space.encode(arch))
            if len(refused) + len(self._proposed) >= self._space.size():
                break
        raise SpaceExhausted(self._why_exhausted(list(refused.values()), draws))

    def _why_exhausted(self, refusals: list[Refusal], draws: int) -> str:
        name, tried = self._space.name, len(self._proposed)
        if not refusals or tried:
            return f"no network of the space {name} is left to try: {tried:,} were proposed"
        seen = [_range_text(quantity, refusals) for quantity in dict.fromkeys(each.quantity for each in refusals)]
        found = f"was found in {draws:,} draws"
        return f"no network of the space {name} within the limits {found}; refused were {' and '.join(seen)}"

    def tell(self, candidate: Candidate, result: TrialResult) -> None:
        """What came of a candidate of this sampler, whatever its status."""
        self._learn(candidate, self._score(result))

    def recover(self, history: Iterable[TrialResult]) -> None:
        """Take in the trials of an earlier session, as if they had been asked for and told here."""
        for result in history:
            self._proposed.add(result.key)
            candidate = Candidate(index=result.index, arch=result.arch, decisions=self._space.encode(result.arch))
            self._recover(candidate, self._score(result))

    @abstractmethod
    def _propose(self, index: int, attempt: int) -> tuple[int, ...]:
        """Decisions for trial `index`; `attempt` counts the proposals for it that were not taken."""

    def _reject(self, index: int) -> None:  # noqa: B027
        """The last proposal was not taken."""

    def _learn(self, candidate: Candidate, score: float | None) -> None:  # noqa: B027
        """The score of a candidate; None where it has none."""

    def _recover(self, candidate: Candidate, score: float | None) -> None:
        self._learn(candidate, score)
