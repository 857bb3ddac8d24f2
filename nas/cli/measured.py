"""Measured networks as `nas measure` shows them: rows of a table with a bar each, or plain data."""

import sys
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import median
from typing import Any, Self

from nas.cli.arch import NamedArch
from nas.cli.console import short_count
from nas.isolate import ChildOutcome
from nas.measure import Conditions, Prediction, Samples
from nas.measure.report import NetworkReport
from nas.text import printable
from results import TrialStatus, text_table
from search_space import ArchSpec

__all__ = ["Measured", "Row", "conditions_text", "measured_text"]

_STATUS = {
    "returned": TrialStatus.OK,
    "raised": TrialStatus.FAILED,
    "died": TrialStatus.FAILED,
    "out_of_memory": TrialStatus.OUT_OF_MEMORY,
    "timed_out": TrialStatus.TIMED_OUT,
}
HEADERS = (
    "network",
    "ratio",
    "95 % interval",
    "",
    "ms/step",
    "images/s",
    "peak MiB",
    "max batch",
    "MACs",
    "params",
    "predicted",
)
MAX_NAME, BAR = 28, 20
BLOCKS, ASCII_BLOCKS = ("█", "░"), ("#", "-")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network: None for what is not known. `ratio`, its interval and `predicted` are to the reference; the samples
    are every timed step's seconds; `macs` are of one image."""

    name: str
    key: str
    status: TrialStatus
    reason: str | None
    params: int
    macs: int
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    precise: bool | None = None
    num_rounds: int | None = None
    step_ms: float | None = None
    images_per_second: float | None = None
    peak_bytes: int | None = None
    largest_batch: int | None = None
    predicted: Prediction | None = None
    samples: Samples | None = None

    @classmethod
    def of(cls, named: NamedArch, image_size: int, outcome: ChildOutcome, predicted: Prediction | None) -> Self:
        """From how the child ended that measured the network, and a `NetworkReport` where it returned one."""
        cost = named.arch.cost(image_size)
        row = cls(
            name=named.name,
            key=named.arch.key,
            status=_STATUS[outcome.ended],
            reason=outcome.reason,
            predicted=predicted,
            **cost._asdict(),
        )
        report = outcome.value
        if not isinstance(report, NetworkReport):
            return row
        row = replace(row, peak_bytes=report.peak_bytes, largest_batch=report.largest_batch)
        step_time = report.step_time
        if step_time is None:
            return row
        return replace(
            row,
            ratio=step_time.ratio,
            low=step_time.low,
            high=step_time.high,
            precise=step_time.precise,
            num_rounds=step_time.num_rounds,
            step_ms=1000 * step_time.seconds,
            images_per_second=step_time.images_per_second,
            samples=step_time.samples,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        samples = self.samples._asdict() if self.samples else None
        return asdict(replace(self, samples=None)) | {"samples": samples}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured: under `conditions`, with networks of `num_classes` classes, against `reference`."""

    conditions: Conditions
    num_classes: int
    reference_name: str
    reference: ArchSpec
    rows: tuple[Row, ...]
    is_comparison: bool

    @property
    def reference_ms(self) -> float | None:
        """Median over all of the reference's steps; None where there was none."""
        taken = [seconds for row in self.rows if row.samples for seconds in row.samples.reference_s]
        return 1000 * median(taken) if taken else None

    def with_first_as_reference(self) -> "Measured":
        """The same where the first network is what the others were timed with: its ratio is 1."""
        step_ms = self.reference_ms
        if step_ms is None:
            return self
        per_second = 1000 * self.conditions.batch_size / step_ms
        first = replace(self.rows[0], ratio=1.0, step_ms=step_ms, images_per_second=per_second)
        return replace(self, rows=(first, *self.rows[1:]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "conditions": asdict(self.conditions),
            "num_classes": self.num_classes,
            "reference": {
                "name": self.reference_name,
                "key": self.reference.key,
                "short": str(self.reference),
                "step_ms": self.reference_ms,
                **self.reference.cost(self.conditions.image_size)._asdict(),
            },
            "compare": self.is_comparison,
            "rows": [row.to_dict() for row in self.rows],
        }


def conditions_text(conditions: Conditions, num_classes: int) -> str:
    """One line: device, form of the computation, and the training step."""
    compute, size = conditions.compute, conditions.image_size
    threads = "" if compute.is_cuda else f", {compute.threads} thread{'s' if compute.threads > 1 else ''}"
    memory_format = "channels_last" if compute.channels_last else "contiguous"
    return (
        f"{printable(conditions.device)}{threads}, {compute.dtype}, {memory_format}; training steps "
        f"({conditions.optimizer}) of {conditions.batch_size} images at {size}x{size}, {num_classes} classes"
    )


def measured_text(measured: Measured, *, columns: int) -> str:
    """The reference, the table, and what has to be said of it. The table is broken into several where it is wider than
    `columns` signs."""
    lines = []
    if measured.reference_ms is not None:
        rounds = sorted({row.num_rounds for row in measured.rows if row.num_rounds})
        span = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
        lines += [
            f"against {printable(measured.reference_name)}: {measured.reference_ms:.2f} ms a step; {span} rounds of "
            "a step of each",
            "",
        ]
    return "\n".join([*lines, _table(measured, columns), *_remarks(measured)])


def _table(measured: Measured, columns: int) -> str:
    longest = max((row.high or row.ratio or 0.0 for row in measured.rows), default=0.0)
    rows = [_cells(row, longest) for row in measured.rows]
    widths = [max(map(len, column)) for column in zip(HEADERS, *rows, strict=True)]
    known = [place for place in range(1, len(HEADERS)) if any(row[place] not in ("-", "") for row in rows)]
    groups: list[list[int]] = [[0]]
    for place in known:
        if len(groups[-1]) > 1 and sum(widths[at] + 2 for at in groups[-1]) + widths[place] > columns:
            groups.append([0])
        groups[-1].append(place)
    return "\n\n".join(
        text_table([HEADERS[at] for at in group], [[row[at] for at in group] for row in rows], left=("network", ""))
        for group in groups
    )


def _cells(row: Row, longest: float) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    name = printable(row.name)
    interval = "-" if row.low is None else f"{row.low:.3f} to {row.high:.3f}{'  ' if row.precise else ' ~'}"
    predicted = row.predicted
    return (
        name if len(name) <= MAX_NAME else f"...{name[3 - MAX_NAME :]}",
        f"{row.ratio:.3f} x" if row.ratio is not None else str(row.status) if row.reason else "-",
        interval,
        _bar(row, longest),
        shown(row.step_ms, ".2f"),
        shown(row.images_per_second, ".1f"),
        shown(row.peak_bytes and row.peak_bytes / 2**20, ".0f"),
        shown(row.largest_batch, ","),
        short_count(row.macs),
        short_count(row.params),
        f"{predicted.ratio:.3f} ({predicted.low:.3f} to {predicted.high:.3f})" if predicted else "-",
    )


def _bar(row: Row, longest: float) -> str:
    """As long as the ratio, `longest` at full length; the light part is the interval."""
    if row.ratio is None:
        return ""
    full, light = BLOCKS
    try:
        "".join(BLOCKS).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        full, light = ASCII_BLOCKS
    low, high = (round(BAR * (end or row.ratio) / longest) for end in (row.low, row.high))
    return full * max(1, low) + light * (high - max(1, low))


def _remarks(measured: Measured) -> list[str]:
    rows = measured.rows
    lines = []
    if any(row.precise is False for row in rows):
        lines.append("~ not as narrow as --width asks, within --max-rounds and --max-seconds")
    if measured.is_comparison:
        timed = [(printable(row.name), row.low or row.ratio, row.high or row.ratio) for row in rows if row.ratio]
        alike = [
            f"{a} and {b}"
            for (a, low_a, high_a), (b, low_b, high_b) in combinations(timed, 2)
            if max(low_a, low_b) <= min(high_a, high_b)
        ]
        if alike:
            lines.append(f"not told apart, as their intervals overlap: {'; '.join(alike)}")
    elif any(row.predicted is None and row.status is TrialStatus.OK for row in rows):
        lines.append(
            "no prediction: no calibration is kept for these conditions (nas measure --calibrate makes one), or it "
            "lacks a part of the network"
        )
    lines += [f"{printable(row.name)}: {row.status}: {printable(_last_line(row.reason))}" for row in rows if row.reason]
    return ["", *lines] if lines else []


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
