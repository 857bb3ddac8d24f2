"""How every picture looks: two widths, and marks that differ in shape, hatch or dashes as well as in colour.

Colours are Okabe and Ito's, which colour-blind people tell apart; a picture printed in grey is told apart by the rest.
matplotlib is imported where something is drawn, not before.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "DASHES", "MARKERS", "Size", "caption", "empty", "errors", "finish", "new_axes", "plain", "style"]

Size = Literal["notebook", "column"]
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
FAINT = "#8a8a8a"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MANY = 500
"""Marks of a series above which a vector file holds them as pixels: a front of 5,000 networks is 0.3 MB of SVG so, and
3.6 MB otherwise."""
CAPTION, LEGEND = 0.95, 0.85
"""Sizes of letters, in times the usual one."""
HANDLE = 6
"""Letters that the mark and the gap of a legend's line are as wide as."""
LEAST_FACTOR = 1.6

_SIZES: dict[Size, dict[str, Any]] = {
    "notebook": {"figure.figsize": (7.2, 4.6), "font.size": 10, "lines.markersize": 6, "lines.linewidth": 1.6},
    "column": {
        "figure.figsize": (3.3, 2.9),
        "font.size": 7,
        "lines.markersize": 3.5,
        "lines.linewidth": 1.0,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "hatch.linewidth": 0.5,
        "savefig.dpi": 300,
    },
}


@contextmanager
def style(size: Size) -> Iterator[None]:
    """Pictures made within are for the screen (`notebook`: 7.2 inches wide) or a paper's `column` (3.3 inches).

    Raises:
        ValueError: for another name.
    """
    if size not in _SIZES:
        raise ValueError(f"style must be one of {', '.join(get_args(Size))}, got {size!r}")
    from matplotlib import rc_context

    settings: Any = _SIZES[size]  # a dict with a literal for each name, to a type checker
    with rc_context(settings):
        yield


def new_axes(ax: Axes | None) -> Axes:
    """`ax`, or axes of a new figure of pyplot's, which a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1]


def plain(text: object) -> str:
    """A name as matplotlib draws it letter by letter: no mathematics between dollars, no control signs, and none that
    a legend leaves out for its first sign."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in str(text)).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def marker_area() -> float:
    """Points squared of a mark."""
    from matplotlib import rcParams

    return float(rcParams["lines.markersize"]) ** 2


def errors(
    values: Sequence[float], lows: Iterable[float | None], highs: Iterable[float | None], scale: float = 1.0
) -> NDArray[np.float64]:
    """Lengths of error bars, shape (2, n), below and above; 0 where an interval is not known."""
    pairs = [
        (0.0, 0.0) if low is None or high is None else (max(value - low, 0.0), max(high - value, 0.0))
        for value, low, high in zip(values, lows, highs, strict=True)
    ]
    return scale * np.array(pairs, dtype=np.float64).reshape(-1, 2).T


def caption(ax: Axes, text: str, *, room: float = 1.1) -> None:
    """A title on as many lines as the axes' width asks for; `room` is how many times that width it may have."""
    text = text.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(text, max(20, int(room * _letters(ax, CAPTION))))
    ax.set_title("\n".join(lines), fontsize=CAPTION * font_size(), loc="left")


def _letters(ax: Axes, size: float) -> float:
    """How many letters, of `size` times the usual one, are as wide as the axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None, "axes stand in a figure"
    return ax.get_position().width * figure.get_figwidth() * 72 / (0.52 * size * font_size())


def font_size() -> float:
    """Points."""
    from matplotlib import rcParams

    return float(rcParams["font.size"])


def finish(ax: Axes, *, legend: bool = True, room: float = 1.2) -> Axes:
    """Grid, no frame where no scale is, and the legend below the axes, where it hides nothing; `room` is how many
    times the axes' width it may have."""
    ax.grid(alpha=0.35, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    labels = ax.get_legend_handles_labels()[1]
    if legend and labels:
        half = -(-len(labels) // 2)
        letters = sum(max(map(len, column), default=0) + HANDLE for column in (labels[:half], labels[half:]))
        fits = letters <= room * _letters(ax, LEGEND)
        look: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.42, 0), "borderaxespad": 5}
        ax.legend(fontsize=LEGEND * font_size(), ncols=2 if fits else 1, frameon=False, **look)
    return ax


def log_scale(ax: Axes, name: Literal["x", "y"], values: NDArray[np.float64]) -> None:
    """Equal factors at equal distances, with plain numbers, where the positive values differ by enough."""
    if not values.size or values.max() < LEAST_FACTOR * values.min():
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    wide = values.max() > 12 * values.min()
    axis = ax.xaxis if name == "x" else ax.yaxis
    (ax.set_xscale if name == "x" else ax.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def empty(ax: Axes, why: str) -> Axes:
    """Axes that say why nothing is in them."""
    ax.text(0.5, 0.5, "\n".join(textwrap.wrap(why, 38)), ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return finish(ax)


class Unit(NamedTuple):
    """A number of seconds, or of anything, that is 1 in `name`."""

    size: float
    name: str


def time_unit(seconds: float) -> Unit:
    """In which a time of this length has at most three digits before the point."""
    return Unit(1, "s") if seconds < 300 else Unit(60, "min") if seconds < 3 * 3600 else Unit(3600, "h")


def count_unit(count: float) -> Unit:
    """In which numbers up to this one are short."""
    return Unit(1e9, "G") if count >= 1e9 else Unit(1e6, "M") if count >= 1e5 else Unit(1e3, "k")
