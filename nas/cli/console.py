"""What commands print with: text that a terminal cannot be tricked by, and one JSON document."""

import json
import sys
from typing import Any

from nas.text import printable

__all__ = ["Failed", "print_error", "print_json", "print_note", "short_count"]


class Failed(Exception):
    """The command could not do what was asked, through no fault of the input; the message says why. Exit code 1."""


def print_json(document: Any) -> None:
    """The command's one document, on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_note(text: str) -> None:
    """A line beside the result, on stderr."""
    print(printable(text), file=sys.stderr)


def print_error(text: str) -> None:
    """Why the command ends, on stderr; a fault of several lines keeps them."""
    first, *others = text.splitlines() or [""]
    print(f"error: {printable(first)}", file=sys.stderr)
    for line in others:
        print(f"       {printable(line)}", file=sys.stderr)


def short_count(count: int) -> str:
    """A count in three digits: 8.37 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
