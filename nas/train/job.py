"""A final training as one frozen value, as config.json holds it, and what came of it. No torch here."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from nas.data import DataConfig, DataMode, is_folder
from nas.device import Compute
from nas.train.length import TrainLength
from nas.train.options import FullOptions
from nas.train.origin import Init, Normalisation
from nas.train.schedule import Phase, fixed, phases
from results import RunError, environment
from results.durable import read_bounded
from scaling import ProgressiveRecipe, Ramp
from search_space import ArchSpec, Space, parse_json
from search_space.files import load_json
from search_space.spec import check_integer, check_number

__all__ = [
    "CONFIG",
    "FAMILY_KIND",
    "MODEL",
    "RESULT",
    "TrainConfig",
    "TrainJob",
    "TrainResult",
    "read_config",
    "read_job",
    "read_record",
    "read_result",
]

CONFIG, RESULT, MODEL = "config.json", "result.json", "model.safetensors"
FAMILY_KIND = "family training"
"""What config.json of a folder with a family's trainings says that it is of."""
SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20
MOST = 10**15

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What is to be trained, on what, how, where.

    Args:
        arch: the network; its classes are the data's.
        recipe: image sizes, regularisation, batch size.
        options: optimizer, learning rate, averaging.
        data: the data at the largest size that is trained at. They are made ready at `recipe.eval_size` too.
        length: epochs, steps or a budget of wall clock; the recipe's epochs are no more than what a caller may take it
            from.
        compute: the device.
        seed: of the weights, the order of images, augmentation and dropout.
        init: the weights that it starts from; None is fresh ones.
        normalisation: of pixels; None is by the mean and the spread of the images that are trained on.
        data_mode: whether images come from the cache or are decoded as they are needed, then cropped in their own
            resolution.
        max_corrupt: share of a split's images that may be unreadable: they are skipped. More end the training.
        space: train a supernet of this space, of which `arch` is the reference; None trains `arch`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    arch: ArchSpec
    recipe: ProgressiveRecipe
    options: FullOptions
    data: DataConfig
    length: TrainLength
    compute: Compute
    seed: int = 0
    init: Init | None = None
    normalisation: Normalisation | None = None
    data_mode: DataMode = "cache"
    max_corrupt: float = 0.01
    space: Space | None = None

    def __post_init__(self) -> None:
        largest = self.recipe.train_size.last
        if self.data.image_size != largest:
            raise ValueError(
                f"TrainJob.data.image_size must be the recipe's largest train size {largest}, got "
                f"{self.data.image_size}"
            )
        if self.options.accumulate > self.recipe.batch_size:
            raise ValueError(
                f"TrainJob.options.accumulate must be at most the batch size {self.recipe.batch_size}, got "
                f"{self.options.accumulate}"
            )
        check_integer("TrainJob", "seed", self.seed, 0, (1 << 31) - 1)
        if self.data_mode not in get_args(DataMode):
            raise ValueError(
                f"TrainJob.data_mode must be one of {', '.join(get_args(DataMode))}, got {self.data_mode!r}"
            )
        if not 0 <= self.max_corrupt < 1:
            raise ValueError(f"TrainJob.max_corrupt must be at least 0 and below 1, got {self.max_corrupt}")
        if self.space is not None:
            self._check_supernet(self.space)

    def _check_supernet(self, space: Space) -> None:
        if self.arch != space.reference:
            raise ValueError(f"TrainJob.arch must be the reference of space {space.name}, got {self.arch}")
        recipe, options = self.recipe, self.options
        ruled: dict[str, tuple[object, object]] = {
            "recipe.dropout": (recipe.dropout, Ramp(0.0, 0.0)),
            "recipe.stochastic_depth": (recipe.stochastic_depth, 0.0),
            "options.compile": (options.compile, False),
            "options.sync_bn": (options.sync_bn, False),
            "init": (self.init, None),
        }
        for name, (value, wanted) in ruled.items():
            if value != wanted:
                raise ValueError(f"TrainJob.{name} must be {wanted} for a supernet, got {value}")
        # Batch norm has no statistics of one image where the last stage is of 1x1 pixels.
        if recipe.batch_size < 2 * options.accumulate:
            raise ValueError(
                f"TrainJob.recipe.batch_size must be at least {2 * options.accumulate} for a supernet that accumulates "
                f"{options.accumulate} gradients a step, got {recipe.batch_size}"
            )

    @property
    def eval_data(self) -> DataConfig:
        """The same data at the evaluation size."""
        return replace(self.data, image_size=self.recipe.eval_size)

    def anchored(self) -> "TrainJob":
        """The same with absolute paths: a later session runs in another folder."""
        place = str(_absolute(Path(self.data.data))) if is_folder(self.data.data) else self.data.data
        init = self.init and replace(self.init, path=str(_absolute(Path(self.init.path))))
        return replace(self.with_data(place, self.data.root and _absolute(self.data.root)), init=init)

    def with_data(self, data: str, root: Path | None) -> "TrainJob":
        """The same on data that lie elsewhere."""
        return replace(self, data=replace(self.data, data=data, root=root))

    def total_steps(self, num_images: int) -> int:
        return self.length.in_steps(num_images, self.recipe.batch_size)

    def images_per_epoch(self, num_images: int) -> int:
        """After so many images each there is an evaluation: whole batches of the recipe's size."""
        batch_size = self.recipe.batch_size
        return batch_size * max(1, round(num_images / batch_size))

    def phases(self, total_steps: int) -> tuple[Phase, ...]:
        """Of a training that takes `total_steps` batches of the recipe's size."""
        if self.options.growth == "fixed":
            return fixed(self.recipe, total_steps)
        return phases(self.recipe, total_steps, grow_batch=self.options.grow_batch)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """config.json of a training's folder. `data` are fingerprints of the images that are trained and evaluated on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    schema_version: int = SCHEMA_VERSION
    kind: str = "training"
    job: TrainJob
    data: tuple[str, str]
    environment: dict[str, Any] = field(default_factory=environment)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, default=str, allow_nan=False) + "\n"


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A finished training; result.json.

    Args:
        accuracy: share of the test images that the trained weights classify correctly at `eval_size`.
        ema_accuracy: of the averaged weights, which model.safetensors holds.
        holdout_accuracy, ema_holdout_accuracy: of the images held out of training, at its end.
        num_test: test images.
        eval_size: side in pixels.
        steps: optimizer steps.
        seconds: wall time in training and evaluation, over all of its resumptions.
        params: trainable parameters.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    accuracy: float
    ema_accuracy: float
    holdout_accuracy: float
    ema_holdout_accuracy: float
    num_test: int
    eval_size: int
    steps: int
    seconds: float
    params: int

    def __post_init__(self) -> None:
        for name in ("accuracy", "ema_accuracy", "holdout_accuracy", "ema_holdout_accuracy"):
            check_number("TrainResult", name, getattr(self, name), 0, 1)
        for name in ("num_test", "eval_size", "steps", "params"):
            check_integer("TrainResult", name, getattr(self, name), 0, MOST)
        check_number("TrainResult", "seconds", self.seconds, 0, MOST)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def read_config(folder: Path) -> TrainConfig:
    """The config of a training's folder.

    Raises:
        RunError: where there is none, it is of another kind of run, or it is damaged.
    """
    path = folder / CONFIG
    text = _read(path)
    try:
        record = load_json(text)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
    if isinstance(record, dict) and record.get("kind") == FAMILY_KIND:
        raise RunError(f"{path}: is of a family's trainings: name one of them, {folder}/NAME")
    if not isinstance(record, dict) or record.get("kind") != "training":
        raise RunError(f"{path}: must be of a training, as nas train makes it")
    if record.get("schema_version") != SCHEMA_VERSION:
        raise RunError(f"{path}: schema_version must be {SCHEMA_VERSION}, got {record.get('schema_version')!r}")
    return _parse(TrainConfig, text, path)


def read_job(folder: Path) -> TrainJob:
    """What is trained in `folder`; errors as of `read_config`."""
    return read_config(folder).job


def read_result(folder: Path) -> TrainResult | None:
    """What came of the training in `folder`, None where it has not ended."""
    path = folder / RESULT
    return read_record(TrainResult, path) if path.exists() else None


def read_record(kind: type[Record], path: Path) -> Record:
    """The record of this kind that a file of a training's folder holds; RunError where it is damaged."""
    return _parse(kind, _read(path), path)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _read(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise RunError(f"{path}: is no text") from None


def _parse(kind: type[Record], text: str, path: Path) -> Record:
    try:
        return parse_json(kind, text)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
