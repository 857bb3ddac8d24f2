"""Which choices of a space matter: how much worse a model of the run predicts where one choice is shuffled.

A random forest is fitted to the decisions of a resample of the trials (bootstrap) and asked of the trials that are not
in it, as they are and with one decision's values shuffled: what R^2 loses is that decision's importance in the
resample. The intervals are over the resamples. Two choices that go together in a run share what they explain.
"""

import json
from typing import TYPE_CHECKING, Literal

import numpy as np

from results.plots.style import BLACK, BLUE, axes_of, is_narrow, plain, settle
from results.record import TrialResult
from results.store import Run
from search_space.files import parse_json
from search_space.space import Space

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Figure", "importance", "plot_importance"]

Figure = Literal["accuracy", "step_time_ratio", "params", "reward"]
FEWEST = 20
RESAMPLES, SHUFFLES, TREES = 25, 5, 60
MOST_SHOWN = 14
SHOWN: dict[Figure, str] = {
    "accuracy": "accuracy",
    "step_time_ratio": "step time",
    "params": "params",
    "reward": "reward",
}


def importance(run: Run, of: Figure = "reward", *, device: str | None = None, seed: int = 0) -> "pd.DataFrame":
    """The run's choices, the most important first: `choice` (stage and setting), `importance` (R^2 that is lost where
    it is shuffled, mean over the resamples), `low` and `high` (95 % of the resamples), `num_values` (that were tried).

    Raises:
        ValueError: for fewer than 20 networks, or a run whose networks no sampler proposed.
    """
    import pandas as pd

    trials = [trial for trial in run.ok_on(device) if not trial.repeat and trial.decisions is not None]
    if len(trials) < FEWEST:
        raise ValueError(f"importance needs at least {FEWEST} networks with their decisions, got {len(trials)}")
    names = _names(run)
    decisions = np.array([trial.decisions for trial in trials])
    if decisions.shape[1] != len(names):
        raise ValueError(f"trials must have the space's {len(names)} decisions, got {decisions.shape[1]}")
    target = np.array([_value(run, trial, of) for trial in trials])
    lost = np.zeros((RESAMPLES, len(names)))
    if np.ptp(target) > 0:
        lost = np.array([_lost(decisions, target, seed + number) for number in range(RESAMPLES)])
    low, high = np.quantile(lost, [0.025, 0.975], axis=0)
    frame = pd.DataFrame(
        {
            "choice": names,
            "importance": lost.mean(axis=0),
            "low": low,
            "high": high,
            "num_values": [len(np.unique(column)) for column in decisions.T],
        }
    )
    return frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _names(run: Run) -> list[str]:
    try:
        space = parse_json(Space, json.dumps(run.config.get("space")))
    except ValueError as error:
        raise ValueError(f"{run.folder}: space: {error}") from None
    return [decision.name for decision in space.decisions]


def _value(run: Run, trial: TrialResult, of: Figure) -> float:
    return run.objective.reward(trial) if of == "reward" else float(getattr(trial, of))


def _lost(decisions: "np.ndarray", target: "np.ndarray", seed: int) -> "np.ndarray":
    """R^2 that is lost in one resample, for each decision."""
    from sklearn.ensemble import RandomForestRegressor

    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(target), size=len(target))
    left = np.setdiff1d(np.arange(len(target)), drawn)
    spread = float(np.var(target[left]))
    if len(left) < 2 or not spread:
        return np.zeros(decisions.shape[1])
    forest = RandomForestRegressor(TREES, random_state=seed, n_jobs=1).fit(decisions[drawn], target[drawn])
    # All shuffled copies in one call, which is a tenth of the time of sklearn.inspection's one by one.
    count, num_decisions = len(left), decisions.shape[1]
    copies = np.tile(decisions[left], (num_decisions, SHUFFLES, 1, 1))
    for decision in range(num_decisions):
        for shuffled in copies[decision]:
            shuffled[:, decision] = generator.permutation(shuffled[:, decision])
    whole = np.mean((forest.predict(decisions[left]) - target[left]) ** 2)
    predicted = forest.predict(copies.reshape(-1, num_decisions)).reshape(num_decisions, SHUFFLES, count)
    broken = np.mean((predicted - target[left]) ** 2, axis=(1, 2))
    return np.asarray((broken - whole) / spread)


def plot_importance(
    run: Run,
    of: Figure = "reward",
    *,
    ax: "Axes | None" = None,
    device: str | None = None,
    seed: int = 0,
) -> "Axes":
    """`importance` as bars with their intervals, the most important first, at most 14.

    Raises:
        ValueError: as `importance`.
    """
    found = importance(run, of, device=device, seed=seed).head(MOST_SHOWN)[::-1]
    axes = axes_of(ax, shape=0.62, narrow_shape=1.0)
    places = np.arange(len(found))
    axes.barh(places, found.importance, color=BLUE, height=0.62)
    errors = [np.maximum(found.importance - found.low, 0), np.maximum(found.high - found.importance, 0)]
    axes.errorbar(found.importance, places, xerr=errors, fmt="none", ecolor=BLACK, elinewidth=0.9, capsize=2)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    axes.set_yticks(places, [plain(name) for name in found.choice])
    settle(
        axes,
        title=f"which choices matter for {SHOWN[of]}",
        x="share of the variance no longer explained where the choice is shuffled (bar: 95 %)"
        if not is_narrow(axes)
        else "R² lost where the choice is shuffled",
        y="",
        legend=False,
    )
    return axes
