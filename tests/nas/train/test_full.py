"""The full training: it learns, its record is whole, and a stop at any step changes no bit of what comes out."""

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from nas.data import DataConfig, DeviceImages, eval_batches, prepare
from nas.device import Compute
from nas.train import (
    FullOptions,
    OptimizerName,
    TrainingDiverged,
    TrainingInterrupted,
    TrainJob,
    TrainLength,
    TrainResult,
    accuracy,
    read_job,
    train_full,
)
from nas.train import full as full_module
from nas.train.checkpoint import Checkpoints
from nas.train.report import Now, Silent
from results import RunError
from scaling import Ramp
from search_space import build_network


class Stopped(Exception):
    pass


class StopAt(Silent):
    """Ends a training after a step, without warning or by a signal."""

    def __init__(self, step: int, number: signal.Signals | None = None) -> None:
        self.at, self.number = step, number
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, now: Now) -> None:
        if now.step == self.at:
            if self.number is None:
                raise Stopped
            signal.raise_signal(self.number)


def lines(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in ("seconds", "images_per_s", "data_wait")} for line in found]


def final_state(folder: Path) -> dict[str, Any]:
    state, notes = Checkpoints(folder / "checkpoints").latest()
    assert state is not None
    assert not notes
    return {key: value for key, value in state.items() if key != "seconds"}


def assert_same(one: Any, other: Any) -> None:
    """Equal to the bit, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def assert_same_end(one: Path, other: Path) -> None:
    assert_same(final_state(one), final_state(other))
    assert lines(one) == lines(other)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    assert_same(*({key: value for key, value in result.items() if key != "seconds"} for result in results))


@pytest.fixture(autouse=True)
def _shared_cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture(scope="module")
def plain(small_job: TrainJob, digits_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "plain"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(digits_cache))
        train_full(small_job, folder)
    return folder


def test_the_folder_holds_all_of_it(small_job: TrainJob, plain: Path) -> None:
    assert read_job(plain) == small_job
    found = lines(plain)
    # 1,293 digits to train on are 20 batches.
    assert [line["step"] for line in found] == [20, 33]
    assert [line["phase"] for line in found] == [1, 2]
    assert [line["image_size"] for line in found] == [10, 12]
    result = train_full(small_job, plain)
    assert (result.steps, result.num_test, result.eval_size) == (33, 359, 14)
    assert result.params == small_job.arch.params
    assert result.holdout_accuracy == found[-1]["accuracy"]
    assert result.ema_holdout_accuracy == found[-1]["ema_accuracy"]
    steps = Checkpoints(plain / "checkpoints").steps()
    assert steps[-2:] == [20, 33]


@pytest.mark.parametrize(("steps", "evaluated"), [(29, [29]), (30, [20, 30])])
def test_an_epochs_end_close_to_the_trainings_is_left_to_it(
    small_job: TrainJob, tmp_path: Path, steps: int, evaluated: list[int]
) -> None:
    train_full(replace(small_job, length=TrainLength(steps=steps)), tmp_path / "a")
    assert [line["step"] for line in lines(tmp_path / "a")] == evaluated


def test_the_model_is_the_average_that_was_tested(small_job: TrainJob, plain: Path) -> None:
    network = build_network(small_job.arch)
    network.load_state_dict(load_file(plain / "model.safetensors"))
    small = prepare(DataConfig(data="digits", image_size=12), splits=("train",))
    large = prepare(DataConfig(data="digits", image_size=14))
    images = DeviceImages(large.split("test"), mean=small.mean, std=small.std)
    correct, count = accuracy(network, eval_batches(images, batch_size=100), Compute())
    result = train_full(small_job, plain)
    assert abs(correct - result.ema_accuracy * count) <= 1, "another memory format may turn the nearest call"


@pytest.mark.parametrize("at", [1, 12, 25])
@pytest.mark.parametrize("each_step", [True, False])
def test_a_stop_at_any_step_changes_nothing(
    small_job: TrainJob, plain: Path, tmp_path: Path, at: int, each_step: bool
) -> None:
    folder = tmp_path / "stopped"
    with pytest.raises(Stopped):
        train_full(small_job, folder, progress=StopAt(at), checkpoint_every_s=0 if each_step else 1e9)
    torch.rand(7)
    watch = StopAt(10**9)
    train_full(small_job, folder, progress=watch)
    # The step's own checkpoint had not been written yet.
    kept = at - 1 if each_step else at - 1 - (at - 1) % 20
    assert watch.notes == ([f"goes on after step {kept}"] if kept else [])
    assert_same_end(folder, plain)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint(small_job: TrainJob, plain: Path, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "signalled"
    with pytest.raises(TrainingInterrupted, match="after step 16 of 33"):
        train_full(small_job, folder, progress=StopAt(16, number))
    # The signal came after the step's loss was told; the step itself is in the checkpoint.
    assert Checkpoints(folder / "checkpoints").steps()[-1] == 16
    train_full(small_job, folder)
    assert_same_end(folder, plain)


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_each_optimizer_goes_on_exactly(small_job: TrainJob, tmp_path: Path, optimizer: OptimizerName) -> None:
    options = FullOptions.of(optimizer, clip_norm=1.0)
    job = replace(small_job, options=options, length=TrainLength(steps=12))
    for name, at in (("plain", None), ("stopped", 7)):
        if at is not None:
            with pytest.raises(Stopped):
                train_full(job, tmp_path / name, progress=StopAt(at), checkpoint_every_s=0)
        train_full(job, tmp_path / name)
    assert_same_end(tmp_path / "plain", tmp_path / "stopped")


def test_growing_batches_go_on_exactly(small_job: TrainJob, tmp_path: Path) -> None:
    options = replace(small_job.options, grow_batch=True, accumulate=2)
    job = replace(small_job, options=options, length=TrainLength(steps=30))
    # 12 px against 8 px are 2.25 times the pixels, against 10 px 1.44 times.
    assert [(phase.batch_size, phase.steps) for phase in job.phases(30)] == [(128, 5), (64, 10), (64, 10)]
    with pytest.raises(Stopped):
        train_full(job, tmp_path / "stopped", progress=StopAt(9), checkpoint_every_s=0)
    for name in ("plain", "stopped"):
        assert train_full(job, tmp_path / name).steps == 25
    assert_same_end(tmp_path / "plain", tmp_path / "stopped")
    # An epoch is 20 batches of 64, of which 10 went by in the first phase.
    assert [line["step"] for line in lines(tmp_path / "plain")] == [15, 25]


def test_a_compiled_training_goes_on_exactly(
    small_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    options = replace(small_job.options, compile=True, growth="fixed")
    job = replace(small_job, options=options, length=TrainLength(steps=9))
    with pytest.raises(Stopped):
        train_full(job, tmp_path / "stopped", progress=StopAt(5), checkpoint_every_s=0)
    for name in ("plain", "stopped"):
        train_full(job, tmp_path / name)
    assert_same_end(tmp_path / "plain", tmp_path / "stopped")


@pytest.mark.slow
def test_it_learns_the_digits(small_job: TrainJob, tmp_path: Path) -> None:
    recipe = replace(
        small_job.recipe, randaugment=Ramp(0, 1), mixup=Ramp(0, 0), cutmix=Ramp(0, 0), dropout=Ramp(0, 0.1)
    )
    result = train_full(replace(small_job, recipe=recipe, length=TrainLength(epochs=12)), tmp_path / "long")
    assert result.ema_accuracy > 0.6
    assert result.accuracy > 0.6


def test_growth_can_be_left_out(small_job: TrainJob, tmp_path: Path) -> None:
    options = replace(small_job.options, growth="fixed")
    train_full(replace(small_job, options=options, length=TrainLength(steps=30)), tmp_path / "fixed")
    assert [(line["phase"], line["image_size"]) for line in lines(tmp_path / "fixed")] == [(0, 12), (0, 12)]


def test_a_damaged_checkpoint_is_passed_over(small_job: TrainJob, plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    with pytest.raises(Stopped):
        train_full(small_job, folder, progress=StopAt(25), checkpoint_every_s=0)
    (newest,) = (folder / "checkpoints").glob("step-24.pt")
    newest.write_bytes(newest.read_bytes()[:1000])
    watch = StopAt(10**9)
    train_full(small_job, folder, progress=watch)
    assert "step-24.pt: is damaged and passed over" in watch.notes[0]
    assert watch.notes[1] == "goes on after step 23"
    assert_same_end(folder, plain)


def test_all_damaged_is_an_error(small_job: TrainJob, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train_full(small_job, tmp_path / "a", progress=StopAt(26))
    for path in (tmp_path / "a" / "checkpoints").glob("*.pt"):
        path.write_bytes(b"no checkpoint")
    with pytest.raises(RunError, match="no checkpoint can be read"):
        train_full(small_job, tmp_path / "a")
    torch.save({"format": 1, "step": 40, "network": {}}, tmp_path / "a/checkpoints/step-40.pt")
    with pytest.raises(RunError, match=r"step-40\.pt: must hold this training's state: "):
        train_full(small_job, tmp_path / "a")


def test_a_lost_loss_ends_it(small_job: TrainJob, tmp_path: Path) -> None:
    job = replace(small_job, options=replace(small_job.options, lr=1e20))
    with pytest.raises(TrainingDiverged, match="not finite at step"):
        train_full(job, tmp_path / "lost", checkpoint_every_s=0)


def test_what_does_not_fit_is_refused(small_job: TrainJob, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 classes, got 3"):
        train_full(replace(small_job, arch=small_job.arch.with_num_classes(3)), tmp_path / "a")
    recipe = replace(small_job.recipe, batch_size=5000)
    with pytest.raises(ValueError, match="batch_size must be at most 1293, the train images, got 5000"):
        train_full(replace(small_job, recipe=recipe), tmp_path / "a")
    with pytest.raises(ValueError, match="largest train size 12, got 8"):
        replace(small_job, data=DataConfig(data="digits", image_size=8))
    assert not (tmp_path / "a").exists()


def test_anothers_folder_is_left_alone(small_job: TrainJob, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds another training already"):
        train_full(replace(small_job, seed=4), plain)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match=r"holds 'thesis.txt'"):
        train_full(small_job, tmp_path / "full")


def test_changed_data_are_noticed(small_job: TrainJob, plain: Path, tmp_path: Path) -> None:
    config = json.loads((plain / "config.json").read_text())
    config["data"][0] = "0"
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="the data are not those that it began with"):
        train_full(small_job, tmp_path / "changed")


def test_a_finished_training_is_only_read(small_job: TrainJob, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_module, "_Training", None)
    assert isinstance(train_full(small_job, plain), TrainResult)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_runs_and_goes_on_on_a_gpu(small_job: TrainJob, tmp_path: Path) -> None:
    job = replace(small_job, compute=Compute(device="cuda", dtype="bfloat16"))
    with pytest.raises(Stopped):
        train_full(job, tmp_path / "gpu", progress=StopAt(25))
    assert train_full(job, tmp_path / "gpu").steps == 33
