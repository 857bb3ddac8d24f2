"""The one rounding rule of widths, as a value."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from search_space.ops import round_width

__all__ = ["Rounding"]


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """To the nearest multiple of a divisor, halves up, at least one of it; the divisor is that of the last step that a
    width reaches. `steps` are (from this width, this divisor), the first from 0.

    The default, multiples of 8 below 40 and of 16 from there, gives the published widths of EfficientNetV2-M and -L;
    the released code's own rule (`8`) misses one stage of M.

    >>> rounding = Rounding.parse("8,40:16")
    >>> rounding(25.5), rounding(76.6)
    (24, 80)
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}

    steps: tuple[tuple[int, int], ...] = ((0, 8), (40, 16))

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(map(tuple, self.steps)))
        if not self.steps or self.steps[0][0] != 0:
            raise ValueError(f"Rounding.steps must begin at width 0, got {self.steps}")
        starts = [start for start, _ in self.steps]
        if sorted(set(starts)) != starts:
            raise ValueError(f"Rounding.steps must have rising widths, got {starts}")
        for start, divisor in self.steps:
            if not 1 <= divisor <= 1024:
                raise ValueError(f"Rounding.steps must have divisors from 1 to 1024, got {divisor}")
            # Else a wider layer could be rounded to fewer channels.
            if start and self(start) < self(start - 1e-9):
                raise ValueError(
                    f"Rounding.steps must not round {start} channels to fewer than a little less, got {self}"
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`8` is multiples of 8; `8,40:16` multiples of 8 below 40 and of 16 from there; more steps may follow."""
        if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,5}:[0-9]{1,4})*", text):
            raise ValueError(
                f"a rounding must be a divisor and, where it grows, WIDTH:DIVISOR (as in 8,40:16), got {text!r}"
            )
        first, *others = text.split(",")
        pairs = [tuple(map(int, other.split(":"))) for other in others]
        return cls(steps=((0, int(first)), *((start, divisor) for start, divisor in pairs)))

    def __call__(self, width: float) -> int:
        divisor = [divisor for start, divisor in self.steps if start <= width][-1]
        return round_width(width, divisor=divisor)

    def __str__(self) -> str:
        (_, first), *others = self.steps
        return ",".join([str(first), *(f"{start}:{divisor}" for start, divisor in others)])
