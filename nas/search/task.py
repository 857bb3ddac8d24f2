"""What goes to a worker and what comes back: plain frozen values, without torch."""

from dataclasses import dataclass, field

from nas.data import DataConfig, PreparedData, Split
from nas.device import Compute
from nas.measure import Calibration, Precision, StepTime
from nas.search.inherited import SupernetRef
from nas.train import Recipe
from nas.train.feed_data import FeedData
from results import TrialStatus
from search_space import ArchSpec, Space

__all__ = ["Evaluation", "Probe", "ProbeRequest", "TrialTask"]


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """All that a worker needs to know of a trial: `steps` of `recipe` on the data's train images at the data's size. No
    training at all where the step time ratio, measured with `precision`, is above `max_step_time`. Accuracy is taken
    on `score_on`: a search uses what is held out of train, and never test. With a `supernet` the training begins with
    its weights; where there are no steps accuracy is taken with them as they are. `memory_bytes` is what a trial may
    hold (None: no limit), which its worker knows. `prepared` are the data, and `judged_on` those that a supernet is fed
    with, as they were found when the search began: a worker whose cache has them need not look through the files."""

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
    precision: Precision = field(default_factory=Precision)
    supernet: SupernetRef | None = None
    memory_bytes: int | None = None
    prepared: PreparedData | None = None
    judged_on: FeedData | None = None


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
    max_batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """What a worker is asked before the first trial: whether bfloat16 pays, and a calibration for `space`: a kept one,
    or, with `calibrate`, one made now where none is kept. With `alone_steps`, how long a training alone takes too."""

    space: Space
    choose_dtype: bool
    calibrate: bool
    alone_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a worker says of itself before the first trial: its device, the dtype chosen, how many seconds a trial of
    the reference network takes there (and its training alone, where that was asked for), and the calibration that was
    found or made."""

    device: str
    compute: Compute
    trial_s: float
    alone_s: float | None = None
    calibration: Calibration | None = None
