"""The columns of every frame and of what is exported: dtype, unit and meaning, in one table.

Columns of records are those of their dataclass, and what they mean is what its docstring says.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from results.networks import Network
from results.record import TrialResult
from search_space.spec import ArchSpec, StageSpec

__all__ = ["COLUMNS", "Column", "nested_fields", "record_columns"]

DTYPES = {bool: "boolean", int: "Int64", float: "Float64", str: "string", tuple: "string", ArchSpec: "string"}
UNITS = {
    "params": "parameters",
    "macs": "multiply-adds",
    "seconds": "s",
    "device_seconds": "device-seconds",
    "accuracy": "share",
    "num_evaluated": "images",
    "max_batch_size": "images",
    "step_time_ratio": "of the reference",
    "step_time_predicted": "of the reference",
    "step_time_n": "steps",
    "train_steps": "steps",
    "peak_memory_bytes": "bytes",
    "p_best": "probability",
    "num_trainings": "trainings",
}
SHOWN = {tuple: "as numbers with spaces between them", ArchSpec: "in its short form"}
"""How a cell holds what is no number and no text."""
RENAMED = {"index": "trial"}
"""A trial's number has one name in all frames."""
OF_ONE_NETWORK = ("trial", "device", "params", "macs", "key", "arch")
"""What a network's trainings of another kind have in common with it."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a frame. `field` is that of the record it is of, `unit` is empty where there is none; a `category`'s
    values are `categories`."""

    name: str
    dtype: str
    unit: str
    meaning: str
    field: str = ""
    categories: tuple[str, ...] = ()


def record_columns(kind: type) -> list[Column]:
    """Of a dataclass, in the order of its fields; those that hold a record of the same kind are left out."""
    hints, meanings = get_type_hints(kind), _meanings(kind)
    columns = []
    for field in fields(kind):
        held = _held(hints[field.name])
        if held is kind:
            continue
        categories = tuple(str(value) for value in held) if issubclass(held, StrEnum) else ()
        columns.append(
            Column(
                name=RENAMED.get(field.name, field.name),
                dtype="category" if categories else DTYPES[held],
                unit=_unit(field.name),
                meaning=_meaning(field.name, meanings) + (f" ({SHOWN[held]})" if held in SHOWN else ""),
                field=field.name,
                categories=categories,
            )
        )
    return columns


def nested_fields(kind: type) -> list[str]:
    """Fields of a dataclass that hold a record of the same kind, or None."""
    return [name for name, hint in get_type_hints(kind).items() if _held(hint) is kind]


def _nested_columns(kind: type) -> Iterator[Column]:
    """NESTED_NAME for each column that a nested record may have of its own."""
    for nested in nested_fields(kind):
        for column in record_columns(kind):
            if column.name not in OF_ONE_NETWORK:
                meaning = f"the same of `{nested}`: {column.meaning}"
                yield Column(
                    name=f"{nested}_{column.name}",
                    dtype=column.dtype,
                    unit=column.unit,
                    meaning=meaning,
                    field=f"{nested}.{column.field}",
                    categories=column.categories,
                )


def _held(hint: Any) -> type:
    """What a field holds where it is not None."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (held for held in get_args(hint) if held is not NoneType)
    held: type = get_origin(hint) or hint
    return held


def _meanings(kind: type) -> dict[str, str]:
    """What a docstring's section of attributes says of each."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].split("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*): (.*?)(?=^ {4}\w|\Z)", section, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def _end(name: str) -> tuple[str, str]:
    """The field that `name` is an end of the interval of, and which; or itself."""
    for ending, told in (("_low", "lower"), ("_high", "upper")):
        if name.endswith(ending):
            return name.removesuffix(ending), told
    return name, ""


def _meaning(name: str, meanings: dict[str, str]) -> str:
    of, end = _end(name)
    return f"{end} end of the interval of {of}." if end else meanings.get(name, "")


def _unit(name: str) -> str:
    of, _ = _end(name)
    return UNITS.get(of, "s" if of.endswith("_s") else "")


def _column(name: str, dtype: str, unit: str, meaning: str) -> Column:
    return Column(name=name, dtype=dtype, unit=unit, meaning=meaning, field=name)


_STAGE = {
    "op": ("", "what each layer is: a name of search_space.OPS."),
    "width": ("channels", "output channels of each layer."),
    "depth": ("layers", "layers of the stage."),
    "stride": ("pixels", "of the first layer; of the others it is 1."),
    "kernel": ("pixels", "side of the (depthwise) convolution."),
    "expansion": ("of the input channels", "width inside a layer; 1 where the op has none."),
    "se_ratio": ("of the block's input channels", "width of squeeze-and-excitation; 0 where there is none."),
}
_TRIAL_NUMBER = _column("trial", "Int64", "", "the trial's number, from 0; unique in a run.")


def _stage_columns() -> Iterator[Column]:
    for column in record_columns(StageSpec):
        yield _column(column.name, column.dtype, *_STAGE[column.name])


def _compared_columns() -> Iterator[Column]:
    """Of two runs, a and b: what is known of a network in each, and the difference."""
    known = {column.name: column for column in record_columns(Network)}
    for name in ("trial", "accuracy", "step_time_ratio", "reward", "num_trainings"):
        column = known[name]
        for run in "ab":
            yield _column(f"{name}_{run}", column.dtype, column.unit, f"in run {run}: {column.meaning}")
        if column.dtype == "Float64":
            difference = f"{name}_b less {name}_a; missing where the network is not in both runs."
            yield _column(f"{name}_difference", "Float64", column.unit, difference)
    for run in "ab":
        yield _column(f"on_front_{run}", "boolean", "", f"whether it is on the front of run {run}.")


_BY_NAME = {column.name: column for column in record_columns(Network)}
COLUMNS: dict[str, tuple[Column, ...]] = {
    "trials": (
        *record_columns(TrialResult),
        _column("reward", "Float64", "", "by the objective asked; missing where the status is not ok."),
        _column("within_limits", "boolean", "", "whether it keeps to the limits asked; missing as the reward is."),
    ),
    "stages": (
        _TRIAL_NUMBER,
        _column("stage", "Int64", "", "number of the stage in its network, from 1."),
        *_stage_columns(),
    ),
    "networks": (
        *record_columns(Network),
        _column("on_front", "boolean", "", "whether no other network of its device dominates it."),
        _column("best", "boolean", "", "whether it is the best of its device: see results.best_network."),
        *_nested_columns(Network),
    ),
    "comparison": (
        *(_BY_NAME[name] for name in ("key", "arch", "params", "macs")),
        *_compared_columns(),
    ),
}
"""Columns by frame, in their order. In pandas what is missing is `pandas.NA`, in CSV an empty cell."""
