"""A calibration: the block table of a space on one device, kept in this user's cache. No torch here.

It is kept under a hash of all that its times depend on (device, threads, dtype, batch and image size, optimizer,
versions, the reference network) and is looked for under the same: on another device it is not found.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from nas.measure.parts import Part
from nas.measure.step_time import Conditions
from nas.user_folders import cache_folder
from results.durable import RunError, read_bounded, write_atomically
from search_space import ArchSpec, parse_json

__all__ = [
    "CALIBRATIONS",
    "Calibration",
    "PartTime",
    "calibration_path",
    "load_calibration",
    "read_calibration",
    "save_calibration",
    "write_calibration",
]

CALIBRATIONS = "step-time"
MAX_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class PartTime:
    """`ratio` is the median of a part's seconds over the reference network's for a whole training step, of
    `num_rounds` rounds."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    ratio: float
    num_rounds: int

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1e6:
            raise ValueError(f"PartTime.ratio must be above 0 and below 1e6, got {self.ratio}")
        if self.num_rounds < 1:
            raise ValueError(f"PartTime.num_rounds must be at least 1, got {self.num_rounds}")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Times of parts by `Part.name`, relative to `reference`, whose own step took `reference_s` seconds (median).

    `versions` are those of what computes; `seconds` is the wall clock that it took, `made_at` the date in ISO 8601.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    conditions: Conditions
    versions: dict[str, str]
    reference: ArchSpec
    reference_s: float
    parts: dict[str, PartTime]
    seconds: float
    made_at: str

    def __post_init__(self) -> None:
        for name in ("reference_s", "seconds"):
            if not 0 < getattr(self, name) < 1e6:
                raise ValueError(f"Calibration.{name} must be above 0 and below 1e6, got {getattr(self, name)}")

    def has(self, parts: Iterable[Part]) -> bool:
        """Whether every one of these parts was timed."""
        return all(part.name in self.parts for part in parts)


def calibration_path(conditions: Conditions, versions: dict[str, str], reference: ArchSpec) -> Path:
    """Where a calibration made under these is kept."""
    facts = {"conditions": asdict(conditions), "versions": versions, "reference": reference.key}
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / CALIBRATIONS / f"{name}.json"


def save_calibration(calibration: Calibration) -> Path:
    """Keep it, in place of an earlier one.

    Raises:
        OSError: where the cache folder cannot be made or locked.
        RunWriteError: where the file cannot be written.
    """
    from filelock import FileLock

    path = calibration_path(calibration.conditions, calibration.versions, calibration.reference)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        write_calibration(path, calibration)
    return path


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Raise RunWriteError where the file cannot be written."""
    write_atomically(path, json.dumps(asdict(calibration), allow_nan=False))


def read_calibration(path: Path) -> Calibration | None:
    """The calibration of a file; None where there is no file.

    Raises:
        RunError: for a file that cannot be read or is damaged, naming it.
    """
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return parse_json(Calibration, read_bounded(path, MAX_BYTES).decode())
    except RunError:
        raise
    except ValueError as error:
        raise RunError(f"{path}: {str(error).splitlines()[0]}") from None


def load_calibration(conditions: Conditions, versions: dict[str, str], reference: ArchSpec) -> Calibration | None:
    """The one that was kept for exactly these; None where there is none, or where its file is damaged."""
    path = calibration_path(conditions, versions, reference)
    try:
        found = read_calibration(path)
    except RunError:
        return None
    if found is None:
        return None
    same = (found.conditions, found.versions, found.reference.key) == (conditions, versions, reference.key)
    return found if same else None
