"""A calibration as `nas measure --calibrate` shows it: a few figures and the slowest parts, or plain data."""

from dataclasses import asdict
from typing import Any

from nas.measure import Calibration
from nas.measure.calibration import calibration_path
from results import text_table

__all__ = ["calibration_document", "calibration_text"]

SLOWEST = 5


def _facts(calibration: Calibration) -> dict[str, Any]:
    path = calibration_path(calibration.conditions, calibration.versions, calibration.reference)
    return {
        "num_parts": len(calibration.parts),
        "num_rounds": max(part.num_rounds for part in calibration.parts.values()),
        "seconds": calibration.seconds,
        "reference_ms": 1000 * calibration.reference_s,
        "made_at": calibration.made_at,
        "path": str(path) if path.is_file() else None,
    }


def calibration_document(calibration: Calibration) -> dict[str, Any]:
    """Plain data for JSON: `parts` have ratios to a whole step of the space's reference."""
    parts = {name: asdict(part) for name, part in calibration.parts.items()}
    return _facts(calibration) | {"versions": calibration.versions, "parts": parts}


def calibration_text(calibration: Calibration, space_name: str) -> str:
    """How it was made, where it is, and the slowest parts."""
    facts = _facts(calibration)
    slowest = sorted(calibration.parts.items(), key=lambda item: -item[1].ratio)[:SLOWEST]
    cells = [(name, f"{part.ratio:.3f} x", f"{part.ratio * facts['reference_ms']:.2f}") for name, part in slowest]
    return "\n".join(
        [
            f"calibration of {space_name}: {facts['num_parts']} parts, {facts['num_rounds']} rounds, "
            f"{facts['seconds']:.0f} s; a step of the reference takes {facts['reference_ms']:.2f} ms",
            f"kept in {facts['path']}" if facts["path"] else "it could not be kept",
            "",
            text_table(("slowest parts", "ratio", "ms"), cells, left=("slowest parts",)),
        ]
    )
