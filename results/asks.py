"""What a search asked its sampler for, in order: with the order of trials.jsonl, all that is needed to replay it."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from results.record import MAX_INDEX, TrialResult, check_count
from search_space.files import parse_json

__all__ = ["Ask", "in_order"]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A candidate that the sampler proposed; one line of asks.jsonl.

    Attributes:
        index: of the trial that it is for.
        decisions: the candidate as the space encodes it.
        after: how many trials were on record when it was asked for: those the sampler knew.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    index: int
    decisions: tuple[int, ...]
    after: int

    def __post_init__(self) -> None:
        for name, values in (("index", [self.index]), ("after", [self.after]), ("decisions", self.decisions)):
            for value in values:
                check_count(f"Ask.{name}", value, MAX_INDEX)

    def to_json(self) -> str:
        """This record on one line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: naming the field, the rule and the value.
        """
        return parse_json(cls, text)


def in_order(asks: Iterable[Ask], trials: Sequence[TrialResult]) -> Iterator[Ask | TrialResult]:
    """Asks and trials (in the order of their file) as they followed each other; a trial without an ask, as in a run of
    an older version, stands alone."""
    waiting = deque(asks)
    for number, trial in enumerate(trials):
        while waiting and waiting[0].after <= number:
            yield waiting.popleft()
        yield trial
    yield from waiting
