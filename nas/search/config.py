"""What a search is asked to do, as one frozen value that is saved with the run."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from nas.data import DataConfig, is_folder
from nas.search.budget import Budget
from nas.search.confirm import Confirming
from nas.train import Recipe, TrainLength
from results import Limits, Objective

__all__ = ["SearchConfig"]

DeviceChoice = Literal["auto", "cpu", "cuda"]
GoalChoice = Literal["reward", "front"]
DTypeChoice = Literal["auto", "float32", "bfloat16"]
EvaluatorChoice = Literal["training", "supernet"]
DEFAULT_STEPS, MAX_DEFAULT_EPOCHS = 300, 5
MAX_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Search a space for networks that are accurate, small and fast to train.

    Args:
        space: a named space (`nas spaces`) or a JSON or YAML file of one.
        data: `digits`, `cifar10`, `cifar100`, or a folder of images (DIR/train and DIR/test or DIR/val, or one folder
            a class).
        data_root: where a named data set lies.
        download: fetch a named data set that is not there.
        holdout: share of the train images that the search's accuracy is measured on. Test images are never touched.
        max_images: use only so many train images, the classes in proportion.
        budget: trials (`40`), wall clock (`30m`, `8h`) or device time (`6gpu-h`, `6cpu-h`).
        train_length: of a candidate's short training, in steps (`300`) or epochs (`2ep`); 300 steps, but at most 5
            epochs, where not given. With a supernet, of the best ones alone.
        recipe: of the short training.
        evaluator: `training` trains each candidate for a short while; `supernet` takes its accuracy with the weights of
            `supernet`, whose space, images and image size are the search's.
        supernet: the folder of that training (`nas supernet train`).
        warm_start: the folder of such a training, with whose weights each short training begins in place of random
            ones. Space, images and image size are the supernet's then too.
        image_size: train size in pixels; the space's where not given.
        batch_size: images in a training step; the space's where not given.
        w: exponent of step time in the reward.
        v: exponent of params in the reward.
        max_params: larger networks are never trained.
        min_params: smaller networks are never trained.
        max_step_time: as a ratio to the reference network; what is slower is never trained.
        min_accuracy: what is less accurate stands on no front.
        sampler: how candidates are proposed: `cost-aware` (learns only the accuracy, as the costs are known), `random`
            (the paper's), `evolution` (regularised), `tpe` or `nsga2` (Optuna's).
        goal: `reward`, or `front`: the largest hypervolume of accuracy, step time and params.
        confirm_share: share of the budget in which the best networks are trained anew with other seeds; 0 for none.
        confirm: of a search that a supernet judges, how many of its best networks are trained alone at last, within the
            budget; 0 for none.
        repeat: how many times at least each of them is; alone, from random weights and from the supernet's.
        seed: of the candidates, the held-out images, and every training.
        workers: trials at once; as many as the machine's processors or GPUs allow where not given. With `address` more
            may be given than the cluster holds: others begin where machines join.
        device: `cpu`, `cuda`, or `auto`.
        cpus_per_trial: processors (and threads) of one trial.
        gpus_per_trial: share of a GPU that one trial holds; 1 on CUDA where not given.
        dtype: `bfloat16` is autocast; `auto` takes it where it was measured to be clearly faster.
        deadline: seconds after which a trial is ended; ten times the expected where not given.
        address: of a running Ray cluster (`auto` or HOST:PORT); a Ray of its own on this machine where not given.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    space: str = "efficientnetv2-tiny"
    data: str = "digits"
    data_root: Path | None = None
    download: bool = False
    holdout: float = 0.1
    max_images: int | None = None
    budget: str = "30m"
    train_length: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    evaluator: EvaluatorChoice = "training"
    supernet: str | None = None
    warm_start: str | None = None
    image_size: int | None = None
    batch_size: int | None = None
    w: float = -0.07
    v: float = -0.05
    max_params: int | None = None
    min_params: int | None = None
    max_step_time: float | None = None
    min_accuracy: float | None = None
    sampler: str = "cost-aware"
    goal: GoalChoice = "reward"
    confirm_share: float = 0.2
    confirm: int = 5
    repeat: int = 3
    seed: int = 0
    workers: int | None = None
    device: DeviceChoice = "auto"
    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None
    dtype: DTypeChoice = "auto"
    deadline: float | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        Budget.parse(self.budget)
        if self.train_length is not None:
            TrainLength.parse(self.train_length)
        self.limits()
        Objective(reference_params=1, w=self.w, v=self.v)
        self.confirming()
        choices_of = {
            "device": DeviceChoice,
            "dtype": DTypeChoice,
            "goal": GoalChoice,
            "evaluator": EvaluatorChoice,
        }
        for name, choices in ((name, get_args(choice)) for name, choice in choices_of.items()):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name, low in (("workers", 1), ("cpus_per_trial", 1), ("seed", 0), ("image_size", 4), ("batch_size", 2)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}")
        if (self.evaluator == "supernet") != (self.supernet is not None):
            raise ValueError(
                f"supernet must be given with evaluator supernet, and only then, got {self.supernet!r} with evaluator "
                f"{self.evaluator}"
            )
        if self.supernet is not None and self.warm_start is not None:
            raise ValueError("warm_start cannot be given with evaluator supernet, which trains no candidate")
        budget, num_alone = Budget.parse(self.budget), self.confirming().num_alone
        if budget.kind == "trials" and budget.amount <= num_alone:
            raise ValueError(
                f"budget must be above the {num_alone} trainings that confirm {self.confirm} with repeat {self.repeat} "
                f"takes, got {self.budget}"
            )
        if self.seed > MAX_SEED:
            raise ValueError(f"seed must be at most {MAX_SEED}, got {self.seed}")
        if self.gpus_per_trial is not None:
            if not 0 <= self.gpus_per_trial <= 1:
                raise ValueError(
                    f"gpus_per_trial must be from 0 to 1 (a trial trains on one GPU), got {self.gpus_per_trial}"
                )
            if self.device == "cpu" and self.gpus_per_trial > 0:
                raise ValueError(f"gpus_per_trial must be 0 on device cpu, got {self.gpus_per_trial}")
            if self.device == "cuda" and self.gpus_per_trial == 0:
                raise ValueError("gpus_per_trial must be above 0 on device cuda, got 0")
        if self.deadline is not None and not self.deadline > 0:
            raise ValueError(f"deadline must be above 0 seconds, got {self.deadline}")

    def anchored(self) -> "SearchConfig":
        """The same with absolute paths: workers, and a later session, run in other folders."""
        data = str(_absolute(Path(self.data))) if is_folder(self.data) else self.data
        supernet, warm_start = (folder and str(_absolute(Path(folder))) for folder in (self.supernet, self.warm_start))
        data_root = self.data_root and _absolute(self.data_root)
        return replace(self, data=data, data_root=data_root, supernet=supernet, warm_start=warm_start)

    @property
    def inherits_from(self) -> str | None:
        """The supernet that the search takes weights of."""
        return self.supernet or self.warm_start

    def limits(self) -> Limits:
        return Limits(
            max_params=self.max_params,
            min_params=self.min_params,
            max_step_time=self.max_step_time,
            min_accuracy=self.min_accuracy,
        )

    def confirming(self) -> Confirming:
        """What a supernet says of a network is the same each time: its best are trained alone."""
        if self.evaluator == "supernet":
            return Confirming(repeat=self.repeat, alone=self.confirm)
        return Confirming(share=self.confirm_share, repeat=self.repeat)

    def train_steps(self, num_images: int, batch_size: int) -> int:
        """Steps of a candidate's short training on so many images."""
        if self.train_length is not None:
            return TrainLength.parse(self.train_length).in_steps(num_images, batch_size)
        return min(DEFAULT_STEPS, TrainLength(epochs=MAX_DEFAULT_EPOCHS).in_steps(num_images, batch_size))

    def data_config(self, image_size: int) -> DataConfig:
        return DataConfig(
            data=self.data,
            image_size=image_size,
            root=self.data_root,
            holdout=self.holdout,
            split_seed=self.seed,
            max_images=self.max_images,
            download=self.download,
        )


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{str(path)!r} names no user's home folder") from None
