"""What a network's widths and depths were before they were rounded.

EfficientNetV2-S came of a smaller network by multiplication and rounding. A larger one that is scaled from S's rounded
numbers inherits their errors (params of M 5.5 % too few); scaled from the numbers before rounding it is exact.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from search_space.spec import ArchSpec

__all__ = ["Unrounded"]


@dataclass(frozen=True, kw_only=True)
class Unrounded:
    """For each stage of a network its width, and its depth or None where that is not known to have been rounded up."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    widths: tuple[float, ...]
    depths: tuple[float | None, ...]

    @classmethod
    def of(cls, arch: ArchSpec) -> Self:
        """For a network of which nothing else is known: the widths that it has."""
        return cls(widths=tuple(float(stage.width) for stage in arch.stages), depths=(None,) * len(arch.stages))
