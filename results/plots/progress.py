"""How the reward of what was tried, and the best so far, went on; of one run or of several."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, get_args

from results.plots.several import device_of_all
from results.plots.style import BLUE, GREY, ORANGE, VERMILION, axes_of, look, plain_name, reward_text, settle
from results.record import TrialResult, Weights
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Against", "Course", "plot_progress"]

Against = Literal["trials", "minutes"]
WHERE: dict[Against, str] = {"trials": "trials that have ended", "minutes": "minutes of the search"}
KINDS = {Weights.OWN: "alone", Weights.INHERITED: "from a supernet's weights", Weights.SUPERNET: "by the supernet"}


class Course:
    """The trials of a run as they ended, and where each stands against their number or minutes of the budget's clock.

    Raises:
        ValueError: for another `against`.
    """

    def __init__(self, run: Run, against: Against, device: str | None = None) -> None:
        if against not in WHERE:
            raise ValueError(f"against must be one of {', '.join(get_args(Against))}, got {against!r}")
        trials = [trial for trial in run.trials if device in (None, trial.device)]
        self.run = run
        self.ended = sorted(trials, key=lambda trial: (trial.ended_s, trial.index))
        self._places = {
            trial.index: float(number) if against == "trials" else trial.ended_s / 60
            for number, trial in enumerate(self.ended, start=1)
        }

    def searched(self) -> list[TrialResult]:
        """Those that the search tried and measured in full."""
        return [trial for trial in self.ended if trial.ok and not trial.repeat]

    def places(self, trials: Sequence[TrialResult]) -> list[float]:
        return [self._places[trial.index] for trial in trials]

    def rewards(self, trials: Sequence[TrialResult]) -> list[float]:
        return [self.run.objective.reward(trial) for trial in trials]

    def best(self) -> tuple[list[float], list[float]]:
        """Places, and the highest reward until then of what the search tried within the run's limits. New trainings
        of a network tell how good it is, not that more was found."""
        allowed = [trial for trial in self.searched() if self.run.limits.allow(trial)]
        places, best = self.places(allowed), list(accumulate(self.rewards(allowed), max))
        return ([*places, *self.places(self.ended[-1:])], [*best, best[-1]]) if best else ([], [])


def plot_progress(
    runs: Run | Mapping[str, Run],
    *,
    against: Against = "trials",
    ax: "Axes | None" = None,
    device: str | None = None,
) -> "Axes":
    """Reward of each trial of the search, the best so far within the run's limits as a line, new trainings of networks
    as other marks, failures at the foot. Against the number of trials, or minutes of the run's budget clock. Rewards of
    several devices are drawn together where none is named, though they do not compare.

    Of several runs, by name, the best so far alone.

    Raises:
        ValueError: for runs that do not compare, as `results.Run.compare`, or have different rewards.
    """
    axes = axes_of(ax)
    if isinstance(runs, Run):
        _draw_one(axes, Course(runs, against, device))
        title = f"{len(runs.trials)} trials; {reward_text(runs.objective)}"
        is_empty = not runs.trials
    else:
        device = device_of_all(runs, device)
        rewards = {reward_text(run.objective) for run in runs.values()}
        if len(rewards) > 1:
            raise ValueError(f"runs must have one reward to be compared, got {'; '.join(sorted(rewards))}")
        for number, (name, run) in enumerate(runs.items()):
            places, best = Course(run, against, device).best()
            every = max(1, len(places) // 8)
            axes.step(places, best, where="post", label=plain_name(name), markevery=every, **look(number))
        title, is_empty = f"best so far; {rewards.pop()}", False
    axes.set_xlim(left=0)
    settle(axes, title=title, x=WHERE[against], y="reward", loc="best")
    if is_empty:
        axes.text(0.5, 0.5, "no trial yet", ha="center", transform=axes.transAxes)
    return axes


def _draw_one(axes: "Axes", course: Course) -> None:
    searched = course.searched()
    if searched:
        style: dict[str, Any] = {"color": BLUE, "alpha": 0.75, "linewidths": 0, "rasterized": len(searched) > 1000}
        kind = searched[0].weights
        by = "" if kind is Weights.OWN else f", {KINDS[kind]}"
        label = f"a network{by}" if by else "a network as the search tried it"
        axes.scatter(course.places(searched), course.rewards(searched), s=14, label=label, **style)
        axes.step(*course.best(), where="post", color=BLUE, linewidth=1.2, label=f"best so far{by}")
    for weights, marker, colour in ((Weights.OWN, "s", ORANGE), (Weights.INHERITED, "^", VERMILION)):
        anew = [trial for trial in course.ended if trial.ok and trial.repeat and trial.weights is weights]
        if anew:
            label = "trained anew" if anew[0].weights is searched[0].weights else f"trained {KINDS[weights]}"
            axes.scatter(
                course.places(anew), course.rewards(anew), s=22, marker=marker, color=colour, label=label, zorder=3
            )
    failed = [trial for trial in course.ended if not trial.ok]
    if failed:
        axes.plot(
            course.places(failed),
            [0.015] * len(failed),
            "x",
            color=GREY,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label=f"failed or left out ({len(failed)})",
        )
