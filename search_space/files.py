"""The file border: JSON and YAML into frozen specs, strictly, with errors that name the field, the rule, the value."""

import difflib
import json
import math
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

__all__ = ["OneOrMany", "load_json", "nearest", "parse_json", "parse_yaml", "read_text", "unknown_name"]

T = TypeVar("T")
Place = tuple[int | str, ...]
MAX_BYTES = 1 << 20
MAX_NESTING = 32
_NESTING = {f"{kind}{what}StartToken": 1 for kind in ("Block", "Flow") for what in ("Sequence", "Mapping")} | {
    "BlockEndToken": -1,
    "FlowSequenceEndToken": -1,
    "FlowMappingEndToken": -1,
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is near."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1)), None)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in a table: it suggests the nearest, or lists them all."""
    names = sorted(known)
    near = nearest(name, names)
    return ValueError(f"unknown {kind} {name!r}: " + (f"did you mean {near!r}?" if near else f"known are {names}"))


class OneOrMany:
    """`Annotated[tuple[X, ...], OneOrMany]`: a file may give a single X in place of a list of one."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return lenient_list(handler(source), lambda item: item)


def lenient_list(schema: Any, spell_out: Callable[[Any], Any]) -> Any:
    """pydantic's view of a tuple whose items `spell_out` completes, and which a single item may stand for."""
    from pydantic_core import core_schema

    schema["strict"] = False  # of the list alone: what it holds stays strict

    def as_list(given: Any) -> list[Any]:
        return [spell_out(item) for item in (given if isinstance(given, list) else [given])]

    return core_schema.no_info_before_validator_function(as_list, schema)


@lru_cache(maxsize=16)
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _validate_json(kind: type, text: str) -> object:
    return _adapter(kind).validate_json(text)


def _field_names(kind: type) -> set[str]:
    schema = _adapter(kind).json_schema()
    return {name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", {})}


def _location(parts: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".")


def _value(given: object) -> str:
    shown = json.dumps(given, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _describe(kind: type, fault: Any) -> tuple[Place, str]:
    """One fault that pydantic found, as (the place of the field, the sentence)."""
    place: Place = fault["loc"]
    where = _location(place)
    rule = str(fault["msg"]).removeprefix("Value error, ")
    name = where or kind.__name__
    match fault["type"]:
        case "value_error":
            named = re.match(r"[A-Z]\w*\.(\w+)", rule)
            return (*place, named[1]) if named else place, f"{where}: {rule}" if where else rule
        case "unexpected_keyword_argument":
            near = nearest(str(place[-1]), _field_names(kind))
            return place, f"{name}: unknown field" + (f", did you mean {near!r}?" if near else "")
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return place, f"{name}: required field is missing"
        case "json_invalid":
            return place, f"no valid JSON: {rule}"
    return place, f"{name}: {rule}, got {_value(fault['input'])}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)}: this field is given twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"no valid JSON: {name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"no valid JSON: {digits} is too large a number")
    return number


def load_json(text: str | bytes) -> Any:
    """Plain data as JSON's standard has it: no NaN, no infinity, no field twice.

    Raises:
        ValueError: for anything else, saying what.
    """
    try:
        return _load_json(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no valid JSON: {error}") from None


def _load_json(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("no valid JSON: lists and objects are nested too deeply") from None


def _parse(kind: type[T], text: str, prefix: Callable[[Place], str]) -> T:
    from pydantic import ValidationError

    try:
        return cast(T, _validate_json(kind, text))
    except ValidationError as error:
        faults = [_describe(kind, fault) for fault in error.errors(include_url=False)]
        raise ValueError("\n".join(prefix(place) + sentence for place, sentence in faults)) from None


def parse_json(kind: type[T], text: str) -> T:
    """`text` as a frozen dataclass, unknown fields refused, and what `load_json` refuses.

    Raises:
        ValueError: one line a fault, each naming the field, the rule and the value given.
    """
    with suppress(json.JSONDecodeError):  # which the parser below tells of, with the place
        _load_json(text)
    return _parse(kind, text, lambda place: "")


@lru_cache(maxsize=1)
def _yaml_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML's plain data, with JSON's numbers: YAML 1.1 takes 1e-3 for text."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), [*"-+0123456789"]
    )
    return Loader


def _yaml_line(node: Any, place: Place) -> int:
    """The line, from 1, of the field at `place`; where it is missing, of what should hold it."""
    import yaml

    line = node.start_mark.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def _refuse_repeated_keys(node: Any) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"line {key.start_mark.line + 1}: {key.value}: this field is given twice")
                seen.add(key.value)
            _refuse_repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item)


def _read_yaml(text: str) -> tuple[Any, Any]:
    """(plain data, the tree of nodes that knows the lines)."""
    import yaml

    try:
        depth = 0
        for token in yaml.scan(text):
            line = token.start_mark.line + 1
            if isinstance(token, yaml.AliasToken | yaml.TagToken):
                what = "aliases (*name)" if isinstance(token, yaml.AliasToken) else "tags (!name)"
                raise ValueError(f"line {line}: {what} are not allowed here: write the plain value")
            depth += _NESTING.get(type(token).__name__, 0)
            if depth > MAX_NESTING:
                raise ValueError(f"line {line}: lists and mappings must be at most {MAX_NESTING} deep")
        loader = _yaml_loader()(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ValueError("no valid YAML: the text is empty")
            _refuse_repeated_keys(node)
            return loader.construct_document(node), node
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{place}no valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no valid YAML: {error}") from None


def parse_yaml(kind: type[T], text: str) -> T:
    """As `parse_json`, for YAML: plain data only, no tags, no aliases, no field twice. Each fault names its line."""
    data, node = _read_yaml(text)
    try:
        plain = json.dumps(data)
    except TypeError as error:
        raise ValueError(f"only numbers, text, lists and mappings may stand here: {error}") from None
    return _parse(kind, plain, lambda place: f"line {_yaml_line(node, place)}: ")


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """A text file of at most `limit` bytes, or an error that says what is wrong with it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ValueError(f"{path}: must be a regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1) if path.stat().st_size <= limit else b""
        if max(len(data), path.stat().st_size) > limit:
            raise ValueError(f"{path}: must be at most {limit} bytes, got {path.stat().st_size}")
        return data.decode()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: must be UTF-8 text") from None
