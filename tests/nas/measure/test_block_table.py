"""Parts built and stepped as they are in a network. How long a part takes, no test can know."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from nas.device import Compute, DType
from nas.measure import Part, block_table, network_parts
from nas.measure.block_table import _build, _part_call, _Tensors
from nas.measure.networks import training_step_call
from nas.measure.parts import HEAD, STEM
from nas.train import OptimizerName, Recipe
from search_space import OPS, ArchSpec, BlockSpec, Padding, Space, load_space, output_size
from search_space.blocks import Conv2d

BATCH = 4
SGD = Recipe()


def parts_of_op(op: str) -> list[Part]:
    """With and without a change of shape, with all the settings that the op has."""
    shapes = [(8, 8, 1), (8, 12, 1), (8, 12, 2)]
    has = OPS[op].settings
    settings = [
        (kernel, expansion, se_ratio)
        for kernel in ((3, 5) if "kernel" in has else (1,))
        for expansion in ((1, 4) if "expansion" in has else (1,))
        for se_ratio in ((0.0, 0.25) if "se_ratio" in has else (0.0,))
    ]
    layers = [
        BlockSpec(op, channels, width, kernel, expansion, stride, se_ratio)
        for channels, width, stride in shapes
        for kernel, expansion, se_ratio in settings
    ]
    return [Part(layer, 5) for layer in layers if not layer.is_nothing]


PARTS = {op: parts_of_op(op) for op in OPS} | {
    STEM: [Part(BlockSpec(STEM, 3, 8, 5, 1, stride, 0.0), 9) for stride in (1, 2)],
    HEAD: [Part(BlockSpec(HEAD, 8, width, 1, 1, 1, 0.0), 3, 7) for width in (0, 16)],
}


def step_twice(part: Part, like: ArchSpec, recipe: Recipe, compute: Compute) -> nn.Module:
    """The trained module of the part, after two steps."""
    built = []

    def build(*args: Any) -> Any:
        built.append(_build(*args))
        return built[0]

    generator = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_table, "_build", build)
        call = _part_call(part, like, _Tensors(compute, BATCH, generator), recipe, compute, generator)
    call()
    call()
    return built[0][0]


@pytest.mark.parametrize(("channels_last", "padding"), [(True, "symmetric"), (False, "same")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("op", PARTS)
def test_every_op_is_built_and_stepped(
    op: str, dtype: DType, channels_last: bool, padding: Padding, tiny_arch: ArchSpec
) -> None:
    for part in PARTS[op]:
        compute = Compute(dtype=dtype, channels_last=channels_last)
        trained = step_twice(part, replace(tiny_arch, padding=padding), SGD, compute)
        # Biases, of norms too, begin at 0 and have gone from there.
        biases = [parameter for name, parameter in trained.named_parameters() if name.endswith("bias")]
        assert biases
        assert all(bias.any() and bias.isfinite().all() for bias in biases)


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_steps_leave_weights_where_they_are(optimizer: OptimizerName, tiny_arch: ArchSpec) -> None:
    part = PARTS["mbconv"][-1]
    before, _ = _build(part, tiny_arch, SGD, torch.Generator().manual_seed(0))
    recipe = Recipe(optimizer=optimizer, weight_decay=0.1)
    after = step_twice(part, tiny_arch, recipe, Compute())
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(new, old, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("op", PARTS)
def test_a_part_has_the_shape_that_the_next_one_takes(op: str, tiny_arch: ArchSpec) -> None:
    for part in PARTS[op]:
        layer = part.layer
        _, forward = _build(part, tiny_arch, SGD, torch.Generator())
        out = forward(torch.zeros(BATCH, layer.in_channels, part.size, part.size))
        size = output_size(part.size, layer.stride)
        assert out.shape == ((BATCH, 7) if op == HEAD else (BATCH, layer.width, size, size))


@pytest.mark.parametrize("name", ["odd", "efficientnetv2-tiny", "nas-bench-macro"])
def test_what_the_parts_of_a_network_train_is_what_it_trains(name: str, odd_space: Space) -> None:
    space, rng = odd_space if name == "odd" else load_space(name), random.Random(1)
    for arch in (space.reference, *(space.sample(rng) for _ in range(3))):
        trained = {
            part: _build(part, arch, SGD, torch.Generator())[0] for part in network_parts(arch, space.image_size)
        }
        counts = {part: sum(parameter.numel() for parameter in module.parameters()) for part, module in trained.items()}
        parts = network_parts(arch, space.image_size)
        assert sum(times * counts[part] for part, times in parts.items()) == arch.params


@contextmanager
def inputs_of_modules() -> Iterator[set[tuple[str, torch.dtype]]]:
    """What convolutions, norms and linear layers are given, as (the module in words, dtype)."""
    seen: set[tuple[str, torch.dtype]] = set()

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            seen.add((str(module), inputs[0].dtype))

    handle = register_module_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_layers_of_parts_are_given_what_those_of_a_network_are(dtype: DType) -> None:
    arch, compute = load_space("efficientnetv2-tiny").reference, Compute(dtype=dtype)
    settings: dict[str, Any] = {"recipe": SGD, "compute": compute, "generator": torch.Generator().manual_seed(0)}
    with inputs_of_modules() as of_network:
        training_step_call(arch, batch_size=BATCH, image_size=8, **settings)()
    tensors = _Tensors(compute, BATCH, settings["generator"])
    with inputs_of_modules() as of_parts:
        for part in network_parts(arch, 8):
            _part_call(part, arch, tensors, **settings)()
    assert of_parts == of_network


def test_a_part_is_of_the_networks_kind(tiny_arch: ArchSpec) -> None:
    like = replace(tiny_arch, activation="relu6", norm_eps=0.5, padding="same")
    for op in ("mbconv", "fused_mbconv", "conv", STEM):
        part = PARTS[op][-1]
        assert part.layer.stride == 2
        modules = list(_build(part, like, SGD, torch.Generator())[0].modules())
        assert any(isinstance(module, nn.ReLU6) for module in modules)
        assert {module.eps for module in modules if isinstance(module, nn.BatchNorm2d)} == {0.5}
        assert any(module.pads_same for module in modules if isinstance(module, Conv2d))


def test_drop_path_is_part_of_a_part(tiny_arch: ArchSpec) -> None:
    for part in (*PARTS["mbconv"], *PARTS["fused_mbconv"]):
        trained, _ = _build(part, tiny_arch, Recipe(drop_path=0.2), torch.Generator())
        rates = [module.p for module in trained.modules() if hasattr(module, "p")]
        assert rates == ([0.2] if part.layer.keeps_shape else [])
