"""Networks drawn as blocks: a row a stage, a cell a layer, the op by colour and hatch, the expansion by height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from results.networks import Network
from results.plots.style import BLACK, BLUE, GREEN, ORANGE, SKY, font_size, new_axes, plain
from scaling.family import Family
from search_space.spec import ArchSpec
from search_space.stage_costs import Part, parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_family", "plot_network"]

LOOKS: dict[str, tuple[str, str]] = {
    "conv": ("white", ""),
    "fused_mbconv": (ORANGE, ""),
    "mbconv": (SKY, "////"),
    "identity": (GREEN, "...."),
}
"""Colour and hatch of an op; both differ, for a picture in grey."""
OTHER = (BLUE, "xx")
OP_NAMES = {"conv": "conv", "fused_mbconv": "fused MBConv", "mbconv": "MBConv", "identity": "identity"}
LOWEST, HIGHEST = 0.28, 0.8
"""Height of a cell without expansion, and of one with the largest in the picture; a row is 1."""


def plot_network(what: Network | ArchSpec, *, ax: Axes | None = None, image_size: int) -> Axes:
    """One network from the image down to the classes, with each stage's settings.

    Args:
        what: a network of a run, or any other.
        ax: axes to draw in; of a new figure where not given.
        image_size: side in pixels of the images, for the sizes of what each stage leaves, and the MACs.
    """
    arch = what.arch if isinstance(what, Network) else what
    ax = new_axes(ax)
    rows = _rows(arch, image_size)
    end = max(4, *(part.depth for part in rows))
    ax.set_xlim(0, 2.6 * end)
    _draw_cells(ax, rows, 0.0, _largest_expansion([rows]))
    for row, part in enumerate(rows):
        ax.text(part.depth + 0.04 * end, row, _settings(part), va="center", fontsize=_small(0.9))
    cost = arch.cost(image_size)
    name = f"trial {what.trial}: " if isinstance(what, Network) else ""
    title = f"{name}{_count(cost.params)} params, {_count(cost.macs)} MACs at {image_size} px"
    ax.set_title(title, loc="left", fontsize=_small(1.0))
    return _dress(ax, [rows], [_part_name(part) for part in rows])


def plot_family(what: Family | Mapping[str, tuple[ArchSpec, int]], *, ax: Axes | None = None) -> Axes:
    """Networks side by side, in one scale: how many layers and channels each stage has in each of them.

    Args:
        what: a family, or by name networks and the side in pixels that each is evaluated at.
        ax: axes to draw in; of a new figure where not given.

    Raises:
        ValueError: for no network.
    """
    members = (
        {member.name: (member.arch, member.recipe.eval_size) for member in what.members}
        if isinstance(what, Family)
        else dict(what)
    )
    if not members:
        raise ValueError("plot_family must be given at least one network, got none")
    ax = new_axes(ax)
    tables = [_rows(arch, size) for arch, size in members.values()]
    longest = max(part.depth for rows in tables for part in rows)
    pitch, largest = 1.5 * longest, _largest_expansion(tables)
    for column, ((name, (arch, size)), rows) in enumerate(zip(members.items(), tables, strict=True)):
        start = column * pitch
        last = max(map(len, tables)) - 1
        # The head stands in the last row, also of a network with fewer stages.
        places = [*range(len(rows) - 1), last] if rows[-1].part == "head" else list(range(len(rows)))
        _draw_cells(ax, rows, start, largest, places)
        for row, part in zip(places, rows, strict=True):
            text = f"{part.width}" if part.depth == 1 else f"{part.depth}×{part.width}"
            ax.text(start + part.depth + 0.04 * longest, row, text, va="center", fontsize=_small(0.75))
        cost = arch.cost(size)
        lines = [plain(name), f"{_count(cost.params)} params", f"{_count(cost.macs)} MACs", f"{size} px"]
        ax.text(start, -0.75, "\n".join(lines), va="bottom", fontsize=_small(0.8), linespacing=1.2)
    ax.set_xlim(0, len(members) * pitch)
    deepest = max(tables, key=len)
    ax.set_title("layers × channels of each stage\n\n\n\n", loc="left", fontsize=_small(0.9))
    return _dress(ax, tables, [_family_label(part) for part in deepest])


def _rows(arch: ArchSpec, image_size: int) -> list[Part]:
    """Stem, stages and head; the classes are no block."""
    return [part for part in parts(arch, image_size) if part.part != "classes"]


def _largest_expansion(tables: Sequence[Sequence[Part]]) -> int:
    return max(part.expansion for rows in tables for part in rows)


def _draw_cells(
    ax: Axes, rows: Sequence[Part], start: float, largest: int, places: Sequence[int] | None = None
) -> None:
    from matplotlib.patches import Rectangle

    for row, part in zip(places or range(len(rows)), rows, strict=True):
        colour, hatch = LOOKS.get(part.op, OTHER)
        height = LOWEST + (HIGHEST - LOWEST) * (part.expansion - 1) / max(1, largest - 1)
        for layer in range(part.depth):
            cell = Rectangle(
                (start + layer, row - height / 2),
                1,
                height,
                facecolor=colour,
                edgecolor=BLACK,
                hatch=hatch,
                linewidth=0.5,
            )
            ax.add_patch(cell)


def _dress(ax: Axes, tables: Sequence[Sequence[Part]], labels: Sequence[str]) -> Axes:
    from matplotlib.patches import Patch

    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_yticks(range(len(labels)), labels, fontsize=_small(0.85))
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ops = dict.fromkeys(part.op for rows in tables for part in rows)
    handles = [
        Patch(facecolor=colour, edgecolor=BLACK, hatch=hatch, linewidth=0.5, label=OP_NAMES.get(op, plain(op)))
        for op in ops
        for colour, hatch in [LOOKS.get(op, OTHER)]
    ]
    look: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 1.2, "frameon": False}
    title = "a cell: one layer; its height: expansion (e)"
    ax.legend(
        handles=handles, ncols=len(handles), fontsize=_small(0.85), title=title, title_fontsize=_small(0.85), **look
    )
    return ax


def _settings(part: Part) -> str:
    kernel = "" if part.op == "identity" else f" {part.kernel}×{part.kernel}"
    expansion = f", expand {part.expansion}" if part.expansion > 1 else ""
    squeeze = f", SE {part.se_ratio:g}" if part.se_ratio else ""
    layers = f"{part.depth} × " if part.depth > 1 else ""
    block = f"{layers}{OP_NAMES.get(part.op, part.op)}{kernel}{expansion}{squeeze}"
    return f"{block}\n{part.width} channels, {part.output_size}×{part.output_size} px"


def _family_label(part: Part) -> str:
    expansion = f", e{part.expansion}" if part.expansion > 1 else ""
    return f"{_part_name(part)}\n{part.kernel}×{part.kernel}{expansion}"


def _part_name(part: Part) -> str:
    return f"stage {part.part}" if part.part.isdigit() else part.part


def _count(number: float) -> str:
    size, unit = (1e9, "G") if number >= 1e9 else (1e6, "M") if number >= 1e6 else (1e3, "k")
    return f"{number / size:.3g} {unit}"


def _small(share: float) -> float:
    return share * font_size()
