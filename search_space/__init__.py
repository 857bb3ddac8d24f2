"""What a network is, and which ones may be proposed.

This file is the room's door. What needs torch is loaded on first use, so `import search_space` leaves torch out.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_space.catalog import ARCHITECTURES, Published, architecture, published
from search_space.choices import BlockChoice, Decision, StageChoices
from search_space.files import parse_json, parse_yaml, read_text, unknown_name
from search_space.ops import OPS, Cost, Op, block_cost, conv_cost, output_size, round_width, squeeze_width
from search_space.space import Space
from search_space.spaces import SPACES, load_space
from search_space.spec import Activation, ArchSpec, BlockSpec, HeadSpec, Padding, StageSpec, StemSpec
from search_space.unrounded import Unrounded

if TYPE_CHECKING:
    from search_space.convert import from_timm, from_torchvision, to_torchvision
    from search_space.network import Network, build_network

__all__ = [
    "ARCHITECTURES",
    "OPS",
    "SPACES",
    "Activation",
    "ArchSpec",
    "BlockChoice",
    "BlockSpec",
    "Cost",
    "Decision",
    "HeadSpec",
    "Network",
    "Op",
    "Padding",
    "Published",
    "Space",
    "StageChoices",
    "StageSpec",
    "StemSpec",
    "Unrounded",
    "architecture",
    "block_cost",
    "build_network",
    "conv_cost",
    "from_timm",
    "from_torchvision",
    "load_space",
    "output_size",
    "parse_json",
    "parse_yaml",
    "published",
    "read_text",
    "round_width",
    "squeeze_width",
    "to_torchvision",
    "unknown_name",
]

_WITH_TORCH = {
    "Network": "search_space.network",
    "build_network": "search_space.network",
    "from_timm": "search_space.convert",
    "from_torchvision": "search_space.convert",
    "to_torchvision": "search_space.convert",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name]), name)
