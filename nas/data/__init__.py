"""Data sets by name or by folder: made ready once, split by seed, given out in batches.

Describing and preparing data needs no torch; what makes batches is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from nas.data.config import DataConfig, DataError, DataMode
from nas.data.mode import choose_mode
from nas.data.part import check_parts
from nas.data.prepared import ImageSet, PreparedData, prepare
from nas.data.skipped import Fault, Skipped
from nas.data.source import Split
from nas.data.survey import Survey, survey
from nas.data.table import DATASETS, FOLDER, SHARDS, Dataset, dataset_of, is_folder

if TYPE_CHECKING:
    from nas.data.augment import Augment, CropFlip, Part, in_turn
    from nas.data.batches import DeviceImages, eval_batches, train_batches
    from nas.data.crop import ResizedCrop
    from nas.data.erasing import Cutout, RandomErasing
    from nas.data.mixing import mix
    from nas.data.randaugment import RandAugment
    from nas.data.stream import WorkerLost

__all__ = [
    "DATASETS",
    "FOLDER",
    "SHARDS",
    "Augment",
    "CropFlip",
    "Cutout",
    "DataConfig",
    "DataError",
    "DataMode",
    "Dataset",
    "DeviceImages",
    "Fault",
    "ImageSet",
    "Part",
    "PreparedData",
    "RandAugment",
    "RandomErasing",
    "ResizedCrop",
    "Skipped",
    "Split",
    "Survey",
    "WorkerLost",
    "check_parts",
    "choose_mode",
    "dataset_of",
    "eval_batches",
    "in_turn",
    "is_folder",
    "mix",
    "prepare",
    "survey",
    "train_batches",
]

_WITH_TORCH = {
    "Augment": "augment",
    "CropFlip": "augment",
    "Cutout": "erasing",
    "DeviceImages": "batches",
    "Part": "augment",
    "RandAugment": "randaugment",
    "RandomErasing": "erasing",
    "ResizedCrop": "crop",
    "WorkerLost": "stream",
    "eval_batches": "batches",
    "in_turn": "augment",
    "mix": "mixing",
    "train_batches": "batches",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
