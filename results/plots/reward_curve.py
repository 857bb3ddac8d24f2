"""How the reward went up in a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from results.plots.source import Source, trials_on
from results.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    DASHES,
    FAINT,
    MANY,
    MARKERS,
    VERMILION,
    caption,
    empty,
    finish,
    marker_area,
    new_axes,
    plain,
    time_unit,
)
from results.record import TrialResult
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Course", "Over", "plot_reward"]

Over = Literal["trials", "seconds"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Course:
    """The trials of a run in the order in which they ended, shape (num_trials,) each.

    Attributes:
        trials: of them.
        numbers: 1 for the first that ended.
        seconds: on the run's budget clock, when each ended.
        rewards: of each; NaN where it was not measured in full or is outside the limits.
        repeats: whether it trained a network anew.
        best: the highest reward until then; NaN before the first. Repeats do not count: they tell how good what was
            found is, not that more was found.
    """

    name: str
    trials: tuple[TrialResult, ...]
    numbers: Floats
    seconds: Floats
    rewards: Floats
    repeats: NDArray[np.bool_]
    best: Floats

    @classmethod
    def of(cls, run: Run, device: str | None = None) -> Self:
        run.networks(device=device)  # refuses what step times of several devices would be mixed in
        trials = sorted(trials_on(run, device), key=lambda trial: (trial.ended_s, trial.index))
        allowed = [run.limits.allow(trial) for trial in trials]
        rewards = [
            run.objective.reward(trial) if allow else np.nan for trial, allow in zip(trials, allowed, strict=True)
        ]
        repeats = np.array([trial.repeat > 0 for trial in trials], dtype=np.bool_)
        found = np.where(repeats, np.nan, np.array(rewards, dtype=np.float64))
        return cls(
            name=run.folder.absolute().name,
            trials=tuple(trials),
            numbers=np.arange(1.0, len(trials) + 1),
            seconds=np.array([trial.ended_s for trial in trials], dtype=np.float64),
            rewards=np.array(rewards, dtype=np.float64),
            repeats=repeats,
            best=np.fmax.accumulate(found),
        )

    def along(self, over: Over) -> Floats:
        """Where each trial stands on the axis."""
        if over not in get_args(Over):
            raise ValueError(f"over must be one of {', '.join(get_args(Over))}, got {over!r}")
        return self.numbers if over == "trials" else self.seconds


def plot_reward(
    runs: Run | Sequence[Run], *, ax: Axes | None = None, over: Over = "trials", device: str | None = None
) -> Axes:
    """Reward of each trial, and the highest so far, over trials or over seconds; of several runs the highest alone.

    Args:
        runs: one, or several to compare: their rewards must be of one objective.
        ax: axes to draw in; of a new figure where not given.
        over: `trials`, in the order in which they ended, or `seconds` of the run's clock.
        device: of runs of several, the one to draw.

    Raises:
        RunError: for a device that a run does not have, or None where it has several.
        ValueError: for runs of different objectives, or another `over`.
    """
    several = [runs] if isinstance(runs, Run) else list(runs)
    if not several:
        raise ValueError("runs must be at least one, got none")
    if len({run.objective for run in several}) > 1:
        raise ValueError(f"runs must have one objective, got {', '.join(str(run.objective) for run in several)}")
    courses = [Course.of(run, device) for run in several]
    ends = [course.along(over)[-1] for course in courses if course.trials]
    unit = time_unit(max(ends, default=0.0))
    ax = new_axes(ax)
    ax.set_xlabel("trials ended" if over == "trials" else f"time since the search began, {unit.name}")
    ax.set_ylabel("reward (higher is better)")
    if all(np.isnan(course.rewards).all() for course in courses):
        return empty(ax, Source.find(several[0], device).nothing)
    scale = 1.0 if over == "trials" else unit.size
    for number, course in enumerate(courses):
        places = course.along(over) / scale
        if len(courses) == 1:
            _draw_trials(ax, course, places)
        ax.step(
            places,
            course.best,
            where="post",
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)] if len(courses) > 1 else "",
            markevery=max(1, len(places) // 8),
            label="highest so far" if len(courses) == 1 else plain(course.name),
            zorder=3,
        )
    if len(several) == 1:
        _draw_confirmed(ax, several[0], device, max(ends) / scale)
        source = Source.find(several[0], device)
        caption(
            ax,
            "; ".join(
                [plain(source.of)] + [source.missing_text.replace("drawn", "measured")] * bool(source.missing_text)
            ),
        )
    return finish(ax)


def _draw_trials(ax: Axes, course: Course, places: Floats) -> None:
    known, area = ~np.isnan(course.rewards), marker_area()
    once, anew = known & ~course.repeats, known & course.repeats
    many = len(places) > MANY
    look: dict[str, Any] = {"rasterized": many, "alpha": 0.3 if many else 1.0}
    if once.any():
        label = f"a trial ({once.sum()})"
        ax.scatter(
            places[once], course.rewards[once], s=area / 2, facecolors="none", edgecolors=FAINT, label=label, **look
        )
    if anew.any():
        label = f"a confirming training ({anew.sum()})"
        ax.scatter(
            places[anew], course.rewards[anew], s=area, marker="D", facecolors="none", edgecolors=VERMILION, label=label
        )
    if (~known).any():
        label = f"without a reward ({(~known).sum()})"
        at_bottom = np.full((~known).sum(), 0.02)
        ax.scatter(
            places[~known],
            at_bottom,
            s=area,
            marker="x",
            color=BLACK,
            linewidths=0.9,
            label=label,
            transform=ax.get_xaxis_transform(),
            **look,
        )


def _draw_confirmed(ax: Axes, run: Run, device: str | None, end: float) -> None:
    best = run.best(device=device)
    if best is None or not best.confirmed:
        return
    low, high = (best.reward, best.reward) if best.reward_low is None else (best.reward_low, best.reward_high)
    bars = [[best.reward - (low or 0)], [(high or 0) - best.reward]]
    label = f"best, confirmed: {best.num_trainings} x (95 %)"
    ax.errorbar([1.03 * end], [best.reward], yerr=bars, fmt="D", color=BLUE, capsize=2, label=label, zorder=4)
