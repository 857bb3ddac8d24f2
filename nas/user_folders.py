"""Where this user's files lie that are not of a run."""

import warnings
from pathlib import Path

from results.fetched import cache_home

__all__ = ["cache_folder", "runtime_folder"]


def cache_folder(cache: Path | None = None) -> Path:
    """`cache`, or else the environment's NAS_CACHE_DIR, or else this user's cache folder."""
    return cache_home() if cache is None else cache


def runtime_folder() -> Path:
    """This user's folder on this machine for what processes share while they run; made where it is missing.

    Raises:
        OSError: where there is none that this user alone may write to.
    """
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():
        # platformdirs warns where it falls back to the temporary folder, as it has to wherever nobody logs in.
        warnings.simplefilter("ignore")
        folder = user_runtime_path(ensure_exists=True) / "trainaware-nas"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
