"""What goes to a worker and what comes back: plain frozen values, without torch."""

from dataclasses import dataclass

from nas.data import DataConfig, Split
from nas.device import Compute
from nas.measure import StepTime
from nas.train import Recipe
from results import TrialStatus
from search_space import ArchSpec

__all__ = ["Evaluation", "Probe", "TrialTask"]


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """All that a worker needs to know of a trial. `steps` of `recipe` on the data's train images at the data's size;
    no training at all where the step time ratio is above `max_step_time`. Accuracy is taken on `score_on`: a search
    uses what is held out of train, and never test."""

    arch: ArchSpec
    reference: ArchSpec
    seed: int
    steps: int
    batch_size: int
    recipe: Recipe
    data: DataConfig
    compute: Compute
    max_step_time: float | None = None
    score_on: Split = "holdout"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured of a candidate, as far as its trial went."""

    status: TrialStatus
    device: str
    reason: str | None = None
    step_time: StepTime | None = None
    correct: int | None = None
    num_evaluated: int | None = None
    train_steps: int | None = None
    train_loss: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a worker says of itself before the first trial: its device, the dtype chosen, and how many seconds a trial
    of the reference network takes there."""

    device: str
    compute: Compute
    trial_s: float
