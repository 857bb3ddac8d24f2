"""What a final training tells while it runs. No torch here."""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

from nas.train.schedule import Phase
from search_space.spec import check_integer, check_number

__all__ = ["MAX_METRICS_BYTES", "METRICS", "Metrics", "Now", "Progress", "Silent"]

METRICS = "metrics.jsonl"
MAX_METRICS_BYTES = 1 << 30
MOST, MOST_LOSS = 10**15, 1e300


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One evaluation on the held-out images; a line of metrics.jsonl.

    Args:
        step: optimizer steps done.
        epoch: the same in times that each train image was seen.
        phase, image_size, lr: of the last of them.
        loss: mean over the steps since the evaluation before.
        accuracy, ema_accuracy: of the trained and of the averaged weights, at the evaluation size.
        images_per_s: trained on, since the evaluation before or the resumption.
        images: trained on so far; None in lines of before it was on record, when batches did not grow.
        data_wait: share of the steps' time since then in which they waited for images.
        seconds: wall time of the training so far, evaluations and earlier sessions included.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True}

    step: int
    epoch: float
    phase: int
    image_size: int
    lr: float
    loss: float
    accuracy: float
    ema_accuracy: float
    images_per_s: float
    images: int | None = None
    data_wait: float = 0.0
    seconds: float

    def __post_init__(self) -> None:
        for name in ("accuracy", "ema_accuracy", "data_wait"):
            check_number("Metrics", name, getattr(self, name), 0, 1)
        for name in ("epoch", "lr", "images_per_s", "seconds"):
            check_number("Metrics", name, getattr(self, name), 0, MOST)
        check_number("Metrics", "loss", self.loss, -MOST_LOSS, MOST_LOSS)
        for name in ("step", "phase", "image_size"):
            check_integer("Metrics", name, getattr(self, name), 0, MOST)
        if self.images is not None:
            check_integer("Metrics", "images", self.images, 0, MOST)

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Now:
    """Where a training stands after a step: `step` steps are done, the last in `phase` with this loss."""

    step: int
    total_steps: int
    phase: Phase
    phases: tuple[Phase, ...]
    batch_size: int
    loss: float


class Progress(Protocol):
    """Told of a training's events."""

    def begins(self) -> None:
        """The folder is locked and the clock starts; not for a training that has ended before."""

    def note(self, text: str) -> None:
        """Something that a user should know."""

    def step(self, now: Now) -> None:
        """A step is done (on CUDA: some steps, since each look waits for the device)."""

    def evaluated(self, metrics: Metrics) -> None:
        """An evaluation is done and on record."""


class Silent:
    """A `Progress` that says nothing."""

    def begins(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def step(self, now: Now) -> None:
        pass

    def evaluated(self, metrics: Metrics) -> None:
        pass
