"""Every file that a user can be handed, and what reads it: a new reader is one row of `READERS`."""

import json
import random
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from nas.cli.arch import find_arch
from nas.cli.families import find_family, read_recipe
from nas.cli.family_training import resumed
from nas.cli.listed import list_runs
from nas.cli.train_config import Config
from nas.data import DataConfig, prepare, survey
from nas.measure import StepTimeModel, read_calibration
from nas.measure.calibration import write_calibration
from nas.search.config import SearchConfig
from nas.search.inherited import SupernetRef
from nas.search.proposals import history_events
from nas.search.run import check_asks, recorded
from nas.train import read_job
from nas.train.checkpoint import Checkpoints
from nas.train.curves import Curves
from nas.train.init import read_weights
from nas.train.job import read_result
from nas.train.report import Silent
from nas.train.skips import SkipFile
from nas.train.trained import read_supernet, read_trained
from results import Objective, Run, RunWriter
from scaling import Base, Family
from scaling.family import parse_sizes
from search_space import Space, build_network, load_space
from tests.nas.cli.conftest import make_trial_of
from tests.nas.data.test_shards import add, jpeg
from tests.nas.measure.conftest import make_calibration
from tests.scaling.conftest import base_of

__all__ = ["READERS", "Reader", "make_files", "make_search"]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """`file` is where the file lies below the folder of all, `read` reads it there (and what is beside it)."""

    file: str
    read: Callable[[Path], object]


def _read_search(folder: Path) -> None:
    run = Run(folder / "search")
    _, space = recorded(run)
    for device in run.devices:
        run.front(device=device)
    run.trials_frame()
    run._repr_html_()
    check_asks(run)
    for _ in history_events(run.history, space, folder=run.folder):
        pass


def _read_times(folder: Path) -> None:
    found = read_calibration(folder / "search/calibration.json")
    assert found is not None, "it is there"
    StepTimeModel(found).predict(found.reference)


def _read_curves(folder: Path) -> None:
    curves = Curves.of(folder / "training")
    curves.has_loss()
    for axis in ("epochs", "minutes"):
        curves.phases(axis)


def _read_checkpoint(folder: Path) -> None:
    read_trained(folder / "training", "latest")


def _read_images(folder: Path) -> None:
    config = DataConfig(data=str(folder / "pictures"), image_size=8)
    survey(config)
    prepare(config, max_corrupt=0.9)


def _read_cached(folder: Path) -> None:
    """The entry that is damaged is the one that is found."""
    found = prepare(DataConfig(data="digits", image_size=8), cache=folder / "cache")
    for split in ("train", "test"):
        assert 0 <= found.split(split).labels.min() <= found.split(split).labels.max() < 10  # type: ignore[arg-type]


def _read_shards(folder: Path) -> None:
    prepare(DataConfig(data=str(folder / "shards"), image_size=8), max_corrupt=0.9)


READERS: dict[str, Reader] = {
    "a search's config": Reader(file="search/config.json", read=_read_search),
    "trials": Reader(file="search/trials.jsonl", read=_read_search),
    "asks": Reader(file="search/asks.jsonl", read=_read_search),
    "summary": Reader(file="search/summary.json", read=lambda folder: Run(folder / "search").state),
    "runs": Reader(file="search/config.json", read=lambda folder: list_runs(folder)),
    "calibration": Reader(file="search/calibration.json", read=_read_times),
    "network": Reader(file="arch.json", read=lambda folder: find_arch(str(folder / "arch.json"))),
    "space as YAML": Reader(file="space.yaml", read=lambda folder: load_space(str(folder / "space.yaml"))),
    "space as JSON": Reader(file="space.json", read=lambda folder: load_space(str(folder / "space.json"))),
    "family": Reader(file="family/family.json", read=lambda folder: find_family(str(folder / "family"))),
    "recipe": Reader(file="family/S.recipe.json", read=lambda folder: read_recipe(folder / "family/S.recipe.json")),
    "a family's trainings": Reader(
        file="trainings/config.json", read=lambda folder: resumed(Config(resume=str(folder / "trainings")))
    ),
    "a training's config": Reader(file="training/config.json", read=lambda folder: read_job(folder / "training")),
    "result": Reader(file="training/result.json", read=lambda folder: read_result(folder / "training")),
    "a training's network": Reader(file="training/arch.json", read=lambda folder: read_trained(folder / "training")),
    "a model's data": Reader(file="training/data.json", read=lambda folder: read_trained(folder / "training")),
    "metrics": Reader(file="training/metrics.jsonl", read=_read_curves),
    "skipped": Reader(
        file="training/skipped.jsonl", read=lambda folder: SkipFile(folder / "training/skipped.jsonl", Silent())
    ),
    "model": Reader(file="training/model.safetensors", read=lambda folder: read_trained(folder / "training")),
    "weights": Reader(
        file="weights.pt",
        read=lambda folder: read_weights(folder / "weights.pt").fit(read_job(folder / "training").arch),
    ),
    "checkpoint": Reader(file="training/checkpoints/step-60.pt", read=_read_checkpoint),
    "checkpoints": Reader(
        file="training/checkpoints/step-60.pt",
        read=lambda folder: Checkpoints(folder / "training/checkpoints").latest(),
    ),
    "a search's supernet": Reader(
        file="supernet/model.safetensors", read=lambda folder: SupernetRef.find(folder / "supernet")
    ),
    "supernet": Reader(file="supernet/model.safetensors", read=lambda folder: read_supernet(folder / "supernet")),
    "shard": Reader(file="shards/train-000.tar", read=_read_shards),
    "names of classes": Reader(file="shards/classes.txt", read=_read_shards),
    "image": Reader(file="pictures/train/a/0.png", read=_read_images),
    "cache entry": Reader(file="cache/ENTRY/meta.json", read=_read_cached),
    "cached array": Reader(file="cache/ENTRY/train.npy", read=_read_cached),
    "cached labels": Reader(file="cache/ENTRY/train_labels.npy", read=_read_cached),
}


def make_files(folder: Path, training: Path, supernet: Path, space: Space) -> None:
    """One valid file for each reader, below `folder`."""
    shutil.copytree(training, folder / "training")
    shutil.copytree(supernet, folder / "supernet")
    (folder / "training/skipped.jsonl").write_text('{"split": "train", "name": "a.png", "reason": "no image"}\n' * 3)
    make_search(folder / "search", space)
    (folder / "arch.json").write_text(space.reference.to_json())
    (folder / "space.json").write_text(space.to_json())
    (folder / "space.yaml").write_text(yaml.safe_dump(json.loads(space.to_json())))
    family = Family.of(_base(), parse_sizes("S,M"))
    for name, text in family.files().items():
        (folder / "family").mkdir(exist_ok=True)
        (folder / "family" / name).write_text(text)
    trainings = {
        "schema_version": 1,
        "kind": "family training",
        "family": "family",
        "options": {"seed": 3, "budget": "1st"},
    }
    (folder / "trainings").mkdir()
    (folder / "trainings/config.json").write_text(json.dumps(trainings))
    torch.save(build_network(read_job(training).arch).state_dict(), folder / "weights.pt")
    (folder / "shards").mkdir()
    for split in ("train", "test"):
        with tarfile.open(folder / f"shards/{split}-000.tar", "w") as tar:
            for number in range(12):
                add(tar, f"{number:03d}.jpg", jpeg(8 * number))
                add(tar, f"{number:03d}.cls", str(number % 3).encode())
    (folder / "shards/classes.txt").write_text("ant\nbee\ncow\n")
    for split in ("train", "test"):
        for name in ("a", "b"):
            place = folder / "pictures" / split / name
            place.mkdir(parents=True)
            for number in range(4):
                Image.fromarray(np.full((9, 11, 3), 20 * number, np.uint8)).save(place / f"{number}.png")
    entry = prepare(DataConfig(data="digits", image_size=8), cache=folder / "cache").folder
    (folder / "cache/ENTRY").symlink_to(entry.relative_to(folder / "cache"))


def _base() -> Base:
    space = load_space("efficientnetv2-tiny")
    return base_of(*space.unrounded(space.reference))


def make_search(folder: Path, space: Space) -> None:
    """A run of four trials."""
    config: dict[str, Any] = {
        "search": json.loads(json.dumps(asdict(SearchConfig(sampler="random")), default=str)),
        "space": json.loads(space.to_json()),
        "image_size": 8,
    }
    archs = [space.sample(random.Random(seed)) for seed in range(4)]
    with RunWriter.create(
        folder, config=config, objective=Objective(reference_params=space.reference.params)
    ) as writer:
        for index, arch in enumerate(archs):
            writer.ask(index, space.encode(arch))
            writer.append(make_trial_of(index, arch, accuracy=0.5 + index / 10))
        writer.write_summary(stop_reason="budget")
    write_calibration(folder / "calibration.json", make_calibration(space))
