"""What all pictures share: two styles, colours that colour-blind people tell apart, and shapes for black and white.

Colours are Okabe and Ito's. What a colour says a marker, a hatch or a dash says too.
"""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

from results.reward import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Size", "style"]

Size = Literal["notebook", "column"]
_SIZES: dict[Size, dict[str, Any]] = {
    "notebook": {
        "figure.figsize": (7.2, 4.3),
        "font.size": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
    },
    "column": {
        "figure.figsize": (3.3, 2.5),
        "font.size": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.0,
        "lines.markersize": 3.5,
        "savefig.dpi": 300,
    },
}
NARROW = 3.5
"""Inches of axes below which words are shortened."""
LETTER = 0.48
"""Width of a letter, in times its size, about."""
SHORT = 16
"""Letters of a legend's words of which two columns have room in narrow axes."""
LONGEST = 48
"""Letters of a name in a legend."""
BLACK, BLUE, VERMILION, GREEN, ORANGE = "#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00"
GREY, FAINT = "#555555", "#a8b0b8"
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", ORANGE, "#56B4E9", BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))


@contextmanager
def style(size: Size) -> Iterator[None]:
    """Pictures begun within are for the screen (`notebook`: 7.2 inches wide, 9 pt) or for a paper's `column` (3.3
    inches, 8 pt); those begun outside have matplotlib's settings as they are, which are not touched.

    Raises:
        ValueError: for another name.
    """
    if size not in _SIZES:
        raise ValueError(f"style must be one of {', '.join(get_args(Size))}, got {size!r}")
    from matplotlib import rc_context

    settings: Any = _SIZES[size]  # to a type checker the names are literals
    with rc_context(settings):
        yield


def axes_of(ax: "Axes | None", *, shape: float = 0.6, narrow_shape: float = 0.9) -> "Axes":
    """`ax`, or the axes of a new figure of pyplot's, as wide as the style says and `shape` times as high (a narrow one
    `narrow_shape` times)."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    width = plt.rcParams["figure.figsize"][0]
    height = width * (narrow_shape if width < NARROW else shape)
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def inches(axes: "Axes") -> float:
    """How wide the axes are, about."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes stand in a figure"
    return float(axes.get_position().width * figure.get_figwidth())


def is_narrow(axes: "Axes") -> bool:
    """Whether they have room for few words, as those of a paper's column."""
    return inches(axes) < NARROW


def look(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line with this number: those of any two differ."""
    kinds = {"color": COLOURS, "marker": MARKERS, "linestyle": DASHES}
    return {name: values[number % len(values)] for name, values in kinds.items()}


def settle(axes: "Axes", *, title: str = "", x: str, y: str, legend: bool = True, **where: Any) -> None:
    """Words and lines that all pictures have."""
    size = float(axes.xaxis.label.get_fontsize())
    if title:
        axes.set_title(folded(axes, plain(title), size), fontsize=size, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    # A tick made where the picture is saved, outside of `style`, has the size of those made within.
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_tick_params(labelsize=axis.get_major_ticks(1)[0].label1.get_fontsize())
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    labels = axes.get_legend_handles_labels()[1]
    if legend and labels:
        if is_narrow(axes):  # below, where it hides nothing
            ncols = 2 if max(map(len, labels)) <= SHORT else 1
            where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 4.5, "ncols": ncols}
        axes.legend(fontsize=size - 1, frameon=True, framealpha=0.85, edgecolor="none", **where)


def folded(axes: "Axes", text: str, size: float) -> str:
    """Text of `size` points on lines as wide as the axes, which end where a part of it does, where they can."""
    letters = int(inches(axes) * 72 / (LETTER * size))
    if len(text) <= letters:
        return text
    parts = text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" x ", " x\N{NO-BREAK SPACE}").split("; ")
    return "\n".join(line for part in parts for line in textwrap.wrap(part, letters))


def plain_name(name: object) -> str:
    """What a caller calls a run or a training, as a legend has room for it."""
    text = str(name)
    return plain(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}")


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: a run's words are no formulas, and no sign at the front hides a label."""
    shown = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def reward_text(objective: Objective) -> str:
    """What a reward is, in one line."""
    return f"reward: accuracy x step time^{objective.w:g} x params^{objective.v:g}"


def few_ticks(axes: "Axes", values: Sequence[float]) -> None:
    """A logarithmic x axis with labels also where the values span a decade or less."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    wide = max(values) > 100 * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
