"""Networks as drawings: a stage is a row of layers, by op, kernel, expansion, width and stride."""

from collections.abc import Mapping
from math import log2
from typing import TYPE_CHECKING

from results.plots.style import BLACK, BLUE, FAINT, GREEN, ORANGE, VERMILION, axes_of, inches, is_narrow, plain
from search_space.ops import OPS
from search_space.spec import ArchSpec, StageSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_family", "plot_network"]

LOOKS = {
    "mbconv": (BLUE, "", "white"),
    "fused_mbconv": (ORANGE, "////", "black"),
    "conv": (GREEN, "....", "black"),
}
"""Of an op: colour, hatch, and the colour of what is written on it."""
OTHER = (FAINT, "xx", "black")
ENDS = (VERMILION, "", "white")
SMALLEST_LETTERS = 3.0
LAYER, LOWEST, HIGHEST = 1.0, 0.55, 1.9
GAP, NARROW_GAP = 0.55, 2.0


def plot_network(arch: ArchSpec, *, ax: "Axes | None" = None, title: str | None = None) -> "Axes":
    """The network from left to right: a box for the stem, one for each layer of each stage, one for the head. Height
    grows with the logarithm of the width in channels; above a stage stand kernel and expansion, below it channels and
    what the stride makes of the resolution."""
    return plot_family({title if title is not None else f"{arch.params / 1e6:.2f} M params": arch}, ax=ax)


def plot_family(archs: Mapping[str, ArchSpec], *, ax: "Axes | None" = None) -> "Axes":
    """Several networks under each other, at one scale, by name."""
    axes = axes_of(ax, shape=max(0.24, 0.2 * len(archs)), narrow_shape=0.4 * len(archs))
    size = min(float(axes.xaxis.label.get_fontsize()) - 1.5, SMALLEST_LETTERS + 0.6 * inches(axes))
    gap, between = (NARROW_GAP, "\n") if is_narrow(axes) else (GAP, " ")
    widest = max((stage.width for arch in archs.values() for stage in arch.stages), default=8)
    seen: dict[str, tuple[str, str, str]] = {}
    right = 0.0
    for row, (name, arch) in enumerate(archs.items()):
        base = -3.4 * row
        axes.text(-0.3, base, plain(name), ha="right", va="center", fontsize=size + 1)
        x = _box(axes, 0.0, base, _height(arch.stem.width, widest), ENDS, 1)
        _words(axes, 0.0, x, base, f"k{arch.stem.kernel}", f"{arch.stem.width}{_halves(arch.stem.stride)}", size)
        for stage in arch.stages:
            look = LOOKS.get(stage.op, OTHER)
            seen[_op_name(stage.op)] = look
            left = x + gap
            x = _box(axes, left, base, _height(stage.width, widest), look, stage.depth)
            _words(axes, left, x, base, _settings(stage, between), f"{stage.width}{_halves(stage.stride)}", size)
        left = x + gap
        x = _box(axes, left, base, _height(arch.head.width or arch.head.num_classes, widest), ENDS, 1)
        _words(axes, left, x, base, "head", str(arch.head.width or arch.head.num_classes), size)
        right = max(right, x)
    axes.set_xlim(-0.02 * right, right + 0.3)
    axes.set_ylim(-3.4 * (len(archs) - 1) - 1.9, 1.9)
    axes.axis("off")
    _legend(axes, {"stem, head": ENDS, **seen}, size)
    return axes


def _height(channels: int, widest: int) -> float:
    share = log2(max(channels, 2)) / log2(max(widest, 4))
    return LOWEST + (HIGHEST - LOWEST) * min(1.0, share**2)


def _box(axes: "Axes", x: float, base: float, height: float, look: tuple[str, str, str], layers: int) -> float:
    from matplotlib.patches import Rectangle

    colour, hatch, _ = look
    for layer in range(layers):
        axes.add_patch(
            Rectangle(
                (x + LAYER * layer, base - height / 2),
                LAYER,
                height,
                facecolor=colour,
                hatch=hatch,
                edgecolor=BLACK,
                linewidth=0.6,
            )
        )
    return x + LAYER * layers


def _words(axes: "Axes", left: float, right: float, base: float, above: str, below: str, size: float) -> None:
    middle = (left + right) / 2
    axes.text(middle, base + HIGHEST / 2 + 0.1, above, ha="center", va="bottom", fontsize=size, linespacing=1.0)
    axes.text(middle, base - HIGHEST / 2 - 0.1, below, ha="center", va="top", fontsize=size, linespacing=1.0)


def _settings(stage: StageSpec, between: str) -> str:
    settings = OPS[stage.op].settings
    parts = [f"k{stage.kernel}"] if "kernel" in settings else []
    parts += [f"e{stage.expansion}"] if "expansion" in settings else []
    return "\n".join([between.join(parts), *(["SE"] if stage.se_ratio else [])]) if parts else _op_name(stage.op)


def _halves(stride: int) -> str:
    return f"\n1/{stride}" if stride > 1 else ""


def _op_name(op: str) -> str:
    return {"mbconv": "MBConv", "fused_mbconv": "Fused-MBConv"}.get(op, op)


def _legend(axes: "Axes", looks: Mapping[str, tuple[str, str, str]], size: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor=BLACK, label=name, linewidth=0.6)
        for name, (colour, hatch, _) in looks.items()
    ]
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(handles),
        frameon=False,
        fontsize=size,
        title="a box: one layer; above: kernel, expansion; below: channels, resolution",
        title_fontsize=size,
    )
