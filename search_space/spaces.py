"""The named spaces, and the way to a user's own: a JSON or YAML file of the same shape as `Space`."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from search_space.catalog import architecture
from search_space.choices import BlockChoice, StageChoices
from search_space.files import parse_json, parse_yaml, read_text, unknown_name
from search_space.space import Space
from search_space.spec import ArchSpec, HeadSpec, StageSpec, StemSpec

__all__ = ["SPACES", "load_space"]

_PARSERS = {".json": parse_json, ".yaml": parse_yaml, ".yml": parse_yaml}


def _efficientnetv2() -> Space:
    """The space of EfficientNetV2's search (arXiv 2104.00298, section 3.3), at S's widths.

    Given by the paper: MBConv or Fused-MBConv, kernel 3 or 5, expansion 1, 4 or 6, layers; widths are not searched;
    candidates of about the size of EfficientNet-B4. Chosen here, where the paper is silent:

    * Layers: half, once, one and a half times and twice those of EfficientNet-B0, times B4's 1.8, rounded up each
      time. So both B4's depths (2, 4, 4, 6, 6, 8, 2) and S's (2, 4, 4, 6, 9, 15, 0) are in; stage 7 may vanish.
    * Widths: those of S; 448 in stage 7, as in B4. B4's own widths would leave S out. Before rounding they are 1.4
      times 16, 32, 48, 96, 112, 192, 320, and the depths 1.8 times so many layers; a family is scaled from these.
    * SE 0.25 in every MBConv, none in Fused-MBConv, as in S.
    * 224 px: a step there costs what the mean step of S's progressive schedule from 128 to 300 px does.
    """
    blocks = (BlockChoice(op="mbconv", se_ratio=0.25), BlockChoice(op="fused_mbconv", se_ratio=0.0))

    def stage(
        width: int, base_width: int, depth: tuple[int, ...], base_depth: tuple[int, ...], stride: int
    ) -> StageChoices:
        return StageChoices(
            op=blocks,
            kernel=(3, 5),
            expansion=(1, 4, 6),
            width=(width,),
            unrounded_width=(round(1.4 * base_width, 1),),
            depth=depth,
            unrounded_depth=tuple(round(1.8 * layers, 1) for layers in base_depth),
            stride=stride,
        )

    return Space(
        name="efficientnetv2",
        stem=StemSpec(width=24),
        stages=(
            stage(24, 16, (2, 4), (1, 2), 1),
            stage(48, 32, (2, 4, 6, 8), (1, 2, 3, 4), 2),
            stage(64, 48, (2, 4, 6, 8), (1, 2, 3, 4), 2),
            stage(128, 96, (4, 6, 9, 11), (2, 3, 5, 6), 2),
            stage(160, 112, (4, 6, 9, 11), (2, 3, 5, 6), 1),
            stage(256, 192, (4, 8, 11, 15), (2, 4, 6, 8), 2),
            stage(448, 320, (0, 2, 4), (0, 1, 2), 1),
        ),
        head=HeadSpec(width=1280),
        image_size=224,
        batch_size=32,
        reference=architecture("efficientnetv2_s"),
    )


def _efficientnetv2_tiny() -> Space:
    """The same idea for images of 32 to 128 px and a laptop: every network has from 11 thousand to 939 thousand
    parameters (10 classes).

    The stem halves the resolution, which a short training on a CPU needs even at 32 px. SE is a choice of its own;
    Fused-MBConv has kernel 3 only (a dense 5x5 has 2.8 times its weights); the last stage, at 2x2 px for 32 px
    images, may vanish. The reference is S in miniature.
    """
    stem, head = StemSpec(width=16), HeadSpec(width=128, num_classes=10)
    blocks = (BlockChoice(op="mbconv"), BlockChoice(op="fused_mbconv", kernel=3))

    def stage(width: int, depth: tuple[int, ...], stride: int) -> StageChoices:
        lists = {"kernel": (3, 5), "expansion": (1, 4, 6)}
        return StageChoices(op=blocks, **lists, se_ratio=(0.0, 0.25), width=(width,), depth=depth, stride=stride)

    return Space(
        name="efficientnetv2-tiny",
        stem=stem,
        stages=(
            stage(16, (1, 2), 1),
            stage(24, (1, 2, 3), 2),
            stage(32, (1, 2, 3), 2),
            stage(40, (1, 2, 3), 1),
            stage(64, (0, 1, 2), 2),
        ),
        head=head,
        image_size=32,
        batch_size=64,
        reference=ArchSpec(
            stem=stem,
            stages=(
                StageSpec(op="fused_mbconv", kernel=3, expansion=1, width=16, depth=1, stride=1),
                StageSpec(op="fused_mbconv", kernel=3, expansion=4, width=24, depth=2, stride=2),
                StageSpec(op="fused_mbconv", kernel=3, expansion=4, width=32, depth=2, stride=2),
                StageSpec(op="mbconv", kernel=3, expansion=4, width=40, depth=2, stride=1, se_ratio=0.25),
                StageSpec(op="mbconv", kernel=3, expansion=6, width=64, depth=1, stride=2, se_ratio=0.25),
            ),
            head=head,
        ),
    )


def _nas_bench_macro() -> Space:
    """NAS-Bench-Macro (arXiv 2103.11922): 3^8 descriptions on CIFAR-10, of which 3,969 are different networks.

    Eight searched layers in three groups; the first of a group doubles the width and halves the resolution, and an
    identity there is a 1x1 convolution. Digit d of the benchmark's `arch` is index d of the layer's `op`.
    """
    blocks = (
        BlockChoice(op="identity"),
        BlockChoice(op="mbconv", kernel=3, expansion=3, se_ratio=0.0),
        BlockChoice(op="mbconv", kernel=5, expansion=6, se_ratio=0.0),
    )
    groups = ((64, 2), (128, 3), (256, 3))
    return Space(
        name="nas-bench-macro",
        stem=StemSpec(width=32, stride=1),
        stages=tuple(
            StageChoices(op=blocks, width=(width,), depth=(1,), stride=2 if layer == 0 else 1)
            for width, num_layers in groups
            for layer in range(num_layers)
        ),
        head=HeadSpec(width=1280, num_classes=10),
        image_size=32,
        batch_size=256,
        activation="relu",
        norm_eps=1e-5,
    )


def _accel_nasbench() -> Space:
    """Accel-NASBench (arXiv 2404.08005): the MnasNet-like space on ImageNet, at EfficientNet-B0's widths and strides.

    The reference is EfficientNet-B0, which is in it. The batch size is chosen here.
    """

    def stage(width: int, max_depth: int, stride: int) -> StageChoices:
        return StageChoices(
            op=("mbconv",),
            kernel=(3, 5),
            expansion=(1, 4, 6),
            se_ratio=(0.0, 0.25),
            depth=tuple(range(1, max_depth + 1)),
            width=(width,),
            stride=stride,
        )

    return Space(
        name="accel-nasbench",
        stem=StemSpec(width=32),
        stages=(
            stage(16, 3, 1),
            stage(24, 3, 2),
            stage(40, 3, 2),
            stage(80, 3, 2),
            stage(112, 3, 1),
            stage(192, 4, 2),
            stage(320, 3, 1),
        ),
        head=HeadSpec(width=1280),
        image_size=224,
        batch_size=32,
        reference=architecture("efficientnet_b0"),
    )


_NAMED: dict[str, Callable[[], Space]] = {
    "efficientnetv2": _efficientnetv2,
    "efficientnetv2-tiny": _efficientnetv2_tiny,
    "nas-bench-macro": _nas_bench_macro,
    "accel-nasbench": _accel_nasbench,
}

SPACES: tuple[str, ...] = tuple(_NAMED)
"""The names of the spaces that come with the project."""


@lru_cache(maxsize=len(_NAMED))
def _named(name: str) -> Space:
    return _NAMED[name]()


def load_space(name_or_path: str | Path) -> Space:
    """A named space, or the one in a file that ends in .json, .yaml or .yml.

    Raises:
        ValueError: for an unknown name (the nearest is suggested), or a file that cannot be read or breaks a rule;
            each line names the file, in YAML the line, the field, the rule and the value.
    """
    if str(name_or_path) in _NAMED:
        return _named(str(name_or_path))
    path = Path(name_or_path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ValueError(
            f"{unknown_name('space', str(name_or_path), SPACES)} (a file of your own must end in .json, .yaml or .yml)"
        )
    text = read_text(path)
    try:
        return parse(Space, text)
    except ValueError as error:
        raise ValueError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
