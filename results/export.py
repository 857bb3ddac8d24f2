"""The frames of a run as files that other programs read."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from results.columns import COLUMNS
from results.durable import make_folder, replace_atomically
from results.networks import Network
from results.pareto import pareto_front
from results.question import Asked
from results.tables import csv_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from results.store import Run

__all__ = ["front_to_parquet", "to_csv", "to_parquet"]

Write = Callable[[str, "DataFrame", IO[bytes]], None]


def to_parquet(run: "Run", folder: Path, asked: Asked) -> list[Path]:
    """Write trials.parquet, stages.parquet and networks.parquet; see `Run.to_parquet`."""
    return _export(run, folder, asked, "parquet", _write_parquet)


def to_csv(run: "Run", folder: Path, asked: Asked) -> list[Path]:
    """Write trials.csv, stages.csv and networks.csv; see `Run.to_csv`."""
    return _export(run, folder, asked, "csv", _write_csv)


def front_to_parquet(by_device: Iterable[Sequence[Network]], path: Path) -> None:
    """Write the networks of each device's front, most accurate first, to the file `path`: columns, units and meanings
    are as in networks.parquet.

    Raises:
        RunWriteError: where it cannot be written; a file that was there is then as it was.
    """
    from results.frames import networks_frame

    # Whether a network is the best of its device is asked of all of them.
    groups = [[*(front := pareto_front(found)), *(one for one in found if one not in front)] for found in by_device]
    frame = networks_frame(groups)
    on_front = frame[frame["on_front"]].reset_index(drop=True)
    replace_atomically(path, lambda file: _write_parquet("networks", on_front, file))


def _export(run: "Run", folder: Path, asked: Asked, ending: str, write: Write) -> list[Path]:
    frames = {
        "trials": run.trials_frame(**asked),
        "stages": run.stages_frame(),
        "networks": run.networks_frame(**asked),
    }
    make_folder(folder)
    paths = []
    for name, frame in frames.items():
        path = folder / f"{name}.{ending}"
        replace_atomically(path, lambda file, name=name, frame=frame: write(name, frame, file))  # type: ignore[misc]
        paths.append(path)
    return paths


def _write_parquet(name: str, frame: "DataFrame", file: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    told = {column.name: {"unit": column.unit, "meaning": column.meaning} for column in COLUMNS[name]}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    described = [field.with_metadata(told[field.name]) for field in table.schema]
    parquet.write_table(table.cast(pa.schema(described, metadata=table.schema.metadata)), file)


def _write_csv(name: str, frame: "DataFrame", file: IO[bytes]) -> None:
    is_text = [column.name for column in COLUMNS[name] if column.name in frame and column.dtype == "string"]
    plain = frame.assign(**{column: frame[column].map(csv_text, na_action="ignore") for column in is_text})
    file.write(plain.to_csv(index=False, lineterminator="\n").encode())
