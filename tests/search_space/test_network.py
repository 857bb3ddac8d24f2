"""A built network is what its ArchSpec says: parameters, MACs, weights, stochastic depth."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import StochasticDepth

from search_space.blocks import BLOCKS, BuildOptions, Conv2d, ConvNormAct, FusedMBConv, MBConv, SqueezeExcite
from search_space.network import Network, build_network
from search_space.ops import OPS
from search_space.spec import ArchSpec, BlockSpec, HeadSpec, Padding, StageSpec, StemSpec

TINY = ArchSpec(
    stem=StemSpec(width=8),
    stages=(
        StageSpec(op="fused_mbconv", width=8, depth=2),
        StageSpec(op="fused_mbconv", width=16, depth=2, stride=2, expansion=4),
        StageSpec(op="mbconv", width=24, depth=3, stride=2, kernel=5, expansion=4, se_ratio=0.25),
    ),
    head=HeadSpec(width=32, num_classes=10),
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def stages(draw: st.DrawFn) -> StageSpec:
    op = draw(st.sampled_from(sorted(OPS)))
    means = OPS[op].settings
    return StageSpec(
        op=op,
        width=draw(st.integers(1, 20)),
        depth=draw(st.integers(1, 3)),
        stride=draw(st.integers(1, 2)),
        kernel=draw(st.sampled_from([1, 3, 5])) if "kernel" in means else 1,
        expansion=draw(st.sampled_from([1, 2, 4])) if "expansion" in means else 1,
        se_ratio=draw(st.sampled_from([0.0, 0.25])) if "se_ratio" in means else 0.0,
    )


@st.composite
def archs(draw: st.DrawFn) -> ArchSpec:
    return ArchSpec(
        stem=StemSpec(width=draw(st.integers(1, 16)), kernel=draw(st.sampled_from([1, 3, 7])), stride=2),
        stages=tuple(draw(st.lists(stages(), min_size=1, max_size=4))),
        head=HeadSpec(width=draw(st.sampled_from([0, 1, 32])), num_classes=draw(st.integers(1, 12))),
        activation=draw(st.sampled_from(["silu", "relu", "relu6"])),
        padding=draw(st.sampled_from(["symmetric", "same"])),
    )


@settings(deadline=None, max_examples=40)
@given(arch=archs(), size=st.integers(1, 70))
def test_cost_is_the_built_networks(arch: ArchSpec, size: int) -> None:
    with torch.device("meta"):
        network = build_network(arch, dropout=0.1, drop_path=0.1).eval()
        images = torch.empty(2, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        logits = network(images)
    assert logits.shape == (2, arch.head.num_classes)
    assert sum(weight.numel() for weight in network.parameters()) == arch.params == arch.cost(size).params
    assert counter.get_total_flops() == 2 * 2 * arch.macs(size)


@settings(deadline=None, max_examples=15)
@given(arch=archs(), seed=st.integers(0, 1000))
def test_equal_keys_build_equal_networks(arch: ArchSpec, seed: int) -> None:
    images = torch.randn(2, 3, 17, 17, generator=seeded(seed))
    logits, drops = [], []
    for description in (arch, arch.canonical()):
        network = build_network(description, drop_path=0.5, generator=seeded(seed)).eval()
        logits.append(network(images))
        drops.append([module.p for module in network.modules() if isinstance(module, StochasticDepth)])
    assert torch.equal(*logits)
    assert drops[0] == drops[1]


def test_parts_are_readable() -> None:
    network = build_network(TINY, dropout=0.25, norm_momentum=0.01)
    assert network.arch is TINY
    assert [len(stage) for stage in network.stages] == [2, 2, 3]
    assert isinstance(network.stem, ConvNormAct)
    assert isinstance(network.head, ConvNormAct)
    assert network.dropout.p == 0.25
    assert network.classifier.weight.shape == (10, 32)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


def test_without_a_head_the_last_stage_is_classified() -> None:
    network = build_network(replace(TINY, head=HeadSpec(width=0, num_classes=10)))
    assert network.head is None
    assert network.classifier.in_features == 24


@pytest.mark.parametrize("name", ["dropout", "drop_path"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_probabilities_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"build_network\.{name} must be .* from 0 to below 1, got {value}"):
        build_network(TINY, **{name: value})


@pytest.mark.parametrize("value", [0.0, 1.1])
def test_a_momentum_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"norm_momentum must be .* above 0 and at most 1, got {value}"):
        build_network(TINY, norm_momentum=value)


# Weights


def state_of(network: Network) -> torch.Tensor:
    return torch.cat([tensor.flatten().float() for tensor in network.state_dict().values()])


def test_equal_seeds_build_equal_weights_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (state_of(build_network(TINY, generator=seeded(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_generator_the_global_one_draws() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = state_of(build_network(TINY))
        torch.manual_seed(1)
        assert torch.equal(first, state_of(build_network(TINY)))


def test_weights_have_the_papers_spread() -> None:
    options = BuildOptions(generator=seeded(0))
    depthwise = Conv2d(4096, 4096, 3, options, groups=4096).weight
    dense = Conv2d(64, 128, 3, options).weight
    pointwise = Conv2d(256, 64, 1, options).weight
    grouped = Conv2d(64, 128, 3, options, groups=4).weight
    assert depthwise.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.02)
    assert dense.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert pointwise.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    assert grouped.std().item() == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.02)
    # Not truncated: a normal this large has weights beyond 3.5 deviations.
    assert depthwise.abs().max().item() > 3.5 * (2 / 9) ** 0.5

    network = build_network(replace(TINY, head=HeadSpec(width=512, num_classes=100)), generator=seeded(0))
    weight = network.classifier.weight
    assert weight.abs().max().item() == pytest.approx(0.1, rel=0.01)
    assert weight.abs().max().item() <= 0.1
    assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
        bias = getattr(module, "bias", None)
        assert bias is None or (bias == 0).all()


# Stochastic depth


def test_stochastic_depth_ramps_over_all_layers_and_spares_those_without_a_residual() -> None:
    network = build_network(TINY, drop_path=0.2)
    blocks = [block for stage in network.stages for block in stage]
    probabilities = [None if block.drop_path is None else block.drop_path.p for block in blocks]
    assert probabilities == [
        pytest.approx(0.2 * i / 7) if block is not None else None
        for i, block in zip(range(7), [0, 1, None, 3, None, 5, 6], strict=True)
    ]
    modes = {block.drop_path.mode for block in blocks if block.drop_path is not None}
    assert modes == {"row"}


def test_forty_layers_end_at_195_thousandths() -> None:
    arch = replace(TINY, stages=(StageSpec(op="fused_mbconv", width=8, depth=40),))
    with torch.device("meta"):
        blocks = build_network(arch, drop_path=0.2).stages[0]
    assert blocks[0].drop_path.p == 0
    assert blocks[39].drop_path.p == pytest.approx(0.195)


def test_a_dropped_sample_skips_the_layer() -> None:
    spec = BlockSpec("mbconv", 8, 8, kernel=3, expansion=4, stride=1, se_ratio=0.25)
    block = MBConv(spec, BuildOptions(generator=seeded(0)), drop_path=0.5).train()
    images = torch.randn(64, 8, 5, 5, generator=seeded(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        out = block(images)
    skipped = torch.tensor([torch.equal(*pair) for pair in zip(out, images, strict=True)])
    assert 16 < skipped.sum() < 48
    assert torch.equal(block.eval()(images), block(images))


# Layers


def test_a_fused_layer_without_expansion_is_one_convolution_with_activation_then_residual() -> None:
    spec = BlockSpec("fused_mbconv", 8, 8, kernel=3, expansion=1, stride=1, se_ratio=0.0)
    block = FusedMBConv(spec, BuildOptions(generator=seeded(0))).eval()
    images = torch.randn(2, 8, 6, 6, generator=seeded(1))
    conv = F.conv2d(images, block.project.conv.weight, padding=1) / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(block(images), images + F.silu(conv))


def test_squeeze_and_excitation_of_a_fused_layer_without_expansion_is_on_its_input() -> None:
    spec = BlockSpec("fused_mbconv", 8, 8, kernel=3, expansion=1, stride=1, se_ratio=0.25)
    block = FusedMBConv(spec, BuildOptions(generator=seeded(0))).eval()
    plain = FusedMBConv(spec._replace(se_ratio=0.0), BuildOptions()).eval()
    plain.load_state_dict({name: w for name, w in block.state_dict().items() if not name.startswith("squeeze")})
    squeeze = block.squeeze_excite
    assert isinstance(squeeze, SqueezeExcite)
    assert squeeze.reduce.weight.shape == (2, 8, 1, 1)
    images = torch.randn(2, 8, 6, 6, generator=seeded(1))
    means = images.mean((2, 3))
    hidden = F.silu(means @ squeeze.reduce.weight.flatten(1).T)
    gated = images * torch.sigmoid(hidden @ squeeze.expand.weight.flatten(1).T)[:, :, None, None]
    # The residual is of the input, not of what the gate left of it.
    torch.testing.assert_close(block(images), images + plain(gated) - gated)


def test_the_networks_activation_is_also_in_squeeze_and_excitation() -> None:
    network = build_network(replace(TINY, activation="relu"))
    names = {type(module).__name__ for module in network.modules()}
    assert "ReLU" in names
    assert "SiLU" not in names


def test_a_plain_convolution_has_no_residual() -> None:
    spec = BlockSpec("conv", 8, 8, kernel=3, expansion=1, stride=1, se_ratio=0.0)
    block = BLOCKS["conv"](spec, BuildOptions(), 0.5)
    for weight in block.parameters():
        nn.init.zeros_(weight)
    assert (block(torch.ones(2, 8, 4, 4)) == 0).all()


def test_an_identity_that_does_nothing_is_left_out() -> None:
    identity = StageSpec(op="identity", width=8, depth=3, kernel=1)
    network = build_network(replace(TINY, stages=(identity, replace(identity, width=16, stride=2))))
    assert [len(stage) for stage in network.stages] == [0, 1]
    down = network.stages[1][0]
    assert isinstance(down, ConvNormAct)
    assert down.conv.kernel_size == (1, 1)
    assert down.act is None
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    images = torch.randn(1, 8, 4, 4)
    nothing = BlockSpec("identity", 8, 8, kernel=1, expansion=1, stride=1, se_ratio=0.0)
    assert BLOCKS["identity"](nothing, BuildOptions(), 0.5)(images) is images


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2)])
@pytest.mark.parametrize("padding", get_args(Padding))
def test_depthwise_convolutions_are_torchs(kernel: int, stride: int, size: int, padding: Padding) -> None:
    """Values and gradients in training, of images smaller than the kernel too; in autocast they are as near as bfloat16
    comes to them, and bfloat16 themselves."""
    conv = Conv2d(16, 16, kernel, BuildOptions(padding=padding), stride=stride, groups=16).double()
    images = torch.randn(2, 16, size, size, dtype=torch.float64, requires_grad=True)
    outputs = [conv(images), conv.eval()(images)]
    gradients = [torch.autograd.grad(output.square().sum(), [images, conv.weight]) for output in outputs]
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(gradients[0], gradients[1])
    conv.train().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = conv(images.to(torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), outputs[0].detach(), rtol=0.05, atol=0.1)


def test_squeeze_excite_has_the_gradient_of_its_formula() -> None:
    layer = SqueezeExcite(8, 2, BuildOptions()).double()
    images = torch.randn(3, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, images)
    gate = layer.expand(F.silu(layer.reduce(images.mean((2, 3), keepdim=True))))
    torch.testing.assert_close(layer(images), images * gate.sigmoid())


@pytest.mark.parametrize(("size", "offset"), [(6, 1), (7, 0)])
def test_same_padding_is_tensorflows(size: int, offset: int) -> None:
    """At kernel 3 and stride 2 the first window starts inside an even image, and one pixel outside an odd one."""
    conv = Conv2d(1, 1, 3, BuildOptions(padding="same"), stride=2)
    nn.init.ones_(conv.weight)
    images = torch.arange(float(size * size)).reshape(1, 1, size, size)
    padded = F.pad(images, (1, 2, 1, 2))[:, :, offset:, offset:]
    windows = padded.unfold(2, 3, 2).unfold(3, 3, 2).sum((-1, -2))
    side = -(-size // 2)
    torch.testing.assert_close(conv(images), windows[:, :, :side, :side])


def test_a_network_exports() -> None:
    network = build_network(replace(TINY, padding="same"), generator=seeded(0)).eval()
    images = torch.randn(2, 3, 33, 32, generator=seeded(1))
    exported = torch.export.export(network, (images,)).module()
    torch.testing.assert_close(exported(images), network(images))
