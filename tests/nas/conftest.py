"""What the tests of all that runs share: small networks, a small space, and digits that are made ready once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_space import ArchSpec, HeadSpec, Space, StageChoices, StageSpec, StemSpec


@pytest.fixture(scope="session")
def tiny_arch() -> ArchSpec:
    """A network of 8x8 images that has every kind of parameter: convolutions, norms, SE's biases, a classifier."""
    return ArchSpec(
        stem=StemSpec(width=8, stride=1),
        stages=(StageSpec(op="mbconv", width=16, depth=1, stride=2, expansion=2, se_ratio=0.25),),
        head=HeadSpec(width=16, num_classes=10),
    )


@pytest.fixture(scope="session")
def other_arch(tiny_arch: ArchSpec) -> ArchSpec:
    """A smaller one."""
    return ArchSpec(
        stem=tiny_arch.stem,
        stages=(StageSpec(op="fused_mbconv", width=8, depth=1, stride=2),),
        head=HeadSpec(width=0, num_classes=10),
    )


@pytest.fixture(scope="session")
def small_space() -> Space:
    """A space of 144 networks."""
    stages = tuple(
        StageChoices(
            op=("mbconv", "fused_mbconv"), kernel=(3, 5), expansion=(1, 2, 4), width=(width,), depth=(1,), stride=2
        )
        for width in (8, 16)
    )
    return Space(
        name="small",
        stem=StemSpec(width=8, stride=1),
        stages=stages,
        head=HeadSpec(width=0, num_classes=10),
        image_size=8,
        batch_size=16,
    )


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole session: the digits are decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def one_thread() -> None:
    """torch computes on one thread."""
    import torch

    torch.set_num_threads(1)


def _ended(job: Any, digits_cache: Path, folder: Path) -> Path:
    from nas.train import train_full

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(digits_cache))
        train_full(job, folder)
    return folder


@pytest.fixture(scope="session")
def finished_run(tiny_arch: ArchSpec, digits_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of 60 steps that has ended, on digits of 8 pixels, with several checkpoints. Tests that
    change it do so to a copy."""
    from nas.train import FullOptions, TrainLength

    job = _job_on_digits(tiny_arch, dropout=0.1, options=FullOptions.of("sgd", min_crop_area=0.5))
    job = replace(job, length=TrainLength(steps=60))
    return _ended(job, digits_cache, tmp_path_factory.mktemp("finished") / "finished")


@pytest.fixture(scope="session")
def supernet_job(small_space: Space) -> Any:
    """A supernet of the small space, 42 steps on digits of 8 pixels: two epochs."""
    from nas.train import FullOptions

    options = FullOptions.of("sgd", lr=0.8, min_crop_area=1.0, ema_decay=0.9)
    return _job_on_digits(small_space.reference, dropout=0.0, options=options, space=small_space, seed=3)


@pytest.fixture(scope="session")
def finished_supernet(supernet_job: Any, digits_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its training, which has ended. Tests that change it do so to a copy."""
    return _ended(supernet_job, digits_cache, tmp_path_factory.mktemp("supernets") / "plain")


def _job_on_digits(arch: ArchSpec, *, dropout: float, **fields: Any) -> Any:
    from nas.data import DataConfig
    from nas.device import Compute
    from nas.train import TrainJob, TrainLength
    from scaling import ProgressiveRecipe, Ramp, SizeRamp

    none = Ramp(0, 0)
    recipe = ProgressiveRecipe(
        train_size=SizeRamp(8, 8),
        eval_size=8,
        randaugment=none,
        mixup=none,
        cutmix=none,
        dropout=Ramp(dropout, dropout),
        stochastic_depth=0.0,
        batch_size=64,
        epochs=3,
        phases=1,
    )
    data, length = DataConfig(data="digits", image_size=8), TrainLength(steps=42)
    return TrainJob(arch=arch, recipe=recipe, data=data, length=length, compute=Compute(), **fields)
