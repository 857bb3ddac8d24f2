"""How the reward of what was tried, and the best so far, went on."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from results.plots.style import BLUE, GREY, ORANGE, VERMILION, Width, axes_of, reward_text, settle
from results.record import TrialResult, Weights
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Against", "plot_progress"]

Against = Literal["trials", "seconds"]
KINDS = {Weights.OWN: "alone", Weights.INHERITED: "from a supernet's weights", Weights.SUPERNET: "by the supernet"}


def plot_progress(
    run: Run, *, against: Against = "trials", ax: "Axes | None" = None, width: Width = "notebook"
) -> "Axes":
    """Reward of each trial of the search, the best so far as a line, new trainings of networks as other marks, failures
    at the foot. Against the number of trials, or minutes of the run's budget clock. Rewards of several devices are
    drawn together, though they do not compare."""
    axes = axes_of(ax, width)
    ended = sorted(run.trials, key=lambda trial: (trial.ended_s, trial.index))
    places = {trial.index: number for number, trial in enumerate(ended, start=1)}

    def place(trial: TrialResult) -> float:
        return places[trial.index] if against == "trials" else trial.ended_s / 60

    def rewards(trials: Sequence[TrialResult]) -> list[float]:
        return [run.objective.reward(trial) for trial in trials]

    searched = [trial for trial in ended if trial.ok and not trial.repeat]
    if searched:
        style: dict[str, Any] = {"color": BLUE, "alpha": 0.75, "linewidths": 0, "rasterized": len(searched) > 1000}
        kind = searched[0].weights
        label = "a network as the search tried it" if kind is Weights.OWN else f"a network, {KINDS[kind]}"
        axes.scatter([place(trial) for trial in searched], rewards(searched), s=14, label=label, **style)
        best = list(accumulate(rewards(searched), max))
        axes.step(
            [place(trial) for trial in searched], best, where="post", color=BLUE, linewidth=1.2, label="best so far"
        )
    for weights, marker, colour in ((Weights.OWN, "s", ORANGE), (Weights.INHERITED, "^", VERMILION)):
        anew = [trial for trial in ended if trial.ok and trial.repeat and trial.weights is weights]
        if anew:
            label = "trained anew" if anew[0].weights is searched[0].weights else f"trained {KINDS[weights]}"
            axes.scatter(
                [place(trial) for trial in anew],
                rewards(anew),
                s=22,
                marker=marker,
                color=colour,
                label=label,
                zorder=3,
            )
    failed = [trial for trial in ended if not trial.ok]
    if failed:
        axes.plot(
            [place(trial) for trial in failed],
            [0.015] * len(failed),
            "x",
            color=GREY,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label=f"failed or left out ({len(failed)})",
        )
    settle(
        axes,
        title=f"{len(run.trials)} trials; {reward_text(run.objective)}",
        x="trials that have ended" if against == "trials" else "minutes of the search",
        y="reward",
        loc="best",
    )
    if not run.trials:
        axes.text(0.5, 0.5, "no trial yet", ha="center", transform=axes.transAxes)
    return axes
