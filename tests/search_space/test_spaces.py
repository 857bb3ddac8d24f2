"""The named spaces, against what others published, and the way to a user's own file."""

import csv
import gzip
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

import search_space
from search_space import SPACES, ArchSpec, Space, architecture, load_space
from search_space.ops import output_size


def rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)


@pytest.mark.parametrize("name", SPACES)
def test_a_named_space_holds_its_reference_and_its_samples(name: str) -> None:
    space, rng = load_space(name), random.Random(0)
    assert space.name == name
    assert space.reference in space
    for _ in range(20):
        arch = space.sample(rng)
        assert space.encode(arch.canonical()) == space.encode(arch)


@pytest.mark.parametrize(
    ("name", "num_encodings", "size"),
    [
        ("efficientnetv2", 220_150_628_352, 152_882_380_800),
        ("efficientnetv2-tiny", 1_289_945_088, 209_742_048),
        ("nas-bench-macro", 3**8, 3969),
        ("accel-nasbench", 12**7 * 3**6 * 4, 12**7 * 3**6 * 4),
    ],
)
def test_how_many_networks(name: str, num_encodings: int, size: int) -> None:
    space = load_space(name)
    assert (space.num_encodings, space.size()) == (num_encodings, size)


def test_all_of_nas_bench_macro_is_counted_right() -> None:
    space = load_space("nas-bench-macro")
    networks = {space.decode(digits).canonical() for digits in product(range(3), repeat=8)}
    assert len(networks) == space.size()


# Of the benchmark's published table: arch, params, flops.
MACRO = (
    ("00000000", 387_882, 7_713_280),
    ("01201202", 1_711_210, 52_904_448),
    ("11111111", 1_588_874, 53_246_464),
    ("20012210", 1_420_650, 53_801_472),
    ("22222222", 2_932_586, 105_660_928),
)


@pytest.mark.parametrize(("digits", "params", "macs"), MACRO)
def test_nas_bench_macro_has_the_published_costs(digits: str, params: int, macs: int) -> None:
    assert load_space("nas-bench-macro").decode([int(digit) for digit in digits]).cost(32) == (params, macs)


def test_the_whole_table_of_nas_bench_macro(shared_data: Path) -> None:
    space, seen = load_space("nas-bench-macro"), 0
    for row in rows(shared_data / "tables" / "nas_bench_macro_cifar10.csv.gz"):
        cost = space.decode([int(digit) for digit in row["arch"]]).cost(32)
        assert cost == (int(row["params"]), int(row["flops"])), row["arch"]
        seen += 1
    assert seen == 6561


def accel_macs(arch: ArchSpec) -> int:
    """MACs by the convention of Accel-NASBench's table: convolutions and linear layers, 4 for each value that a batch
    norm gives, and for each pooled channel its pixels and 1."""
    size = output_size(224, arch.stem.stride)
    normed, pooled = arch.stem.width * size**2, 0
    for layer in arch.layers:
        hidden, out_size = layer.in_channels * layer.expansion, output_size(size, layer.stride)
        normed += (hidden * size**2 if layer.expansion > 1 else 0) + (hidden + layer.width) * out_size**2
        pooled += hidden * (out_size**2 + 1) if layer.se_ratio else 0
        size = out_size
    normed += arch.head.width * size**2
    pooled += arch.head.width * (size**2 + 1)
    return arch.macs(224) + 4 * normed + pooled


def accel_arch(space: Space, blocks: list[tuple[int, int, int, bool]]) -> ArchSpec:
    """`blocks`: (expansion, kernel, layers, SE) of each stage."""
    indices = []
    for expansion, kernel, layers, squeeze in blocks:
        indices += [(3, 5).index(kernel), (1, 4, 6).index(expansion), int(squeeze), layers - 1]
    return space.decode(indices)


# Of the benchmark's published table: block0 to block6 as expansion, kernel, layers, s where SE; params (M), macs (M).
ACCEL = (
    ("631 452 633 653 652 132 132", 2.50116, 415.361),
    ("631 153 632 631 432 651 452", 3.44436, 372.733),
    ("453 431 131 152 631 453 432", 3.8534, 426.06),
    ("131 433 431 653s 151s 653s 151", 3.50014, 248.626),
    ("152s 653 453s 133s 431 454s 153s", 3.63382, 314.5),
)


@pytest.mark.parametrize(("blocks", "params", "macs"), ACCEL)
def test_accel_nasbench_has_the_published_costs(blocks: str, params: float, macs: float) -> None:
    digits = [(int(block[0]), int(block[1]), int(block[2]), block.endswith("s")) for block in blocks.split()]
    arch = accel_arch(load_space("accel-nasbench"), digits)
    assert f"{arch.params / 1e6:.6g}" == f"{params:.6g}"
    assert f"{accel_macs(arch) / 1e6:.6g}" == f"{macs:.6g}"


def test_the_whole_table_of_accel_nasbench(shared_data: Path) -> None:
    space, seen = load_space("accel-nasbench"), 0
    for row in rows(shared_data / "tables" / "accel_nasbench.csv.gz"):
        column = [[row[f"block{stage}_{field}"] for field in ("e", "k", "l", "se")] for stage in range(7)]
        arch = accel_arch(space, [(int(e), int(k), int(n), se == "True") for e, k, n, se in column])
        printed = (f"{arch.params / 1e6:.6g}", f"{accel_macs(arch) / 1e6:.6g}")
        assert printed == (f"{float(row['params']):.6g}", f"{float(row['macs']):.6g}"), row["id"]
        seen += 1
    assert seen == 5138


def test_efficientnetv2_holds_published_s_and_the_depths_of_b4() -> None:
    space = load_space("efficientnetv2")
    assert space.reference == architecture("efficientnetv2_s")
    b0, b4 = architecture("efficientnet_b0"), architecture("efficientnet_b4")
    s_depths = (2, 4, 4, 6, 9, 15, 0)
    for stage, s_depth, b4_stage, b0_stage in zip(space.stages, s_depths, b4.stages, b0.stages, strict=True):
        assert {s_depth, b4_stage.depth} <= set(stage.depth)
        base_scale = {math.ceil(share * b0_stage.depth) for share in (0.5, 1, 1.5, 2)}
        assert {depth for depth in stage.depth if depth} == {math.ceil(1.8 * depth) for depth in base_scale}


def test_every_tiny_network_is_tiny() -> None:
    """Widths are fixed, so stages add up: the largest network has the largest choice of each stage."""
    space = load_space("efficientnetv2-tiny")
    lowest = [0] * len(space.decisions)
    base = space.decode(lowest).params
    smallest = largest = base
    start = 0
    for stage in space.stages:
        sizes = []
        for index in range(math.prod(len(values) for values in stage.decisions.values())):
            indices, rest = list(lowest), index
            for place, values in enumerate(stage.decisions.values(), start=start):
                rest, indices[place] = divmod(rest, len(values))
            sizes.append(space.decode(indices).params - base)
        smallest, largest, start = smallest + min(sizes), largest + max(sizes), start + len(stage.decisions)
    assert (smallest, largest) == (11_010, 938_846)


def test_tiny_keeps_two_by_two_pixels_at_32() -> None:
    space, rng = load_space("efficientnetv2-tiny"), random.Random(0)
    for _ in range(50):
        arch = space.sample(rng)
        assert 32 // math.prod([arch.stem.stride, *(stage.stride for stage in arch.stages)]) in (2, 4)


def test_load_space_reads_a_file(tmp_path: Path) -> None:
    space = load_space("efficientnetv2-tiny")
    for name in ("own.json", "own.yaml", "own.YML"):
        (tmp_path / name).write_text(space.to_json())
        assert load_space(tmp_path / name) == load_space(str(tmp_path / name)) == space


def test_load_space_names_file_line_field_and_rule(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nstem:\n  width: 0\nimage_siz: 32\n")
    with pytest.raises(ValueError, match=r"\n") as caught:
        load_space(tmp_path / "own.yaml")
    file = tmp_path / "own.yaml"
    lines = str(caught.value).splitlines()
    assert f"{file}: line 3: stem: StemSpec.width must be an integer from 1 to 65536, got 0" in lines
    assert f"{file}: line 4: image_siz: unknown field, did you mean 'image_size'?" in lines
    with pytest.raises(ValueError, match=r"gone.json: No such file or directory"):
        load_space(tmp_path / "gone.json")


def test_load_space_suggests_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"unknown space 'efficientnetv2tiny': did you mean 'efficientnetv2-tiny'\?"):
        load_space("efficientnetv2tiny")
    with pytest.raises(ValueError, match=r"known are \['accel-nasbench', .* must end in .json, .yaml or .yml\)"):
        load_space("mine.txt")


def test_importing_the_room_leaves_torch_out() -> None:
    script = (
        "import sys, search_space as s; s.load_space('efficientnetv2').size(); s.architecture('efficientnetv2_s').key;"
        "print(sorted({'torch', 'torchvision', 'timm', 'pydantic', 'yaml', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_door_opens_to_every_name() -> None:
    for name in search_space.__all__:
        assert getattr(search_space, name) is not None
    with pytest.raises(AttributeError, match=r"module 'search_space' has no attribute 'nothing'"):
        _ = search_space.nothing  # type: ignore[attr-defined]
