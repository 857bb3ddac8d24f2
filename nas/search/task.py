"""What goes to a worker and what comes back: plain frozen values, without torch."""

from dataclasses import dataclass, field

from nas.data import DataConfig, Split
from nas.device import Compute
from nas.measure import Calibration, Precision, StepTime
from nas.search.inherited import SupernetRef
from nas.train import Recipe
from results import TrialStatus
from search_space import ArchSpec, Space

__all__ = ["Evaluation", "Probe", "ProbeRequest", "TrialTask"]


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """All that a worker needs to know of a trial: `steps` of `recipe` on the data's train images at the data's size. No
    training at all where the step time ratio, measured with `precision`, is above `max_step_time`. Accuracy is taken
    on `score_on`: a search uses what is held out of train, and never test. With a `supernet` nothing is trained: its
    weights are used, and accuracy is taken on what was held out of its training. `memory_bytes` is what a trial may
    hold (None: no limit), which its worker knows."""

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
    or, with `calibrate`, one made now where none is kept."""

    space: Space
    choose_dtype: bool
    calibrate: bool


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a worker says of itself before the first trial: its device, the dtype chosen, how many seconds a trial of
    the reference network takes there, and the calibration that was found or made."""

    device: str
    compute: Compute
    trial_s: float
    calibration: Calibration | None = None
