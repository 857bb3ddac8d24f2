"""Converted networks compute what torchvision's and timm's do: the same logits, and the same gradients."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

from search_space.catalog import architecture
from search_space.convert import from_timm, from_torchvision, library_of, rename_tensors, to_torchvision
from search_space.network import Network, build_network
from search_space.spec import ArchSpec, HeadSpec, StageSpec, StemSpec

TORCHVISION = {
    **{f"efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
    **{f"efficientnet_b{i}": f"efficientnet_b{i}" for i in range(8)},
    "mobilenet_v2": "mobilenet_v2",
}
SLOW = {"efficientnetv2_l"}
TIMM = {
    "tf_efficientnetv2_s": "efficientnetv2_s",
    **{f"tf_efficientnetv2_b{i}": f"efficientnetv2_b{i}" for i in range(4)},
    "efficientnetv2_s": "efficientnetv2_s",
    "efficientnet_b0": "efficientnet_b0",
    "tf_efficientnet_b1": "efficientnet_b1",
    "mobilenetv2_100": "mobilenet_v2",
}


def from_library(build: Callable[[], nn.Module]) -> nn.Module:
    """The model as if it had been trained a little: running statistics are those of random images, and no two norms
    scale and shift alike."""
    with torch.device("meta"):
        model = build()
    model = model.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, 0, fan_in**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1, generator=generator)
    for norm in norms:
        norm.reset_running_stats()
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.normal_(norm.bias, 0, 0.2, generator=generator)
        norm.train()
        norm.momentum = 1.0
    with torch.inference_mode():
        model(random_images(64, num_images=4))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def torchvision_model(name: str) -> nn.Module:
    return from_library(lambda: torchvision.models.get_model(name, num_classes=50))


def timm_model(name: str) -> nn.Module:
    return from_library(lambda: timm.create_model(name, num_classes=50))


def random_images(size: int, num_images: int = 3) -> Tensor:
    return torch.randn(num_images, 3, size, size, generator=torch.Generator().manual_seed(1))


def assert_same_logits(model: nn.Module, network: Network, size: int) -> None:
    """In float64: of such weights a deep model makes of a change in the seventh digit one in the first."""
    model, network, images = model.double(), network.double(), random_images(size).double()
    with torch.inference_mode():
        expected, logits = model(images), network(images)
    assert expected.std(0).max() > 0.1 * expected.abs().max(), "the images do not show in the logits"
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def assert_same_tensors(model: nn.Module, network: Network, arch: ArchSpec) -> None:
    """Of the state dict alone the same tensors are taken."""
    renamed = rename_tensors(model.state_dict(), arch)
    assert renamed.keys() == network.state_dict().keys()
    assert all(torch.equal(renamed[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in TORCHVISION]
)
def test_logits_are_torchvisions(name: str) -> None:
    model = torchvision_model(TORCHVISION[name])
    network = from_torchvision(model, architecture(name))
    assert not network.training
    assert network.arch.head.num_classes == 50
    assert network.arch.padding == "symmetric"
    # An odd number of pixels at the first strided layers, and an even one at others.
    assert_same_logits(model, network, size=74)
    assert_same_tensors(model, network, architecture(name))


@pytest.mark.parametrize("name", TIMM)
def test_logits_are_timms(name: str) -> None:
    model = timm_model(name)
    network = from_timm(model, architecture(TIMM[name]))
    assert network.arch.padding == ("same" if name.startswith("tf_") else "symmetric")
    assert network.arch.norm_eps == (1e-3 if name.startswith("tf_") else 1e-5)
    for size in (74, 65):
        assert_same_logits(model, network, size)
    assert_same_tensors(model, network, architecture(TIMM[name]))


def test_gradients_and_running_statistics_in_training_are_torchvisions() -> None:
    model = from_library(
        lambda: torchvision.models.efficientnet_b0(num_classes=10, stochastic_depth_prob=0.0, dropout=0.0)
    )
    model = model.double().train()
    network = from_torchvision(model, architecture("efficientnet_b0"))
    assert network.training
    images, labels = random_images(48, num_images=4).double(), torch.tensor([0, 3, 3, 9])
    for each in (model, network):
        nn.functional.cross_entropy(each(images), labels).backward()
    # Both define their layers in the order in which they run.
    pairs = list(zip(network.named_parameters(), model.parameters(), strict=True))
    assert len(pairs) > 200
    for (name, ours), theirs in pairs:
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, msg=lambda text, name=name: f"{name}: {text}")
    for ours, theirs in zip(network.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_tensors_are_copies_of_the_same_dtype() -> None:
    model = torchvision_model("mobilenet_v2").half()
    network = from_torchvision(model, architecture("mobilenet_v2"))
    weight = network.stem.conv.weight
    assert weight.dtype == torch.float16
    assert weight.requires_grad
    with torch.no_grad():
        weight.zero_()
    assert model.get_submodule("features.0.0").weight.any()


# What does not fit


def change(arch: ArchSpec, stage: int, **changes: object) -> ArchSpec:
    stages = list(arch.stages)
    stages[stage - 1] = replace(stages[stage - 1], **changes)
    return replace(arch, stages=tuple(stages))


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    with torch.device("meta"):
        return {
            "torchvision": torchvision.models.efficientnet_v2_s(num_classes=50),
            "mobilenet": torchvision.models.mobilenet_v2(num_classes=50),
            "timm": timm.create_model("tf_efficientnetv2_b0", num_classes=50),
        }


S = architecture("efficientnetv2_s")
B0 = architecture("efficientnetv2_b0")
MOBILE = architecture("mobilenet_v2")


@pytest.mark.parametrize(
    ("library", "arch", "message"),
    [
        ("torchvision", change(S, 4, depth=5), "stage 4 has 6 layers in the model, 5 in the architecture"),
        ("torchvision", replace(S, stages=S.stages[:5]), "the model has 6 stages, the architecture 5"),
        (
            "torchvision",
            change(S, 3, width=72),
            r"stage 3 .*, layer 1, project: out_channels of the model's 'features.3",
        ),
        (
            "torchvision",
            change(S, 2, kernel=5),
            r"stage 2 .*, layer 1, expand: kernel_size .* must be \(5, 5\), got \(3, 3\)",
        ),
        (
            "torchvision",
            change(S, 5, stride=2),
            r"stage 5 .*, layer 1, depthwise: stride .* must be \(2, 2\), got \(1, 1\)",
        ),
        (
            "torchvision",
            change(S, 4, se_ratio=0.0),
            r"stage 4 .*, layer 1, project: the model has no 'features.4.0.block.2.0'",
        ),
        ("torchvision", change(S, 4, se_ratio=0.5), r"stage 4 .*, layer 1, squeeze_excite: out_channels"),
        ("torchvision", change(S, 1, se_ratio=0.25), r"stage 1 .*, layer 1, squeeze_excite: the model has no"),
        (
            "torchvision",
            change(S, 1, op="conv"),
            r"stage 1 .*, layer 1: .*has residual True, the architecture asks for False",
        ),
        (
            "torchvision",
            replace(S, activation="relu"),
            r"the stem: the model's 'features.0.2' must be a ReLU, got SiLU",
        ),
        (
            "torchvision",
            replace(S, head=replace(S.head, width=0)),
            "the head: the model's 'features.7.0' has no place",
        ),
        ("torchvision", B0, "the stem: out_channels of the model's 'features.0.0' must be 32, got 24"),
        ("mobilenet", change(MOBILE, 7, depth=2), "stage 7 has 1 layers in the model, 2 in the architecture"),
        ("mobilenet", change(MOBILE, 2, expansion=1), "stage 2 .*, layer 1, depthwise: out_channels"),
        (
            "mobilenet",
            change(MOBILE, 2, op="fused_mbconv"),
            "stage 2 .*, layer 1: the architecture's layer has no counterpart",
        ),
        (
            "timm",
            change(B0, 4, se_ratio=0.0),
            "stage 4 .*, layer 1: the model's tensor 'blocks.3.0.se.conv_reduce.weight'",
        ),
        ("timm", change(B0, 2, se_ratio=0.25), "stage 2 .*, layer 1, squeeze_excite: the model has no 'blocks.1.0.se"),
        (
            "timm",
            change(B0, 4, op="fused_mbconv"),
            "stage 4 .*, layer 1, expand: the model has no 'blocks.3.0.conv_exp'",
        ),
        ("timm", change(B0, 6, depth=9), "stage 6 has 8 layers in the model, 9 in the architecture"),
    ],
)
def test_what_does_not_fit_is_named(models: dict[str, nn.Module], library: str, arch: ArchSpec, message: str) -> None:
    convert = from_timm if library == "timm" else from_torchvision
    with pytest.raises(ValueError, match=message):
        convert(models[library], arch)


def with_stray_tensor(model: nn.Module) -> None:
    model.register_buffer("scale", torch.ones(1))


def with_stray_pooling(model: nn.Module) -> None:
    model.get_submodule("blocks.1.0").aa = nn.AvgPool2d(1)


def with_another_gate(model: nn.Module) -> None:
    model.get_submodule("blocks.3.0.se").gate = nn.Hardsigmoid()


def with_two_epsilons(model: nn.Module) -> None:
    model.get_submodule("blocks.1.0.bn1").eps = 0.1


def with_other_padding(model: nn.Module) -> None:
    model.get_submodule("blocks.0.0.conv").padding = (0, 0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_stray_tensor, "the model's tensor 'scale' has no place in the architecture"),
        (with_stray_pooling, r"the model's 'blocks.1.0.aa' \(AvgPool2d\) has no place"),
        (with_another_gate, r"the model's 'blocks.3.0.se.gate' \(Hardsigmoid\) has no place"),
        (with_two_epsilons, r"batch norms must have one epsilon, got \[0.001, 0.1\]"),
        (with_other_padding, r"the model's blocks.0.0.conv must be padded by \(1, 1\) .*, got \(0, 0\)"),
    ],
)
def test_what_no_weight_shows_is_checked(spoil: Callable[[nn.Module], None], message: str) -> None:
    with torch.device("meta"):
        model = timm.create_model("tf_efficientnetv2_b0", num_classes=50)
    spoil(model)
    with pytest.raises(ValueError, match=message):
        from_timm(model, B0)


def test_models_of_another_kind_are_refused(models: dict[str, nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"from_timm.model must be its EfficientNet, got torchvision"):
        from_timm(models["torchvision"], S)
    with pytest.raises(ValueError, match=r"must be torchvision's EfficientNet or MobileNetV2, got timm"):
        from_torchvision(models["timm"], B0)
    with torch.device("meta"):
        headless = timm.create_model("tf_efficientnetv2_b0", num_classes=0)
    with pytest.raises(ValueError, match="the model must have a linear layer 'classifier'"):
        from_timm(headless, B0)


@pytest.mark.parametrize(
    ("library", "arch", "message"),
    [
        ("torchvision", change(S, 4, depth=5), r"^the model's tensor 'features.4.5.block.0.0.weight' has no place"),
        ("torchvision", change(S, 4, depth=7), r"stage 4 .*, layer 7, expand: the model has no tensor 'features.4.6"),
        (
            "torchvision",
            change(S, 3, width=72),
            r"project: 'features.3.0.block.1.0.weight' must have shape \(72, 192, 1, 1\), got \(64, 192, 1, 1\)",
        ),
        ("torchvision", change(S, 4, se_ratio=0.0), r"stage 4 .*, layer 1, project: the model has no tensor"),
        ("torchvision", replace(S, stages=S.stages[:5]), "the head: the model has no tensor .features.6.0.weight"),
        ("mobilenet", change(MOBILE, 2, expansion=1), "stage 2 .*, layer 1, depthwise: .* must have shape"),
        ("timm", change(B0, 2, kernel=5), r"stage 2 .*, layer 1, expand: 'blocks.1.0.conv_exp.weight' must have shape"),
        ("timm", change(B0, 4, op="fused_mbconv"), r"stage 4 .*: the model has no tensor 'blocks.3.0.conv_exp.weight'"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_named(
    models: dict[str, nn.Module], library: str, arch: ArchSpec, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rename_tensors(models[library].state_dict(), arch)


def test_a_state_dict_of_ours_keeps_its_names() -> None:
    network = build_network(B0)
    renamed = rename_tensors(network.state_dict(), B0.with_num_classes(7))
    assert all(torch.equal(renamed[name], tensor) for name, tensor in network.state_dict().items())
    stray = {**network.state_dict(), "scale": torch.ones(1)}
    with pytest.raises(ValueError, match="the model's tensor 'scale' has no place"):
        rename_tensors(stray, B0)
    with pytest.raises(ValueError, match=r"'stem.conv.weight' must have shape \(24, 3, 3, 3\), got \(32, 3, 3, 3\)"):
        rename_tensors(network.state_dict(), S)


def test_whose_names_they_are(models: dict[str, nn.Module]) -> None:
    found = [library_of(models[library].state_dict()) for library in ("torchvision", "mobilenet", "timm")]
    assert found == ["torchvision", "torchvision", "timm"]
    with torch.device("meta"):
        resnet = torchvision.models.resnet18()
    with pytest.raises(ValueError, match="but has others, 'bn1"):
        library_of(resnet.state_dict())


# The way back


MINI = ArchSpec(
    stem=StemSpec(width=8),
    stages=(
        StageSpec(op="fused_mbconv", width=8, depth=1),
        StageSpec(op="fused_mbconv", width=16, depth=2, stride=2, expansion=4),
        StageSpec(op="mbconv", width=24, depth=2, kernel=5, stride=2, expansion=4, se_ratio=0.25),
    ),
    head=HeadSpec(width=32, num_classes=7),
)


def torchvisions_mini(eps: float = 1e-3) -> nn.Module:
    settings = [
        FusedMBConvConfig(1, 3, 1, 8, 8, 1),
        FusedMBConvConfig(4, 3, 2, 8, 16, 2),
        MBConvConfig(4, 5, 2, 16, 24, 2),
    ]
    norm = partial(nn.BatchNorm2d, eps=eps)
    return EfficientNet(settings, dropout=0.2, norm_layer=norm, last_channel=32, num_classes=7)


def test_ours_in_torchvisions_network_has_equal_logits() -> None:
    network = from_library(lambda: build_network(MINI))
    assert isinstance(network, Network)
    with torch.device("meta"):
        shape = torchvisions_mini()
    state = to_torchvision(network, shape)
    model = torchvisions_mini().eval()
    model.load_state_dict(state, strict=True)
    assert_same_logits(model, network, size=33)
    before = network.classifier.bias.clone()
    state["classifier.1.bias"].add_(1)
    assert torch.equal(network.classifier.bias, before), "the tensors are copies"


@pytest.mark.parametrize("build", [lambda: from_library(torchvisions_mini), lambda: torchvision_model("mobilenet_v2")])
def test_there_and_back_is_where_it_was(build: Callable[[], nn.Module]) -> None:
    model = build()
    network = from_torchvision(model, MINI if type(model).__name__ == "EfficientNet" else MOBILE)
    back, theirs = to_torchvision(network, model), model.state_dict()
    assert back.keys() == theirs.keys()
    for name, tensor in back.items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize(
    ("arch", "eps", "message"),
    [
        (MINI.with_num_classes(8), 1e-3, "the model's classes must be 8, got 7"),
        (MINI, 1e-5, "the model's norm_eps must be 0.001, got 1e-05"),
        (replace(MINI, padding="same"), 1e-3, "the model's padding must be same, got symmetric"),
        (change(MINI, 2, width=24), 1e-3, r"stage 2 .*, layer 1, project: out_channels .* must be 24, got 16"),
        (change(MINI, 3, depth=3), 1e-3, "stage 3 has 2 layers in the model, 3 in the architecture"),
        (replace(MINI, activation="relu"), 1e-3, "the stem: the model's 'features.0.2' must be a ReLU, got SiLU"),
    ],
)
def test_another_network_is_none_of_torchvisions(arch: ArchSpec, eps: float, message: str) -> None:
    with torch.device("meta"):
        model = torchvisions_mini(eps)
    with pytest.raises(ValueError, match=message):
        to_torchvision(build_network(arch), model)
