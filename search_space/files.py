"""The file border: JSON and YAML into frozen specs, strictly, with errors that name the field, the rule, the value."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["parse_json", "parse_yaml", "read_text"]

T = TypeVar("T")
MAX_BYTES = 1 << 20


@lru_cache(maxsize=16)
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _location(parts: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".")


def _value(given: object) -> str:
    shown = json.dumps(given, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def parse_json(kind: type[T], text: str) -> T:
    """`text` as a frozen dataclass, unknown fields refused.

    Raises:
        ValueError: one line a fault, each naming the field, the rule and the value given.
    """
    from pydantic import ValidationError

    try:
        result: T = _adapter(kind).validate_json(text)
        return result
    except ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            where = _location(fault["loc"])
            rule = str(fault["msg"]).removeprefix("Value error, ")
            name = where or kind.__name__
            if fault["type"] == "value_error":
                lines.append(f"{where}: {rule}" if where else rule)
            elif fault["type"] == "unexpected_keyword_argument":
                lines.append(f"{name}: unknown field")
            elif fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
                lines.append(f"{name}: required field is missing")
            elif fault["type"] == "json_invalid":
                lines.append(f"no valid JSON: {rule}")
            else:
                lines.append(f"{name}: {rule}, got {_value(fault['input'])}")
        raise ValueError("\n".join(lines)) from None


def parse_yaml(kind: type[T], text: str) -> T:
    """As `parse_json`, for YAML (of which JSON is a part): plain data only, no tags, no aliases."""
    import yaml

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("aliases (*name) are not allowed here: write the value out")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no valid YAML: {error}") from None
    try:
        return parse_json(kind, json.dumps(data, allow_nan=False))
    except TypeError as error:
        raise ValueError(f"only numbers, text, lists and mappings may stand here: {error}") from None


def read_text(path: Path) -> str:
    """A small text file, or an error that says what is wrong with it."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: must be at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: must be UTF-8 text") from None
