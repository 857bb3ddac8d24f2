"""Searching a space; the only place that knows Ray Tune and Optuna."""

from typing import TYPE_CHECKING, Any

from nas.cluster import EngineError
from nas.search.config import SearchConfig

if TYPE_CHECKING:
    from nas.search.driver import SearchEnd
    from nas.search.long_training import train_longer
    from nas.search.progress import Progress
    from nas.search.run import resume_search, start_search
    from nas.search.validation import LongTraining, ValidationConfig, find_long_training

__all__ = [
    "EngineError",
    "LongTraining",
    "Progress",
    "SearchConfig",
    "SearchEnd",
    "ValidationConfig",
    "find_long_training",
    "resume_search",
    "start_search",
    "train_longer",
]

_MODULES = {
    "LongTraining": "validation",
    "Progress": "progress",
    "SearchEnd": "driver",
    "ValidationConfig": "validation",
    "find_long_training": "validation",
    "train_longer": "long_training",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"nas.search.{_MODULES.get(name, 'run')}"), name)
