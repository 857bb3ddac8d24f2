"""Frames of a run in pandas; `results.columns` says what their columns are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import pandas as pd

from results.columns import COLUMNS, Column, nested_fields
from results.networks import Network
from results.pareto import best_network, pareto_front
from results.question import Question
from results.record import TrialResult
from search_space.spec import ArchSpec

__all__ = ["frame_of", "networks_frame", "stages_frame", "trials_frame"]


def frame_of(columns: Iterable[Column], values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame with these columns, of these dtypes also where it has no row. None is missing."""
    return pd.DataFrame(
        {
            column.name: pd.array([_plain(value) for value in values[column.name]], dtype=_dtype(column))
            for column in columns
        }
    )


def _dtype(column: Column) -> Any:
    if column.dtype == "category":
        return pd.CategoricalDtype(list(column.categories))
    return column.dtype


def _plain(value: Any) -> Any:
    """As it stands in a cell: a network in its short form, decisions with spaces between them."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if isinstance(value, ArchSpec) else value


def _values(
    columns: Iterable[Column], records: Sequence[Any], computed: Mapping[str, Callable[[Any], Any]]
) -> dict[str, list[Any]]:
    return {
        column.name: [computed.get(column.name, attrgetter(column.field))(record) for record in records]
        for column in columns
    }


def trials_frame(trials: Sequence[TrialResult], question: Question) -> pd.DataFrame:
    """A row a trial."""
    columns = COLUMNS["trials"]
    computed: dict[str, Callable[[TrialResult], Any]] = {
        "reward": lambda trial: question.objective.reward(trial) if trial.ok else None,
        "within_limits": lambda trial: question.limits.allow(trial) if trial.ok else None,
    }
    return frame_of(columns, _values(columns, trials, computed))


def stages_frame(trials: Iterable[TrialResult]) -> pd.DataFrame:
    """A row for each stage of each trial's network."""
    columns = COLUMNS["stages"]
    rows = [(trial.index, number, stage) for trial in trials for number, stage in enumerate(trial.arch.stages, start=1)]
    numbers = {"trial": [trial for trial, _, _ in rows], "stage": [number for _, number, _ in rows]}
    settings = [column for column in columns if column.name not in numbers]
    return frame_of(columns, numbers | _values(settings, [stage for _, _, stage in rows], {}))


def networks_frame(by_device: Iterable[Sequence[Network]]) -> pd.DataFrame:
    """A row a network, the networks of each device behind each other; what only trainings of another kind say has
    columns where any network has such."""
    found: list[Network] = []
    on_front: set[tuple[str, int]] = set()
    best: set[tuple[str, int]] = set()
    for networks in by_device:
        found += networks
        on_front |= {(network.device, network.trial) for network in pareto_front(networks)}
        best |= {(network.device, network.trial) for network in (best_network(networks),) if network}
    absent = [name for name in nested_fields(Network) if not any(getattr(network, name) for network in found)]
    columns = [column for column in COLUMNS["networks"] if column.field.partition(".")[0] not in absent]
    computed: dict[str, Callable[[Network], Any]] = {
        "on_front": lambda network: (network.device, network.trial) in on_front,
        "best": lambda network: (network.device, network.trial) in best,
    }
    for column in columns:
        nested, dot, field = column.field.partition(".")
        if dot:
            computed[column.name] = _nested(nested, field)
    return frame_of(columns, _values(columns, found, computed))


def _nested(name: str, field: str) -> Callable[[Network], Any]:
    return lambda network: getattr(getattr(network, name), field, None)
