"""A training's model, read from its folder: the finished one, or that of a checkpoint."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nas.text import printable
from nas.train.checkpoint import Checkpoints
from nas.train.feed import Feed
from nas.train.folder import ARCH, CHECKPOINTS
from nas.train.init import finite_floats, read_tensors, read_weights
from nas.train.job import CONFIG, MODEL, RESULT, TrainConfig, TrainResult, read_config, read_record, read_result
from nas.train.model_data import MODEL_DATA, ModelData
from results import RunError
from search_space import ArchSpec, Network, Space, build_network
from supernet import Supernet

__all__ = ["Checkpoint", "TrainedModel", "TrainedSupernet", "read_supernet", "read_trained"]

Checkpoint = Literal["best", "latest"] | int
"""The checkpoint with the best averaged weights on the held-out images, the last one, or that of a step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """Averaged weights of a training, and what they need.

    Args:
        folder: the training's.
        config: how it was trained.
        data: what goes in and what comes out.
        network: in evaluation mode, float32, on the CPU.
        step: of the checkpoint; None for the finished model.
        result: of the finished model; None for a checkpoint.
    """

    folder: Path
    config: TrainConfig
    data: ModelData
    network: Network
    step: int | None = None
    result: TrainResult | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedSupernet:
    """Averaged weights of a finished supernet, and what they need.

    Args:
        folder: the training's.
        config: how it was trained.
        data: what goes in and what comes out.
        space: for the data's classes.
        supernet: in evaluation mode, float32, on the CPU. Its batch norm statistics are of no network.
        sha256: of the file of its weights.
    """

    folder: Path
    config: TrainConfig
    data: ModelData
    space: Space
    supernet: Supernet
    sha256: str


def read_supernet(folder: Path) -> TrainedSupernet:
    """The supernet that was trained in `folder`.

    Raises:
        RunError: where there is another training, it has not ended, or a file is missing or damaged.
    """
    config = read_config(folder)
    space = config.job.space
    if space is None:
        raise RunError(f"{folder}: must hold a supernet, but holds one network")
    if read_result(folder) is None:
        raise RunError(f"{folder / RESULT}: is not there: the training has not ended")
    path = folder / MODEL
    tensors, sha256 = read_tensors(path)
    with torch.device("meta"):
        supernet = Supernet(space)
    try:
        _check_shapes(tensors, supernet.state_dict())
        supernet.load_state_dict(finite_floats(tensors), assign=True)
    except ValueError as error:
        raise RunError(f"{path}: must hold a supernet of space {printable(space.name)}: {error}") from None
    return TrainedSupernet(
        folder=folder,
        config=config,
        data=_data(folder, config),
        space=space,
        supernet=supernet.eval().requires_grad_(False),
        sha256=sha256,
    )


def _check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    for name in (*wanted, *tensors):
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if name not in wanted:
            raise ValueError(f"{name!r} has no place in it")
        if tensors[name].shape != wanted[name].shape:
            raise ValueError(f"{name} must have shape {tuple(wanted[name].shape)}, got {tuple(tensors[name].shape)}")


def read_trained(folder: Path, checkpoint: Checkpoint | None = None) -> TrainedModel:
    """The model of the training in `folder`; of a checkpoint where one is asked for, the finished one where not.

    Raises:
        RunError: where it has not ended, there is no such checkpoint, or a file is missing or damaged.
    """
    config = read_config(folder)
    job, step = config.job, None
    if job.space is not None:
        raise RunError(f"{folder}: must hold one network, but holds a supernet")
    result = read_result(folder) if checkpoint is None else None
    if checkpoint is not None:
        step = _step(Checkpoints(folder / CHECKPOINTS), checkpoint)
    elif result is None:
        raise RunError(
            f"{folder / RESULT}: is not there: the training has not ended; --checkpoint latest (or best) takes what "
            "there is of it"
        )
    _check_arch(folder, job.arch)
    path = folder / MODEL if step is None else Checkpoints(folder / CHECKPOINTS).path(step)
    weights = read_weights(path)
    network = build_network(job.arch).eval()
    try:
        tensors = weights.fit(job.arch)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
    if len(tensors["classifier.weight"]) != job.arch.head.num_classes:
        raise RunError(f"{path}: must have the network's {job.arch.head.num_classes} classes")
    network.load_state_dict(tensors)
    return TrainedModel(
        folder=folder, config=config, data=_data(folder, config), network=network, step=step, result=result
    )


def _check_arch(folder: Path, arch: ArchSpec) -> None:
    """Raise RunError where arch.json, for those who read it alone, tells of another network."""
    path = folder / ARCH
    if (path.exists() or path.is_symlink()) and read_record(ArchSpec, path) != arch:
        raise RunError(f"{path}: must be the network that {CONFIG} beside it has, and has been changed")


def _step(checkpoints: Checkpoints, wanted: Checkpoint) -> int:
    steps = checkpoints.steps()
    if isinstance(wanted, int):
        found: int | None = wanted
    else:
        state, _ = checkpoints.latest()
        found = None if state is None else state.get("best_step") if wanted == "best" else state["step"]
    if found not in steps:
        shown = f"those of steps {', '.join(map(str, steps))}" if steps else "none"
        raise RunError(f"{checkpoints.folder}: no checkpoint {wanted!r}; there are {shown}")
    return found


def _data(folder: Path, config: TrainConfig) -> ModelData:
    path = folder / MODEL_DATA
    if path.exists():
        data = read_record(ModelData, path)
    else:
        # A training that has not ended, or of before this file was written.
        with closing(Feed(config.job)) as feed:
            if feed.fingerprints != config.data:
                raise RunError(f"{path}: is not there, and the data are not those that the training began with")
            data = feed.model_data
    if len(data.classes) != config.job.arch.head.num_classes:
        raise RunError(f"{path}: must name the network's {config.job.arch.head.num_classes} classes")
    return data
