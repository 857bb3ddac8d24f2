"""Wall-clock time as it is typed and told: 90s, 30m, 8h, 2d."""

__all__ = ["UNITS", "number_and_unit", "told"]

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""Seconds of what may stand behind a number."""


def number_and_unit(seconds: float) -> tuple[str, str]:
    """`8`, `h`: in the largest of hours, minutes and seconds of which there are two, or one and no more."""
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600), ("m", 60)) if seconds >= 2 * size or seconds == size), ("s", 1)
    )
    return f"{seconds / size:.1f}".removesuffix(".0"), unit


def told(seconds: float) -> str:
    """`8h`, for a person."""
    return "".join(number_and_unit(seconds))
