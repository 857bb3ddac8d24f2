"""Which choices matter, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from results.plots.permutation import Importance, Matter, importance
from results.plots.style import BLACK, BLUE, FAINT, caption, finish, new_axes
from results.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_importance"]

MOST = 12
NAMES: dict[Matter, str] = {"accuracy": "held-out accuracy", "step_time": "step time", "reward": "reward"}


def shown(decision: str) -> str:
    """`stage3.kernel` in words."""
    stage, field = decision.split(".")
    return f"{stage.replace('stage', 'stage ')} {field.replace('_', ' ')}"


def said(found: Importance) -> str:
    """What it is of and how far it can be trusted."""
    trust = f"a forest tells {100 * max(found.told, 0):.0f} % of the variance of networks it has not seen"
    if found.told <= 0:
        trust = "a forest tells nothing of networks it has not seen: no choice can be said to matter"
    return f"which choices matter for {NAMES[found.of]}: {found.num_networks} networks; {trust}"


def plot_importance(
    what: Run | Importance,
    of: Matter = "accuracy",
    *,
    ax: Axes | None = None,
    most: int = MOST,
    device: str | None = None,
) -> Axes:
    """The choices that matter most for accuracy, step time or reward, with 95 % intervals: filled where the interval is
    above 0, hollow where it is not.

    Args:
        what: a run, or what `importance` found in it.
        of: `accuracy`, `step_time` or `reward`; of a run alone.
        ax: axes to draw in; of a new figure where not given.
        most: how many choices to draw.
        device: of a run of several, the one to draw.

    Raises:
        RunError, ValueError: see `importance`.
    """
    found = importance(what, of, device=device) if isinstance(what, Run) else what
    ax = new_axes(ax)
    drawn = found.choices[:most]
    rows = np.arange(len(drawn))
    looks: dict[bool, dict[str, Any]] = {
        True: {"color": BLUE, "label": "clear: 95 % interval above 0"},
        False: {"color": FAINT, "markerfacecolor": "white", "label": "not clear: interval holds 0"},
    }
    for clear, look in looks.items():
        chosen = [row for row in rows if drawn[row].is_clear is clear]
        if chosen:
            shares = [100 * drawn[row].share for row in chosen]
            below = [max(0.0, 100 * (drawn[row].share - drawn[row].low)) for row in chosen]
            above = [max(0.0, 100 * (drawn[row].high - drawn[row].share)) for row in chosen]
            ax.errorbar(shares, chosen, xerr=[below, above], fmt="o", elinewidth=1.0, capsize=2, **look)
    ax.axvline(0, color=BLACK, linewidth=0.8)
    ax.set_yticks(rows, [shown(choice.decision) for choice in drawn])
    ax.invert_yaxis()
    ax.set_xlabel("prediction lost without it, % of variance")
    hidden = len(found.choices) - len(drawn)
    caption(ax, said(found) + (f"; {hidden} choices that matter less are left out" if hidden else ""), room=0.85)
    return finish(ax, room=0.9)
