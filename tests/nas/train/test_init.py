"""Weights to start from: what is read, what is refused, and that a training that starts from them goes on exactly."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Tensor

from nas.data import DataConfig
from nas.train import FullOptions, TrainJob, TrainLength, train_full
from nas.train.checkpoint import Checkpoints
from nas.train.init import initial_weights, read_weights
from nas.train.origin import IMAGENET, Init
from nas.train.state import TrainState
from results import RunError
from scaling import Ramp, SizeRamp
from search_space import architecture, build_network
from tests.nas.train.test_full import StopAt, Stopped, assert_same_end, lines


@pytest.fixture(autouse=True)
def _shared_cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


def init_of(path: Path) -> Init:
    return Init(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), origin="ours")


@pytest.fixture
def weights(small_job: TrainJob) -> dict[str, Tensor]:
    """Of a network of 10 classes, none of them as a fresh one has them."""
    network = build_network(small_job.arch, generator=torch.Generator().manual_seed(9))
    state: dict[str, Tensor] = network.state_dict()
    return {name: tensor + 0.25 if tensor.ndim else tensor for name, tensor in state.items()}


@pytest.fixture
def file(weights: dict[str, Tensor], tmp_path: Path) -> Path:
    save_file(weights, tmp_path / "ours.safetensors")
    return tmp_path / "ours.safetensors"


# What is read


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_all_tensors_are_taken(small_job: TrainJob, weights: dict[str, Tensor], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    found = read_weights(path)
    assert (found.library, found.sha256) == ("ours", hashlib.sha256(path.read_bytes()).hexdigest())
    taken = initial_weights(init_of(path), small_job.arch)
    assert taken.keys() == weights.keys()
    assert all(torch.equal(taken[name], tensor) for name, tensor in weights.items())


def test_both_networks_have_them_and_a_new_classifier(small_job: TrainJob, file: Path) -> None:
    arch = small_job.arch.with_num_classes(4)
    taken = initial_weights(init_of(file), arch)
    assert {name for name in build_network(arch).state_dict() if name not in taken} == {
        "classifier.weight",
        "classifier.bias",
    }
    fresh, state = (TrainState(replace(small_job, arch=arch)) for _ in range(2))
    state.start_from(taken)
    for network in (state.network, state.average.network):
        found = network.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in taken.items())
        assert torch.equal(found["classifier.weight"], fresh.network.classifier.weight)
    assert state.network.training


def test_half_precision_is_read(small_job: TrainJob, weights: dict[str, Tensor], tmp_path: Path) -> None:
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    torch.save(halves, tmp_path / "half.pt")
    taken = initial_weights(init_of(tmp_path / "half.pt"), small_job.arch)
    assert torch.equal(taken["stem.conv.weight"], halves["stem.conv.weight"].float())


def test_of_a_checkpoint_the_average_is_taken(small_job: TrainJob, tmp_path: Path) -> None:
    train_full(replace(small_job, length=TrainLength(steps=3)), tmp_path / "a")
    taken = initial_weights(init_of(tmp_path / "a/checkpoints/step-3.pt"), small_job.arch)
    model = load_file(tmp_path / "a/model.safetensors")
    assert all(torch.equal(taken[name], tensor) for name, tensor in model.items())


# What is refused


class Hostile:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


Write = Callable[[Path, dict[str, Tensor]], object]
REFUSED: dict[str, tuple[str, Write, str]] = {
    "code": (
        ".pt",
        lambda path, state: torch.save({**state, "x": Hostile(path.with_name("ran"))}, path),
        "tensors alone",
    ),
    "a module": (".pth", lambda path, state: torch.save(torch.nn.Linear(2, 2), path), "must hold tensors alone"),
    "nested": (".pt", lambda path, state: torch.save({"model": state}, path), "but 'model' is dict"),
    "a list": (".pt", lambda path, state: torch.save([1], path), "got list"),
    "nothing": (".pt", lambda path, state: torch.save({}, path), "must hold a state dict"),
    "text": (".pt", lambda path, state: path.write_text("weights"), "is no file of torch's, or is damaged"),
    "empty": (".pth", lambda path, state: path.write_bytes(b""), "is no file of torch's, or is damaged"),
    "text as safetensors": (".safetensors", lambda path, state: path.write_text("weights"), "is no safetensors file"),
    "another's": (
        ".pt",
        lambda path, state: torch.save(torchvision.models.resnet18().state_dict(), path),
        "'bn1.bias'",
    ),
    "sparse": (
        ".pt",
        lambda path, state: torch.save({"stem.conv.weight": torch.eye(3).to_sparse()}, path),
        "'stem.conv.weight' is no dense tensor",
    ),
    "a suffix": (".h5", lambda path, state: path.write_bytes(b""), "must end in .safetensors, .pt, .pth"),
    "NaN": (
        ".pt",
        lambda path, state: torch.save({**state, "classifier.bias": torch.full((10,), float("nan"))}, path),
        "classifier.bias must be finite",
    ),
    "integers": (
        ".pt",
        lambda path, state: torch.save({**state, "classifier.bias": torch.ones(10, dtype=torch.int8)}, path),
        "classifier.bias must hold floating-point numbers, got torch.int8",
    ),
    "a variance": (
        ".safetensors",
        lambda path, state: save_file({**state, "stem.norm.running_var": torch.full((8,), -1e-3)}, path),
        "stem.norm.running_var must be at least 0, got -0.001",
    ),
    "compressed": (".pt", lambda path, state: _compressed(path, state), "must not be compressed"),
    "one number for many": (
        ".pt",
        lambda path, state: torch.save({**state, "x": torch.zeros(1).expand(10**6, 10**6)}, path),
        "must hold no more numbers than its",
    ),
    "a bytearray": (
        ".pt",
        lambda path, state: torch.save({**state, "x": bytearray(10)}, path),
        "must hold tensors alone, in torch's format, but has a bytearray",
    ),
    "a shape": (
        ".safetensors",
        lambda path, state: save_file({**state, "stem.norm.weight": torch.ones(7)}, path),
        r"'stem.norm.weight' must have shape (8,), got (7,)",
    ),
}


def _compressed(path: Path, state: dict[str, Tensor]) -> None:
    """10 MB of zeros, in a file of some kilobytes."""
    torch.save({**state, "x": torch.zeros(10 << 18)}, path)
    with zipfile.ZipFile(path) as plain:
        members = {name: plain.read(name) for name in plain.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_by_name(small_job: TrainJob, weights: dict[str, Tensor], tmp_path: Path, name: str) -> None:
    suffix, write, message = REFUSED[name]
    path = tmp_path / f"odd{suffix}"
    write(path, weights)
    with pytest.raises(RunError) as caught:
        initial_weights(init_of(path), small_job.arch)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.99])
def test_a_truncated_file_is_refused(weights: dict[str, Tensor], tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(RunError, match="damaged"):
        read_weights(path)


# Trainings


@pytest.fixture
def job(small_job: TrainJob, file: Path) -> TrainJob:
    """Nine steps from the file, with all that is random."""
    options = replace(small_job.options, randaugment_layers=1, cutout=0.4, random_erasing=0.5, bn_momentum=0.02)
    return replace(small_job, init=init_of(file), options=options, length=TrainLength(steps=9))


def test_it_goes_on_exactly_and_without_the_file(job: TrainJob, file: Path, tmp_path: Path) -> None:
    train_full(job, tmp_path / "plain")
    with pytest.raises(Stopped):
        train_full(job, tmp_path / "stopped", progress=StopAt(7))
    assert Checkpoints(tmp_path / "stopped/checkpoints").steps() == [0]
    file.unlink()
    watch = StopAt(10**9)
    train_full(job, tmp_path / "stopped", progress=watch)
    assert watch.notes == ["goes on after step 0"]
    assert_same_end(tmp_path / "plain", tmp_path / "stopped")


def test_killed_before_its_first_checkpoint_it_needs_the_same_file(
    job: TrainJob, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_full(job, tmp_path / "plain")

    def killed(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(Stopped):
            train_full(job, tmp_path / "killed")
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(RunError, match=r"ours.safetensors: could not be read: No such file"):
        train_full(job, tmp_path / "killed")
    save_file({"stem.conv.weight": torch.ones(1)}, file)
    with pytest.raises(RunError, match=r"must be the file that the training began with \(sha256 "):
        train_full(job, tmp_path / "killed")
    file.write_bytes(content)
    train_full(job, tmp_path / "killed")
    assert_same_end(tmp_path / "plain", tmp_path / "killed")


def test_pixels_are_normalised_as_on_record(small_job: TrainJob, tmp_path: Path) -> None:
    from nas.train.feed import Feed

    job = replace(small_job, normalisation=IMAGENET)
    plain, feed = Feed(small_job), Feed(job)
    assert (plain.normalisation == IMAGENET, feed.normalisation == IMAGENET) == (False, True)
    images, _ = next(iter(feed.eval_batches("test")))
    own, _ = next(iter(plain.eval_batches("test")))
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (plain.normalisation.mean, plain.normalisation.std)
    )
    expected = torchvision.transforms.v2.functional.normalize(own * std + mean, IMAGENET.mean, IMAGENET.std)
    torch.testing.assert_close(images, expected, rtol=1e-4, atol=1e-4)


def test_fine_tuning_begins_better_than_scratch(small_job: TrainJob, tmp_path: Path) -> None:
    """Pretrained on the digits 0 to 4; then all ten, with a new classifier."""
    digits = load_digits()
    for row in range(600):
        if digits.target[row] < 5:
            place = tmp_path / "few" / ("train" if row < 500 else "test") / str(digits.target[row])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[row] * 15).astype("uint8")).save(place / f"{row}.png")
    none = Ramp(0, 0)
    recipe = replace(
        small_job.recipe,
        train_size=SizeRamp(12, 12),
        eval_size=12,
        **dict.fromkeys(("randaugment", "mixup", "cutmix", "dropout"), none),
        phases=1,
    )
    options = FullOptions.of("adamw", lr=0.04, min_crop_area=1.0, ema_decay=0.9)
    scratch = replace(small_job, recipe=recipe, options=options, length=TrainLength(steps=20))
    few = replace(
        scratch,
        arch=scratch.arch.with_num_classes(5),
        data=DataConfig(data=str(tmp_path / "few"), image_size=12),
        length=TrainLength(steps=80),
    )
    train_full(few, tmp_path / "pretrained")
    tuned = replace(scratch, init=init_of(tmp_path / "pretrained/model.safetensors"))
    for name, job in (("scratch", scratch), ("tuned", tuned)):
        train_full(job, tmp_path / name)
    found = {name: lines(tmp_path / name)[0] for name in ("scratch", "tuned")}
    assert found["tuned"]["step"] == found["scratch"]["step"] == 20
    assert found["tuned"]["ema_accuracy"] > found["scratch"]["ema_accuracy"] + 0.1
    assert found["tuned"]["loss"] < found["scratch"]["loss"]


def test_published_weights_start_a_training_state(tmp_path: Path, small_job: TrainJob) -> None:
    """torchvision's own file: the network to train computes what torchvision's does."""
    model = torchvision.models.mobilenet_v2(num_classes=10).eval()
    torch.save(model.state_dict(), tmp_path / "m.pth")
    job = replace(small_job, arch=architecture("mobilenet_v2").with_num_classes(10))
    state = TrainState(job)
    state.start_from(initial_weights(init_of(tmp_path / "m.pth"), job.arch))
    images = torch.randn(2, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(state.average.network(images), model(images), rtol=1e-4, atol=1e-5)


def test_a_pipe_is_not_waited_for_nor_a_vast_file_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(RunError, match=r"pipe\.pt: is no regular file"):
        read_weights(tmp_path / "pipe.pt")
    with (tmp_path / "vast.safetensors").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(RunError, match=r"vast\.safetensors: is no safetensors file.*does not begin with a header"):
        read_weights(tmp_path / "vast.safetensors")
    with (tmp_path / "vast.pt").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(1 << 40)
    with pytest.raises(RunError, match=r"vast\.pt: must be at most 8589934592 bytes"):
        read_weights(tmp_path / "vast.pt")


def test_a_link_is_followed_where_the_user_named_it(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "a.pt")
    (tmp_path / "b.pt").symlink_to("a.pt")
    assert read_weights(tmp_path / "b.pt", follow_links=True).sha256 == read_weights(tmp_path / "a.pt").sha256
    with pytest.raises(RunError, match=r"b\.pt: is a symbolic link"):
        read_weights(tmp_path / "b.pt")
