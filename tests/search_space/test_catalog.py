"""The published networks, against figures that nobody here computed."""

from dataclasses import replace

import pytest

from search_space import ARCHITECTURES, ArchSpec, HeadSpec, StemSpec, architecture, published, round_width


def norm_channels(arch: ArchSpec) -> int:
    """Channels under a batch norm: each has two trainable values and two buffers (mean, variance)."""
    channels = arch.stem.width + arch.head.width
    for layer in arch.layers:
        hidden = layer.in_channels * layer.expansion
        widened = hidden if layer.expansion > 1 else 0
        channels += layer.width + (widened if layer.op == "fused_mbconv" else widened + hidden)
    return channels


# Trainable parameters, and GMACs at the evaluation size, of torchvision's and timm's networks. With the buffers of
# batch norm: the constants in the unit tests of Google's released code (S to XL, B0 to B3).
EFFICIENTNETV2 = (
    # name                train eval  params       with buffers GMACs
    ("efficientnetv2_s", 300, 384, 21_458_488, 21_612_360, 8.366),
    ("efficientnetv2_m", 384, 480, 54_139_356, 54_431_388, 24.582),
    ("efficientnetv2_l", 384, 480, 118_515_272, 119_027_848, 56.080),
    ("efficientnetv2_xl", 384, 512, 208_119_808, 208_896_832, 93.353),
    ("efficientnetv2_b0", 192, 224, 7_139_704, 7_200_312, 0.718),
    ("efficientnetv2_b1", 192, 240, 8_141_052, 8_212_124, 1.197),
    ("efficientnetv2_b2", 208, 260, 10_096_086, 10_178_374, 1.698),
    ("efficientnetv2_b3", 240, 300, 14_358_406, 14_467_622, 3.011),
)


@pytest.mark.parametrize(("name", "train_size", "eval_size", "params", "with_buffers", "gmacs"), EFFICIENTNETV2)
def test_efficientnetv2(
    name: str, train_size: int, eval_size: int, params: int, with_buffers: int, gmacs: float
) -> None:
    row = published(name)
    assert (row.train_size, row.eval_size) == (train_size, eval_size)
    assert row.arch.params == params
    assert params + 2 * norm_channels(row.arch) == with_buffers
    assert round(row.arch.macs(eval_size) / 1e9, 3) == gmacs


# torchvision's documentation of its weights: parameters, GMACs ("GFLOPS" there), at the crop.
TORCHVISION = (
    ("efficientnet_b0", 224, 5_288_548, 0.386),
    ("efficientnet_b1", 240, 7_794_184, 0.687),
    ("efficientnet_b2", 288, 9_109_994, 1.088),
    ("efficientnet_b3", 300, 12_233_232, 1.827),
    ("efficientnet_b4", 380, 19_341_616, 4.394),
    ("efficientnet_b5", 456, 30_389_784, 10.266),
    ("efficientnet_b6", 528, 43_040_704, 19.068),
    ("efficientnet_b7", 600, 66_347_960, 37.746),
    ("efficientnetv2_s", 384, 21_458_488, 8.366),
    ("efficientnetv2_m", 480, 54_139_356, 24.582),
    ("efficientnetv2_l", 480, 118_515_272, 56.080),
    ("mobilenet_v2", 224, 3_504_872, 0.301),
)


@pytest.mark.parametrize(("name", "crop", "params", "gmacs"), TORCHVISION)
def test_torchvision(name: str, crop: int, params: int, gmacs: float) -> None:
    assert architecture(name).params == params
    assert round(architecture(name).macs(crop) / 1e9, 3) == gmacs


@pytest.mark.parametrize(
    ("name", "image_size", "gmacs"),
    [
        ("efficientnetv2_s", 300, "5.31"),
        ("efficientnetv2_m", 384, "15.7"),
        ("efficientnetv2_l", 384, "35.9"),
        ("efficientnetv2_s", 224, "2.85"),
    ],
)
def test_macs_at_other_sizes(name: str, image_size: int, gmacs: str) -> None:
    assert f"{architecture(name).macs(image_size) / 1e9:.3g}" == gmacs


def test_s_as_in_the_first_version_of_the_paper() -> None:
    """arXiv 2104.00298v1, Table 4 ends in 272 channels and a head of 1792: printed as 24M; 23.94M in timm."""
    arch = architecture("efficientnetv2_s")
    first = replace(arch, stages=(*arch.stages[:-1], replace(arch.stages[-1], width=272)), head=HeadSpec(width=1792))
    assert f"{first.params / 1e6:.2f}" == "23.94"


def test_timms_efficientnetv2_rw_t() -> None:
    """S with widths x0.8 and depths x0.9, rounded with the guard: 13.65M parameters, 3.16 GMACs at 288 px."""
    arch = architecture("efficientnetv2_s")
    depths = (2, 4, 4, 6, 9, 14)
    stages = tuple(
        replace(stage, width=round_width(0.8 * stage.width, guard=True), depth=depth)
        for stage, depth in zip(arch.stages, depths, strict=True)
    )
    tiny = replace(arch, stages=stages, stem=StemSpec(width=24), head=HeadSpec(width=1024))
    assert f"{tiny.params / 1e6:.2f} {tiny.macs(288) / 1e9:.2f}" == "13.65 3.16"


def test_mobilenet_v2_differs_in_activation_and_norm() -> None:
    others = {name: architecture(name) for name in ARCHITECTURES if name != "mobilenet_v2"}
    assert {(arch.activation, arch.norm_eps) for arch in others.values()} == {("silu", 1e-3)}
    assert (architecture("mobilenet_v2").activation, architecture("mobilenet_v2").norm_eps) == ("relu6", 1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_row_is_a_network_of_its_own(name: str) -> None:
    arch = architecture(name)
    assert published(name).name == name
    assert ArchSpec.from_json(arch.to_json()) == arch
    assert arch.head.num_classes == 1000
    assert [other for other in ARCHITECTURES if architecture(other).key == arch.key] == [name]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"unknown architecture 'efficientnet_v2_s': did you mean 'efficientnetv2_s'\?"
    ):
        architecture("efficientnet_v2_s")
