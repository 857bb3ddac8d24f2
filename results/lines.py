"""Files of one JSON record a line, as a run's folder has them: read whole, within bounds, a torn end told."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from results.durable import RunError, read_bounded

__all__ = ["LinesFile", "read_lines"]

T = TypeVar("T")
MAX_FILE_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class LinesFile(Generic[T]):
    """What such a file holds. `num_bytes` of it are whole lines; `torn` says what follows them, None for nothing."""

    records: tuple[T, ...] = ()
    num_bytes: int = 0
    lacks_newline: bool = False
    torn: str | None = None


def read_lines(path: Path, parse: Callable[[str], T]) -> LinesFile[T]:
    """Every record of the file, in its order.

    A last line without its newline was cut by a kill, a crash or a full disk: it counts where it is whole, and is
    left out, and told, where it is not.

    Raises:
        RunError: for any other damage, naming the line.
    """
    data = read_bounded(path, MAX_FILE_BYTES)
    records: list[T] = []
    num_bytes, lacks_newline, torn = len(data), False, None
    for number, line in enumerate(io.BytesIO(data), start=1):
        if line.endswith(b"\n"):
            if line.strip():
                records.append(_parse_line(path, number, line[:-1], parse))
            continue
        try:
            records.append(_parse_line(path, number, line, parse))
            lacks_newline = True
        except RunError:
            num_bytes -= len(line)
            torn = f"{path}, line {number}: cut off after {len(line)} bytes, left out"
    return LinesFile(records=tuple(records), num_bytes=num_bytes, lacks_newline=lacks_newline, torn=torn)


def _parse_line(path: Path, number: int, line: bytes, parse: Callable[[str], T]) -> T:
    if len(line) > MAX_LINE_BYTES:
        raise RunError(f"{path}, line {number}: must be at most {MAX_LINE_BYTES} bytes, got {len(line)}")
    try:
        return parse(line.decode())
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}, line {number} is damaged: {reason}") from None
