"""Places and banks, against brute force over every network of small random spaces."""

import random
from collections import defaultdict
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_space import SPACES, ArchSpec, BlockSpec, HeadSpec, Space, StageChoices, StemSpec, load_space
from supernet.banks import Bank, banks_of, places_of

fast = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def all_indices(space: Space) -> list[tuple[int, ...]]:
    return list(product(*(range(len(decision.values)) for decision in space.decisions)))


def largest_of(layers: list[BlockSpec]) -> dict[str, object]:
    """Field by field; one channel wider where that would be a layer without weights."""
    largest = BlockSpec(*(max(getattr(layer, name) for layer in layers) for name in BlockSpec._fields))
    return (largest._replace(width=largest.width + 1) if largest.is_nothing else largest)._asdict()


def check_places(space: Space, arch: ArchSpec, banks: dict[Bank, BlockSpec], heads: dict[int, int]) -> None:
    places, stream = places_of(space, arch)
    assert [place.layer for place in places] == [layer for layer in arch.layers if not layer.is_nothing]
    assert len({place.bank for place in places}) == len(places)
    assert places_of(space, arch.canonical()) == (places, stream)
    for bank, layer in places:
        large = banks[bank]
        assert (layer.op, layer.stride, layer.expansion > 1) == (large.op, large.stride, bank.expands)
        assert largest_of([layer, large]) == large._asdict()
    assert heads[stream] >= arch.stages[-1].width


@fast
@given(data=st.data())
def test_every_network_of_a_random_space_fits_its_banks(spaces: st.SearchStrategy[Space], data: st.DataObject) -> None:
    space = data.draw(spaces)
    banks, heads = banks_of(space)
    assert len(set(map(str, banks))) == len(banks)
    rng = data.draw(st.randoms(use_true_random=False))
    for indices in rng.sample(all_indices(space), k=min(20, space.num_encodings)):
        check_places(space, space.decode(indices), banks, heads)


@fast
@given(data=st.data())
def test_a_bank_is_its_largest_layer_and_no_larger(spaces: st.SearchStrategy[Space], data: st.DataObject) -> None:
    space = data.draw(spaces)
    networks = {space.chosen(indices): space.decode(indices) for indices in all_indices(space)}
    layers: defaultdict[Bank, list[BlockSpec]] = defaultdict(list)
    widths: defaultdict[int, list[int]] = defaultdict(list)
    for arch in networks.values():
        places, stream = places_of(space, arch)
        for bank, layer in places:
            layers[bank].append(layer)
        widths[stream].append(arch.stages[-1].width)
    banks, heads = banks_of(space)
    found = {bank: largest_of(of_bank) for bank, of_bank in layers.items()}
    if len(networks) == space.size():
        assert found == {bank: layer._asdict() for bank, layer in banks.items()}
        assert {stream: max(of_stream) for stream, of_stream in widths.items()} == heads
    else:  # of several descriptions of one network only one is met
        assert found.keys() <= banks.keys()
        assert widths.keys() <= heads.keys()


@pytest.mark.parametrize("name", SPACES)
def test_networks_of_the_named_spaces_fit_their_banks(name: str) -> None:
    space, rng = load_space(name), random.Random(0)
    banks, heads = banks_of(space)
    for arch in (space.reference, *(space.sample(rng) for _ in range(25))):
        check_places(space, arch, banks, heads)


def test_what_has_a_bank_of_its_own() -> None:
    """Stage, position, op, expansion 1 and the stream that arrives; kernels, expansions above 1, SE and widths have
    not."""
    space = Space(
        name="test",
        stem=StemSpec(width=8),
        stages=(
            StageChoices(op=("conv", "mbconv"), kernel=(3, 5), expansion=(1, 2, 4), width=(8,), depth=(1, 2)),
            StageChoices(op=("mbconv",), se_ratio=(0, 0.25), width=(12, 16), depth=(0, 1), stride=2),
            StageChoices(op=("identity", "fused_mbconv"), width=(16,), depth=(2,)),
        ),
        head=HeadSpec(width=0, num_classes=10),
        image_size=32,
        batch_size=8,
    )
    banks, heads = banks_of(space)
    assert {str(bank): layer for bank, layer in banks.items()} == {
        "stage1_0_conv_plain_from0": BlockSpec("conv", 8, 8, 5, 1, 1, 0.0),
        "stage1_0_mbconv_plain_from0": BlockSpec("mbconv", 8, 8, 5, 1, 1, 0.0),
        "stage1_0_mbconv_expanded_from0": BlockSpec("mbconv", 8, 8, 5, 4, 1, 0.0),
        "stage1_1_conv_plain_from0": BlockSpec("conv", 8, 8, 5, 1, 1, 0.0),
        "stage1_1_mbconv_plain_from0": BlockSpec("mbconv", 8, 8, 5, 1, 1, 0.0),
        "stage1_1_mbconv_expanded_from0": BlockSpec("mbconv", 8, 8, 5, 4, 1, 0.0),
        "stage2_0_mbconv_plain_from0": BlockSpec("mbconv", 8, 16, 3, 1, 2, 0.25),
        # Behind stage 2 at 16 channels the shape stays, and an identity is nothing: the head can meet its stream.
        "stage3_0_identity_plain_from0": BlockSpec("identity", 8, 16, 1, 1, 1, 0.0),
        "stage3_0_identity_plain_from2": BlockSpec("identity", 12, 16, 1, 1, 1, 0.0),
        "stage3_0_fused_mbconv_plain_from0": BlockSpec("fused_mbconv", 8, 16, 3, 1, 1, 0.0),
        "stage3_0_fused_mbconv_plain_from2": BlockSpec("fused_mbconv", 16, 16, 3, 1, 1, 0.0),
        "stage3_1_fused_mbconv_plain_from2": BlockSpec("fused_mbconv", 16, 16, 3, 1, 1, 0.0),
        "stage3_1_fused_mbconv_plain_from3": BlockSpec("fused_mbconv", 16, 16, 3, 1, 1, 0.0),
    }
    assert heads == {2: 16, 3: 16}


def test_a_network_that_is_not_in_the_space_has_no_places() -> None:
    space = load_space("nas-bench-macro")
    with pytest.raises(ValueError, match=r"not in space nas-bench-macro: head must be .* got .*num_classes=11"):
        places_of(space, space.reference.with_num_classes(11))
