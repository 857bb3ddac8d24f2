"""The contract of every op: its cost is what torch and fvcore count in its layer. A new row is found by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.blocks import BLOCKS, BuildOptions
from search_space.ops import OPS, Cost, block_cost, output_size, round_width, squeeze_width
from search_space.spec import BlockSpec, StageSpec

ALL_OPS = sorted(OPS.keys() | BLOCKS.keys())
SETTINGS = {
    "kernel": (st.sampled_from([1, 3, 5, 7]), 1),
    "expansion": (st.sampled_from([1, 2, 4, 6]), 1),
    "se_ratio": (st.sampled_from([0.0, 0.0625, 0.25, 1.0]), 0.0),
}


@st.composite
def layers(draw: st.DrawFn, op: str) -> BlockSpec:
    """A layer of `op`, with the settings that mean nothing to it at their neutral value."""
    in_channels = draw(st.integers(1, 24))
    width = draw(st.one_of(st.just(in_channels), st.integers(1, 24)))
    given = {
        name: draw(choice if name in OPS[op].settings else st.just(off)) for name, (choice, off) in SETTINGS.items()
    }
    return BlockSpec(op=op, in_channels=in_channels, width=width, stride=draw(st.integers(1, 3)), **given)


def test_the_two_tables_have_the_same_rows() -> None:
    assert OPS.keys() == BLOCKS.keys()


def test_letters_and_settings_are_such_that_a_stage_prints_and_parses() -> None:
    letters = [op.letter for op in OPS.values()]
    assert len(set(letters)) == len(letters)
    for name, op in OPS.items():
        assert op.settings <= SETTINGS.keys()
        assert str(StageSpec(op=name, width=8, depth=1, kernel=1)).startswith(op.letter)


@pytest.mark.parametrize("op", ALL_OPS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_layer_has_the_shape_parameters_and_macs_of_the_table(op: str, data: st.DataObject) -> None:
    spec = data.draw(layers(op))
    size = data.draw(st.integers(1, 33))
    padding = data.draw(st.sampled_from(["symmetric", "same"]))
    with torch.device("meta"):
        block = BLOCKS[op](spec, BuildOptions(padding=padding), 0.1)
        images = torch.empty(2, spec.in_channels, size, size)
    with FlopCounterMode(display=False) as counter:
        out = block.eval()(images)
    side = output_size(size, spec.stride)
    assert out.shape == (2, spec.width, side, side)
    # torch counts a multiply-add as two operations.
    counted = Cost(sum(weight.numel() for weight in block.parameters()), counter.get_total_flops() // 2 // len(images))
    assert counted == block_cost(*_cost_arguments(spec), size)


# fvcore traces with what torch deprecates, and scripts a function of its own as it is imported.
@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:FutureWarning")
@pytest.mark.parametrize("op", ALL_OPS)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_fvcore_counts_the_macs_of_the_table(op: str, data: st.DataObject) -> None:
    from fvcore.nn import FlopCountAnalysis

    spec = data.draw(layers(op))
    size = data.draw(st.integers(1, 17))
    # fvcore finds no operation in a module that hands its input on.
    block = nn.Sequential(BLOCKS[op](spec, BuildOptions(), 0.0), nn.ReLU()).eval()
    analysis = FlopCountAnalysis(block, torch.zeros(1, spec.in_channels, size, size))
    by_operator = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    assert by_operator["conv"] + by_operator["linear"] == block_cost(*_cost_arguments(spec), size).macs


def _cost_arguments(spec: BlockSpec) -> tuple[str, int, int, int, int, int, float]:
    return spec.op, spec.in_channels, spec.width, spec.kernel, spec.expansion, spec.stride, spec.se_ratio


@pytest.mark.parametrize(
    ("width", "v2", "v1"), [(3, 8, 8), (12, 16, 16), (35.2, 32, 32), (11.9, 8, 16), (67.2, 64, 64), (20, 24, 24)]
)
def test_width_rounds_to_the_nearest_eight_halves_up(width: float, v2: int, v1: int) -> None:
    assert round_width(width) == v2
    assert round_width(width, guard=True) == v1


def test_squeeze_width_is_a_share_of_the_input_and_at_least_one() -> None:
    assert squeeze_width(96, 0.25) == 24
    assert squeeze_width(3, 0.25) == 1
