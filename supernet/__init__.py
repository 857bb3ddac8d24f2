"""One network that holds all of a space: elastic blocks, sandwich training, extraction.

This file is the room's door. What needs torch is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from supernet.sampling import End, end_of, fair_network, sandwich

if TYPE_CHECKING:
    from supernet.network import Supernet, extract
    from supernet.statistics import recalibrate

__all__ = ["End", "Supernet", "end_of", "extract", "fair_network", "recalibrate", "sandwich"]

_WITH_TORCH = {
    "Supernet": "supernet.network",
    "extract": "supernet.network",
    "recalibrate": "supernet.statistics",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name]), name)
