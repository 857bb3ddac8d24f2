"""How the benchmarks read what they have measured, and write a figure."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any


def read_rows(file: Path) -> list[dict[str, Any]]:
    """What a benchmark wrote line by line; nothing where it has not begun."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}" if values else "-"
