"""Searching a space; the only place that knows Ray Tune and Optuna."""

from typing import TYPE_CHECKING, Any

from nas.search.config import SearchConfig

if TYPE_CHECKING:
    from nas.search.driver import SearchEnd
    from nas.search.engine import EngineError
    from nas.search.progress import Progress
    from nas.search.run import resume_search, start_search

__all__ = ["EngineError", "Progress", "SearchConfig", "SearchEnd", "resume_search", "start_search"]

_MODULES = {"EngineError": "engine", "Progress": "progress", "SearchEnd": "driver"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"nas.search.{_MODULES.get(name, 'run')}"), name)
