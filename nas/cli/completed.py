"""Names that a shell completes beside what tyro knows. `nas completion` puts the text of `names` into its scripts, so
that it runs in any Python, without this project."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["names"]


def names(words: Sequence[str], index: int, known: Mapping[str, Any], spaces: Sequence[str]) -> list[str]:
    """The runs, or spaces, that begin with word `index` of a command line, where one is meant there.

    Args:
        words: the line, `nas` being word 0.
        known: of each command, `options`: what the values of each are (runs, spaces, or "" for else; an option without
            a value is not in it); `positional`: what the positional arguments are; `many`: whether it takes several.
        spaces: names of the spaces.
    """
    import pathlib
    import re

    command = next((" ".join(words[1:end]) for end in (2, 3) if end <= index and " ".join(words[1:end]) in known), None)
    if command is None:
        return []
    options, before = known[command]["options"], words[1 + len(command.split()) : index]
    kind = options.get(before[-1]) if before else None
    if kind is None and not words[index].startswith("-"):
        previous = ["", *before]
        given = [
            word for place, word in enumerate(before) if previous[place] not in options and not word.startswith("-")
        ]
        kind = known[command]["positional"] if known[command]["many"] or not given else ""
    found = list(spaces) if kind == "spaces" else []
    if kind == "runs":
        runs = [path.parent.name for path in pathlib.Path("runs").glob("*/config.json")]
        found = sorted(name for name in runs if re.fullmatch("[A-Za-z0-9_][A-Za-z0-9._-]*", name))
    return [name for name in found if name.startswith(words[index])]
