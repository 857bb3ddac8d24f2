"""What is wrong with a command's options, in one line: the message of a JSON document, as the parser draws a box."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Fixed, Positional

from search_space.files import nearest

__all__ = ["Option", "options_of", "usage_error"]

UNKNOWN = "wrong usage: see what stderr says"
KINDS = {int: "an integer", float: "a number"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option, or a positional argument, as it is `shown`; `held` is what each of its values becomes."""

    shown: str
    held: Any
    positional: bool
    many: bool
    needed: bool

    @property
    def choices(self) -> list[str]:
        """What its values must be one of; empty where they need not be."""
        choices = [
            choice
            for one in (self.held, *get_args(self.held))
            if get_origin(one) is Literal
            for choice in get_args(one)
        ]
        return [str(choice) for choice in choices]

    def complaint(self, value: str) -> str | None:
        """What is wrong with a value; None where nothing is that can be seen here."""
        if self.choices and value not in (*self.choices, "None"):
            near = nearest(value, self.choices)
            hint = f"; did you mean {near!r}?" if near else ""
            return f"{self.shown} must be one of {', '.join(self.choices)}, got {value!r}{hint}"
        if self.held in KINDS:
            try:
                self.held(value)
            except ValueError:
                return f"{self.shown} must be {KINDS[self.held]}, got {value!r}"
        return None


def options_of(kind: type, prefix: str = "") -> Iterator[Option]:
    """What can be typed for a command's `Config`."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        whole = hints[field.name]
        hint, *marks = get_args(whole) if get_origin(whole) is Annotated else (whole,)
        name = prefix + field.name.replace("_", "-")
        if Fixed in marks:
            continue
        if isinstance(hint, type) and is_dataclass(hint):
            yield from options_of(hint, f"{name}.")
            continue
        metavar = next((mark.metavar for mark in marks if hasattr(mark, "metavar")), None)
        if get_origin(hint) is UnionType:
            hint = next(one for one in get_args(hint) if one is not NoneType)
        many = get_origin(hint) is tuple
        yield Option(
            shown=(metavar or name).strip("[. ]") if Positional in marks else f"--{name}",
            held=get_args(hint)[0] if many else hint,
            positional=Positional in marks,
            many=many,
            needed=field.default is MISSING and field.default_factory is MISSING,
        )


def usage_error(kind: type, args: Sequence[str]) -> str:
    """Why the parser refused `args` for the command whose `Config` is `kind`: the argument, the rule and the value, and
    what was probably meant."""
    options = list(options_of(kind))
    named = {option.shown: option for option in options if not option.positional}
    words = deque(args)
    bare: list[str] = []
    while words:
        word, is_whole, value = words.popleft().partition("=")
        if not word.startswith("--"):
            bare.append(word + is_whole + value)
            continue
        option = named.get(word.replace("_", "-"))
        if option is None:
            near = nearest(word, named)
            return f"no option {word}" + (f": did you mean {near}?" if near else f": options are {', '.join(named)}")
        if option.held is bool:
            continue
        values = [value] if is_whole else []
        while words and not words[0].startswith("--") and (option.many or not values):
            values.append(words.popleft())
        if not values and not option.many:
            return f"{option.shown} needs a value"
        for value in values:
            if (complaint := option.complaint(value)) is not None:
                return complaint
    return _of_positionals([option for option in options if option.positional], bare)


def _of_positionals(options: Sequence[Option], bare: Sequence[str]) -> str:
    for option in options:
        taken, bare = (bare, ()) if option.many else (bare[:1], bare[1:])
        if option.needed and not taken:
            return f"{option.shown} must be given"
        for value in taken:
            if (complaint := option.complaint(value)) is not None:
                return complaint
    return f"{bare[0]!r} is one argument too many" if bare else UNKNOWN
