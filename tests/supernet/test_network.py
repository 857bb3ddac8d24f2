"""A supernet computes what each of its networks does, and keeps nothing of it."""

import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from search_space import SPACES, ArchSpec, HeadSpec, Network, Space, StageChoices, StemSpec, build_network, load_space
from supernet import Supernet, extract

Fill = Callable[..., Supernet]

few = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
seeds = st.integers(0, 2**32)


def images_of(seed: int, *, number: int = 4, size: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def two_of(space: Space, seed: int) -> tuple[ArchSpec, ArchSpec]:
    rng = random.Random(seed)
    return space.sample(rng), space.sample(rng)


def statistics_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.named_buffers()}


def parts_of(supernet: Supernet, arch: ArchSpec) -> dict[str, tuple[int, ...]]:
    """Where each tensor of a network lies in the supernet."""
    return {name: (part.data_ptr(), *part.shape, *part.stride()) for name, part in supernet.weights(arch).items()}


def check_network(supernet: Supernet, arch: ArchSpec, images: Tensor, tolerance: float) -> Network:
    """In evaluation and in training, logits and what becomes of the statistics."""
    network = extract(supernet.eval(), arch)
    assert not any(module.training for module in network.modules())
    assert sum(weight.numel() for weight in network.parameters()) == arch.params
    built = {name: tensor.shape for name, tensor in build_network(arch).state_dict().items()}
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == built
    with torch.no_grad():
        torch.testing.assert_close(supernet(images, arch), network(images), rtol=tolerance, atol=tolerance)
        network = extract(supernet.train(), arch)
        assert all(module.training for module in network.modules())
        torch.testing.assert_close(supernet(images, arch), network(images), rtol=tolerance, atol=tolerance)
    parts = {name: supernet.weights(arch)[name] for name, _ in network.named_buffers()}
    torch.testing.assert_close(parts, statistics_of(network), rtol=tolerance, atol=tolerance)
    return network


@pytest.mark.parametrize("name", SPACES)
def test_a_network_of_a_named_space_is_extracted_with_its_logits(named: dict[str, Supernet], name: str) -> None:
    supernet, rng = deepcopy(named[name]), random.Random(0)
    for arch in (supernet.space.reference, *(supernet.space.sample(rng) for _ in range(3))):
        check_network(supernet, arch, images_of(1, size=32), 1e-5)


@few
@given(data=st.data(), seed=seeds, size=st.integers(1, 20))
def test_a_network_of_a_random_space_is_extracted_with_its_logits(
    spaces: st.SearchStrategy[Space], filled: Fill, data: st.DataObject, seed: int, size: int
) -> None:
    supernet = filled(data.draw(spaces), seed).double()
    images = images_of(seed, size=size, dtype=torch.float64)
    for arch in two_of(supernet.space, seed):
        check_network(supernet, arch, images, 1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_params_and_shapes_of_the_named_spaces(hollow: dict[str, Supernet], name: str) -> None:
    supernet, rng = hollow[name], random.Random(1)
    for _ in range(5):
        arch = supernet.space.sample(rng)
        network = extract(supernet, arch)
        assert sum(weight.numel() for weight in network.parameters()) == arch.params
        with torch.device("meta"):
            built = build_network(arch).state_dict()
        assert {name: part.shape for name, part in supernet.weights(arch).items()} == {
            name: tensor.shape for name, tensor in built.items()
        }


@pytest.mark.parametrize(
    ("name", "banks", "params"),
    [
        ("efficientnetv2", 244, 423_385_300),
        ("efficientnetv2-tiny", 52, 1_432_740),
        ("nas-bench-macro", 11, 2_976_490),
        ("accel-nasbench", 44, 9_325_744),
    ],
)
def test_what_the_named_supernets_weigh(hollow: dict[str, Supernet], name: str, banks: int, params: int) -> None:
    """The table of docs/decisions/0013."""
    assert len(hollow[name].banks) == banks
    assert sum(weight.numel() for weight in hollow[name].parameters()) == params


@few
@given(data=st.data(), seed=seeds)
def test_gradients_are_the_networks_own_and_reach_nothing_else(
    spaces: st.SearchStrategy[Space], filled: Fill, data: st.DataObject, seed: int
) -> None:
    """Of two networks, whose losses are one sum, as a sandwich's may be."""
    supernet = filled(data.draw(spaces), seed).double().train()
    images, labels = images_of(seed, dtype=torch.float64), torch.arange(4)
    archs = two_of(supernet.space, seed)
    networks = [extract(supernet, arch) for arch in archs]
    wanted = deepcopy(supernet)
    for weight in wanted.parameters():
        weight.grad = torch.zeros_like(weight)
    for arch, network in zip(archs, networks, strict=True):
        F.cross_entropy(network(images), labels).backward()
        # Where a network's weights lie: the supernet of gradients, cut as the supernet of weights.
        gradients = deepcopy(wanted)
        for mine, theirs in zip(gradients.parameters(), wanted.parameters(), strict=True):
            assert theirs.grad is not None
            mine.data = theirs.grad
        parts = gradients.weights(arch)
        for name, weight in network.named_parameters():
            parts[name].detach().add_(weight.grad)
    torch.stack([F.cross_entropy(supernet(images, arch), labels) for arch in archs]).sum().backward()
    used = {part.untyped_storage().data_ptr() for arch in archs for part in supernet.weights(arch).values()}
    for (name, weight), theirs in zip(supernet.named_parameters(), wanted.parameters(), strict=True):
        assert (weight.grad is not None) == (weight.untyped_storage().data_ptr() in used), name
        if weight.grad is not None:
            torch.testing.assert_close(weight.grad, theirs.grad, rtol=1e-9, atol=1e-9)


def test_statistics_change_where_the_network_has_its_channels_and_nowhere_else(tiny: Supernet) -> None:
    supernet, arch = deepcopy(tiny).train(), tiny.space.reference
    used = deepcopy(supernet)
    with torch.no_grad():
        for name, part in used.weights(arch).items():
            part.fill_(-1 if "num_batches" in name else float("nan"))
    before = statistics_of(supernet)
    with torch.no_grad():
        supernet(images_of(0), arch)
    marks = dict(used.named_buffers())
    for name, now in supernet.named_buffers():
        changed = now != before[name]
        assert torch.equal(changed, marks[name].isnan() | (marks[name] == -1)), name
    counts = {int(count) for name, count in supernet.named_buffers() if "num_batches" in name}
    assert counts == {0, 1}


def test_evaluation_changes_nothing(tiny: Supernet) -> None:
    supernet = deepcopy(tiny).eval()
    before = deepcopy(supernet.state_dict())
    supernet(images_of(0), supernet.space.reference).sum().backward()
    torch.testing.assert_close(supernet.state_dict(), before, rtol=0, atol=0)


def test_an_identity_that_narrows_and_one_that_widens_share_a_bank() -> None:
    """As large as both it would be 6 to 6 channels, and have no weights at all."""
    identity = StageChoices(op=("identity",), width=(4, 6), depth=(1,), stride=2)
    space = Space(
        name="identities",
        stem=StemSpec(width=4),
        stages=(identity, replace(identity, stride=1)),
        head=HeadSpec(width=0, num_classes=5),
        image_size=16,
        batch_size=8,
    )
    supernet = Supernet(space, generator=torch.Generator().manual_seed(0))
    for arch in {space.decode(indices) for indices in itertools.product(range(2), repeat=2)}:
        check_network(supernet, arch, images_of(0), 1e-5)


@few
@given(data=st.data(), seed=seeds)
def test_two_descriptions_of_one_network_share_every_weight(
    spaces: st.SearchStrategy[Space], data: st.DataObject, seed: int
) -> None:
    supernet = Supernet(data.draw(spaces))
    for arch in two_of(supernet.space, seed):
        # A stage's name may differ; the order may not.
        assert list(parts_of(supernet, arch).values()) == list(parts_of(supernet, arch.canonical()).values())


def changed(arch: ArchSpec, stage: int, **change: object) -> ArchSpec:
    stages = list(arch.stages)
    stages[stage - 1] = replace(stages[stage - 1], **change)  # type: ignore[arg-type]
    return replace(arch, stages=tuple(stages))


def storages(supernet: Supernet, arch: ArchSpec) -> dict[str, int]:
    return {name: part.untyped_storage().data_ptr() for name, part in supernet.weights(arch).items()}


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"kernel": 5}, True),
        ({"expansion": 6}, True),
        ({"se_ratio": 0.0}, True),
        ({"depth": 3}, True),
        ({"expansion": 1}, False),
        ({"op": "fused_mbconv"}, False),
    ],
)
def test_what_networks_that_differ_in_one_stage_share(tiny: Supernet, change: dict[str, object], shared: bool) -> None:
    """Stage 4 of the reference is two layers of mbconv, kernel 3, expansion 4, SE 0.25."""
    one = tiny.space.reference
    mine, theirs = storages(tiny, one), storages(tiny, changed(one, 4, **change))
    common = mine.keys() & theirs.keys()
    of_stage = {name for name in common if name.startswith("stages.3.")}
    assert of_stage
    assert {name for name in common if mine[name] == theirs[name]} == (common if shared else common - of_stage)
    assert len(set(mine.values())) == len(mine)


def test_a_smaller_kernel_is_the_centre_of_a_larger_and_fewer_channels_are_the_first(tiny: Supernet) -> None:
    small = tiny.space.reference
    large = changed(changed(small, 4, kernel=5, expansion=6), 5, expansion=6)
    mine, theirs = tiny.weights(small), tiny.weights(large)
    name = "stages.3.0.depthwise.conv.weight"
    assert torch.equal(mine[name], theirs[name][: 32 * 4, :, 1:4, 1:4])
    name = "stages.3.0.expand.conv.weight"
    assert torch.equal(mine[name], theirs[name][: 32 * 4])
    name = "stages.3.1.project.conv.weight"
    assert torch.equal(mine[name], theirs[name][:, : 40 * 4])


def test_behind_a_stage_that_vanished_layers_and_head_are_others(tiny: Supernet) -> None:
    deep = tiny.space.reference
    mine, theirs = storages(tiny, deep), storages(tiny, replace(deep, stages=deep.stages[:4]))
    same = {name for name in theirs if mine[name] == theirs[name]}
    assert same == {name for name in theirs if name.startswith(("stem", "stages"))}
    maybe = StageChoices(op=("conv",), width=(8,), depth=(0, 1), stride=2)
    space = Space(
        name="test",
        stem=StemSpec(width=8),
        stages=(maybe, StageChoices(op=("conv",), width=(8,), depth=(2,)), replace(maybe, width=(12,), depth=(1,))),
        head=HeadSpec(width=0, num_classes=10),
        image_size=32,
        batch_size=8,
    )
    supernet = Supernet(space)
    with_it, without = storages(supernet, space.decode([1])), storages(supernet, space.decode([0]))
    assert {name for name in without if without[name] in with_it.values()} == {
        name for name in without if name.startswith(("stem", "classifier"))
    }


@few
@given(data=st.data(), seed=seeds)
def test_nothing_of_a_call_stays_behind(
    spaces: st.SearchStrategy[Space], filled: Fill, data: st.DataObject, seed: int
) -> None:
    supernet, images = filled(data.draw(spaces), seed).eval(), images_of(seed)
    one, other = two_of(supernet.space, seed)
    with torch.no_grad():
        first = supernet(images, one)
        attributes, modes = set(vars(supernet)), {module.training for module in supernet.modules()}
        supernet(images, other)
        # Another supernet of the same space, in another mode.
        filled(supernet.space, seed + 1).train()(images, one)
        with pytest.raises(RuntimeError):
            supernet(images[:, :2], one)
        assert torch.equal(supernet(images, one), first)
    assert set(vars(supernet)) == attributes
    assert {module.training for module in supernet.modules()} == modes == {False}


def test_weights_go_through_a_file(tiny: Supernet, filled: Fill, tmp_path: Path) -> None:
    save_file(tiny.state_dict(), tmp_path / "supernet.safetensors")
    again = filled(tiny.space, seed=7).eval()
    again.load_state_dict(load_file(tmp_path / "supernet.safetensors"))
    arch, images = tiny.space.reference, images_of(0)
    assert torch.equal(again(images, arch), deepcopy(tiny).eval()(images, arch))


def test_copies_and_extracted_networks_have_weights_of_their_own(tiny: Supernet) -> None:
    supernet, arch, images = deepcopy(tiny).eval(), tiny.space.reference, images_of(0)
    before = supernet(images, arch)
    for other in (deepcopy(supernet), extract(supernet, arch)):
        with torch.no_grad():
            for tensor in other.state_dict().values():
                tensor.zero_()
        assert torch.equal(supernet(images, arch), before)


def test_an_extracted_network_trains_as_the_supernet_does(tiny: Supernet) -> None:
    supernet = Supernet(tiny.space, norm_momentum=0.25).double()
    torch.manual_seed(3)
    network = extract(supernet, tiny.space.reference)
    drawn = torch.rand(())
    assert torch.equal(drawn, torch.rand((), generator=torch.Generator().manual_seed(3)))
    assert {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {0.25}
    assert {weight.dtype for weight in network.parameters()} == {torch.float64}
    assert all(weight.requires_grad and weight.is_leaf for weight in network.parameters())


def test_weights_follow_from_the_generator(tiny: Supernet) -> None:
    one, same, other = (
        Supernet(tiny.space, generator=torch.Generator().manual_seed(seed)).state_dict() for seed in (0, 0, 1)
    )
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_channels_last_and_bfloat16_are_as_in_the_plain_network(tiny: Supernet) -> None:
    supernet, arch, images = deepcopy(tiny).eval(), tiny.space.reference, images_of(0, size=32)
    before, plain = supernet(images, arch), extract(supernet, arch)
    last = supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(last(images.to(memory_format=torch.channels_last), arch), before, rtol=1e-5, atol=1e-5)
    network = extract(last, arch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(network(images), before, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, wanted = last(images, arch), plain(images)
    assert logits.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(logits, wanted, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        last.train()(images, arch).float().sum().backward()
    assert last.stem.conv.weight.grad.dtype == torch.float32


def test_a_network_that_is_not_in_the_space_is_refused(tiny: Supernet) -> None:
    other = load_space("nas-bench-macro").reference
    for arch, message in (
        (other, r"the network is not in space efficientnetv2-tiny: stem must be .*16.*, got .*32"),
        (tiny.space.reference.with_num_classes(11), r"head must be .*num_classes=10\), got .*num_classes=11"),
        (changed(tiny.space.reference, 2, kernel=5), r"layer 2 of 8 fits no choice, got BlockSpec"),
    ):
        for refuses in (lambda arch=arch: tiny(images_of(0), arch), lambda arch=arch: extract(tiny, arch)):
            with pytest.raises(ValueError, match=message):
                refuses()


def test_it_computes_in_several_threads_at_once(tiny: Supernet) -> None:
    """The networks that are kept hold the weights while they compute."""
    supernet, arch = deepcopy(tiny).eval(), tiny.space.reference
    batches = [images_of(seed, size=32) for seed in range(4)]
    others = [extract(supernet, arch) for _ in batches]
    for other, shift in zip(others, range(4), strict=True):
        other.classifier.bias.data += shift
    supernets = [deepcopy(supernet) for _ in batches]
    for each, shift in zip(supernets, range(4), strict=True):
        for head in each.heads.values():
            head["classifier"].bias.data += shift  # type: ignore[index]

    def computed(number: int) -> Tensor:
        with torch.no_grad():
            return torch.stack([supernets[number](batches[number], arch) for _ in range(30)])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(computed, range(4)))
    for logits, images, other in zip(found, batches, others, strict=True):
        torch.testing.assert_close(logits, other(images).expand_as(logits), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 2.0, float("nan")])
def test_a_momentum_outside_its_range_is_refused_when_it_is_made(tiny: Supernet, value: float) -> None:
    with pytest.raises(ValueError, match=rf"norm_momentum must be .* above 0 and at most 1, got {value}"):
        Supernet(tiny.space, norm_momentum=value)


def test_a_bfloat16_supernet_in_training_is_extracted_as_it_is(tiny: Supernet) -> None:
    supernet, arch = deepcopy(tiny).to(torch.bfloat16).train(), tiny.space.reference
    network = extract(supernet, arch)
    assert network.training
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    images = images_of(0, size=32, dtype=torch.bfloat16)
    assert torch.equal(network(images), supernet(images, arch))
