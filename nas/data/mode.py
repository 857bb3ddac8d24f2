"""Whether a training's images are decoded once into the cache, or each time that they are needed."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from nas import container
from nas.data.config import DataMode
from nas.data.images import ArrayImages
from nas.data.source import Split
from nas.data.survey import Survey
from nas.user_folders import cache_folder

__all__ = ["choose_mode"]

SHARE = 0.5


def choose_mode(found: Survey, sizes: Mapping[Split, int]) -> tuple[DataMode, str]:
    """The mode for images of these sizes (sides in pixels), and why in words.

    The cache, where the decoded images take at most half of the memory and half of the disk that are free: each process
    maps them, and at random places a disk is too slow.
    """
    needed = sum(3 * sizes[split] ** 2 * count for split, count in found.counts.items())
    if all(isinstance(chosen.images, ArrayImages) for chosen in found.splits.values()):
        return "cache", "the images are in memory anyway"
    memory, disk = container.memory().free, shutil.disk_usage(_existing(cache_folder())).free
    fits = needed <= SHARE * min(memory, disk)
    rule = f"{'at most' if fits else 'more than'} half of the free memory ({_gib(memory)}) and disk ({_gib(disk)})"
    return "cache" if fits else "stream", f"decoded, the images take {_gib(needed)}, {rule}"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
