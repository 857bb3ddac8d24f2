"""What all pictures share: sizes, colours that colour-blind people tell apart, and shapes for black and white.

Colours are Okabe and Ito's. What a colour says a marker, a hatch or a dash says too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from results.reward import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLACK",
    "BLUE",
    "FAINT",
    "GREEN",
    "GREY",
    "ORANGE",
    "VERMILION",
    "Width",
    "axes_of",
    "plain",
    "reward_text",
    "settle",
]

Width = Literal["notebook", "column"]
INCHES: dict[Width, float] = {"notebook": 7.2, "column": 3.4}
"""Of a notebook's cell, and of one column of a paper."""
FONT: dict[Width, float] = {"notebook": 9.0, "column": 7.0}
BLACK, BLUE, VERMILION, GREEN, ORANGE = "#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00"
GREY, FAINT = "#555555", "#a8b0b8"


def axes_of(ax: "Axes | None", width: Width, *, shape: float = 0.6) -> "Axes":
    """`ax`, or the axes of a new figure of pyplot's, `shape` times as high as wide."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    _, new = plt.subplots(figsize=(INCHES[width], INCHES[width] * shape), layout="constrained")
    for item in (new.title, new.xaxis.label, new.yaxis.label):
        item.set_fontsize(FONT[width])
    new.tick_params(labelsize=FONT[width] - 1)
    return new


def settle(axes: "Axes", *, title: str, x: str, y: str, legend: bool = True, **where: Any) -> None:
    """Words and lines that all pictures have."""
    size = float(axes.xaxis.label.get_fontsize())
    title = title.replace("; ", "\n") if size <= FONT["column"] else title
    axes.set_title(plain(title), fontsize=size, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=size - 1, frameon=True, framealpha=0.85, edgecolor="none", **where)


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: a run's words are no formulas."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text).replace("$", r"\$")


def reward_text(objective: Objective) -> str:
    """What a reward is, in one line."""
    return f"reward: accuracy x step time^{objective.w:g} x params^{objective.v:g}"


def few_ticks(axes: "Axes", values: Sequence[float]) -> None:
    """A logarithmic x axis whose labels can be read where the values do not span a decade."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    wide = max(values) > 20 * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
