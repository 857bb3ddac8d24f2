"""Learning curves: of one training with its stages of image size, or of several over each other."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from results.plots.style import BLACK, GREY, axes_of, is_narrow, look, plain_name, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Stage", "Training", "TrainingAxis", "plot_learning"]

TrainingAxis = Literal["epochs", "minutes"]
Curve = Literal["accuracy", "loss"]
WHERE: dict[TrainingAxis, str] = {"epochs": "epochs", "minutes": "wall-clock minutes"}
BANDS = ("#f2f2f2", "#e2e2e2")
NARROW = 0.2
"""Share of an axis below which the label of a stage would run into the next."""
ROOM_FOR_LABELS: dict[Curve, float] = {"accuracy": 0.12, "loss": 0.35}
"""Of the height that the curves take."""


class Stage(Protocol):
    """A part of a training in which no setting changes; `nas.train.Phase` is one."""

    @property
    def image_size(self) -> int: ...
    @property
    def randaugment(self) -> float: ...
    @property
    def dropout(self) -> float: ...
    @property
    def mixup(self) -> float: ...


class Training(Protocol):
    """A training as it is on record, evaluation by evaluation; `nas.train.curves.Curves` is one. What was resumed is
    one curve: the minutes are those in which it ran."""

    def along(self, axis: TrainingAxis) -> NDArray[np.float64]:
        """Where each evaluation stands, shape (num_evaluations,)."""

    def values(self, name: str) -> NDArray[np.float64]:
        """`loss`, `accuracy` or `ema_accuracy` (of the averaged weights) at each evaluation; accuracies as shares."""

    def has_loss(self) -> NDArray[np.bool_]:
        """Of which evaluations the loss is worth showing."""

    def phases(self, axis: TrainingAxis) -> Sequence[tuple[float, float, Stage]]:
        """(begin, end, stage) of each that has begun."""


def plot_learning(
    trainings: Training | Mapping[str, Training],
    *,
    of: Curve = "accuracy",
    against: TrainingAxis = "epochs",
    level: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Held-out accuracy in % or training loss at each evaluation, against epochs or minutes. Of one training, the
    accuracies of the averaged and of the last weights, with its stages of image size in the back.

    Of several, by name, the averaged weights' alone; a number stands where a training goes on to images of that size.
    `level`, an accuracy as a share, is a line, with a ring where each first reaches it.

    Raises:
        ValueError: for no training, another `of` or `against`, or a `level` with the loss.
    """
    for name, known, given in (("of", get_args(Curve), of), ("against", get_args(TrainingAxis), against)):
        if given not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {given!r}")
    if level is not None and of == "loss":
        raise ValueError(f"level must be None with the loss, as it is an accuracy, got {level}")
    axes = axes_of(ax)
    if isinstance(trainings, Mapping):
        if not trainings:
            raise ValueError("trainings must be at least one, got none")
        _draw_several(axes, trainings, of, against)
        shown = list(trainings.values())
        accuracy = f"{'' if is_narrow(axes) else 'held-out '}accuracy, averaged weights, %"
    else:
        _draw_one(axes, trainings, of, against)
        shown, accuracy = [trainings], "held-out accuracy, %"
    if level is not None:
        _draw_level(axes, shown, against, level)
    axes.set_xlim(0, 1.015 * max(training.along(against)[-1] for training in shown))
    settle(
        axes,
        x=WHERE[against],
        y="training loss" if of == "loss" else accuracy,
        loc="best" if of == "loss" else "lower right",
    )
    return axes


def _points(training: Training, name: str, against: TrainingAxis) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places, values = training.along(against), training.values(name)
    if name != "loss":
        return places, 100 * values
    of_loss = training.has_loss()
    return places[of_loss], values[of_loss]


def _draw_one(axes: "Axes", training: Training, of: Curve, against: TrainingAxis) -> None:
    lines: dict[str, tuple[str | None, dict[str, Any]]] = {
        "loss": (None, look(0) | {"color": BLACK}),
        "accuracy": ("last weights", look(1)),
        "ema_accuracy": ("averaged weights", look(0)),
    }
    for name in ("loss",) if of == "loss" else ("accuracy", "ema_accuracy"):
        label, style = lines[name]
        places, values = _points(training, name, against)
        axes.plot(places, values, label=label, markersize=3.5, markevery=max(1, len(places) // 40), **style)
    stages = training.phases(against)
    for number, (begin, end, _) in enumerate(stages):
        axes.axvspan(begin, end, color=BANDS[number % 2], zorder=0, linewidth=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + ROOM_FOR_LABELS[of] * (high - low))
    for begin, end, stage in stages:
        lines_of = [f"{stage.image_size} px"]
        if of == "loss" and end - begin >= NARROW * stages[-1][1]:
            lines_of += [f"RandAug {stage.randaugment:.2g}", f"dropout {stage.dropout:.2g}"]
            lines_of += [f"mixup {stage.mixup:.2g}"] * (stage.mixup > 0)
        axes.text(
            (begin + end) / 2,
            0.98,
            "\n".join(lines_of),
            ha="center",
            va="top",
            color=GREY,
            fontsize=float(axes.xaxis.label.get_fontsize()) - 1.5,
            transform=axes.get_xaxis_transform(),
        )


def _draw_several(axes: "Axes", trainings: Mapping[str, Training], of: Curve, against: TrainingAxis) -> None:
    from matplotlib.patheffects import withStroke

    grows = False
    for number, (name, training) in enumerate(trainings.items()):
        places, values = _points(training, "loss" if of == "loss" else "ema_accuracy", against)
        style = look(number)
        axes.plot(places, values, label=plain_name(name), markevery=max(1, len(places) // 8), **style)
        for (_, _, before), (begin, _, stage) in pairwise(training.phases(against)):
            if stage.image_size != before.image_size:
                grows, height = True, float(np.interp(begin, places, values))
                axes.plot(begin, height, "|", color=style["color"], markersize=11, markeredgewidth=1.2, zorder=3)
                axes.annotate(
                    f"{stage.image_size}",
                    (begin, height),
                    xytext=(0, 7),
                    textcoords="offset points",
                    ha="center",
                    color=style["color"],
                    fontsize=float(axes.xaxis.label.get_fontsize()) - 2,
                    path_effects=[withStroke(linewidth=2, foreground="white")],
                    zorder=5,
                )
    if grows:
        axes.plot([], [], "|", color=GREY, markersize=11, markeredgewidth=1.2, label="on to images of so many pixels")


def _draw_level(axes: "Axes", trainings: Sequence[Training], against: TrainingAxis, level: float) -> None:
    axes.axhline(100 * level, color=GREY, linewidth=0.8, label=f"{100 * level:.1f} % (ring: first reached)")
    for training in trainings:
        reached = training.values("ema_accuracy") >= level
        if reached.any():
            first = int(np.argmax(reached))
            place, value = training.along(against)[first], 100 * training.values("ema_accuracy")[first]
            axes.plot(place, value, "o", markersize=9, markerfacecolor="none", markeredgecolor=BLACK, zorder=4)
