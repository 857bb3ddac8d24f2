"""Images that cannot be read: named, counted, and too many past a share."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from nas.data.config import DataError
from nas.data.source import Split
from nas.text import printable

__all__ = ["Fault", "Skipped", "check_share"]

_NAMED = 10


class Fault(NamedTuple):
    """An image, and why it cannot be read."""

    name: str
    reason: str


def check_share(faults: Iterable[Fault], total: int, max_share: float) -> None:
    """Raise for more unreadable images than a share of all.

    Raises:
        DataError: naming some of them, their number and the share.
    """
    found = list(faults)
    if len(found) <= max_share * total:
        return
    lines = [f"  {printable(fault.name)}: {fault.reason}" for fault in found[:_NAMED]]
    if len(found) > _NAMED:
        lines.append(f"  ... and {len(found) - _NAMED:,} more")
    count = f"{len(found):,} of {total:,}"
    head = (
        f"at most {100 * max_share:.3g} % of the images may be unreadable, but {count} are"
        if max_share
        else f"every image must be readable, but {count} are not"
    )
    raise DataError("\n".join([f"{head} (repair or remove them):", *lines]))


class Skipped:
    """The unreadable images that a training met, each counted once."""

    def __init__(self, totals: Mapping[Split, int], max_share: float) -> None:
        """`totals`: images of each split; at most a share `max_share` of each may be unreadable."""
        self._totals, self._max_share = totals, max_share
        self._found: dict[Split, dict[str, Fault]] = {split: {} for split in totals}
        self._tell: Callable[[Split, list[Fault]], None] = lambda split, faults: None

    def count(self, split: Split) -> int:
        return len(self._found[split])

    def report_to(self, tell: Callable[[Split, list[Fault]], None], known: Iterable[tuple[Split, Fault]]) -> None:
        """`tell` is called once for each image, found before or from now on, that is not among the `known`."""
        before, self._found = self._found, {split: {} for split in self._totals}
        for split, fault in known:
            self._found[split][fault.name] = fault
        self._tell = tell
        for split, found in before.items():
            self.add(split, found.values())

    def add(self, split: Split, faults: Iterable[Fault]) -> None:
        """Count them.

        Raises:
            DataError: where they are too many.
        """
        found = self._found[split]
        new = {fault.name: fault for fault in faults if fault.name not in found}
        if new:
            found.update(new)
            self._tell(split, list(new.values()))
            check_share(found.values(), self._totals[split], self._max_share)
