"""Watchers: what TensorBoard, MLflow and W&B are told is what is on record, once, and a failing one is dropped."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.train import TrainJob, TrainResult, train_full
from nas.train import watch_trackers as trackers
from nas.train.report import Metrics, Silent
from nas.train.watch import Watched, result_scalars, scalars
from nas.train.watch_tensorboard import TensorBoard
from nas.train.watch_trackers import MLflow, WandB, check_tracker

RESULT = TrainResult(
    accuracy=0.5,
    ema_accuracy=0.75,
    holdout_accuracy=0.5,
    ema_holdout_accuracy=0.5,
    num_test=100,
    eval_size=14,
    steps=30,
    seconds=3.0,
    params=10,
)


def metrics_at(step: int) -> Metrics:
    return Metrics(
        step=step,
        epoch=step / 20,
        phase=step // 20,
        image_size=8 + step,
        lr=0.5,
        loss=1 / step,
        accuracy=step / 100,
        ema_accuracy=step / 64,
        images_per_s=100.0,
        seconds=step / 10,
    )


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Told:
    """A watcher that remembers, and raises at a step."""

    def __init__(self, error: BaseException | None = None, at: int = 0) -> None:
        self.error, self.at = error, at
        self.steps: list[int] = []
        self.closed: list[TrainResult | None] = []

    def evaluated(self, metrics: Metrics) -> None:
        self.steps.append(metrics.step)
        if self.error is not None and metrics.step == self.at:
            raise self.error

    def close(self, result: TrainResult | None) -> None:
        self.closed.append(result)


def tensorboard_reads(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, as TensorBoard's own reader has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_a_failing_watcher_is_named_once_and_told_nothing_more() -> None:
    shown, failing, sound = Notes(), Told(OSError("no network"), at=20), Told()

    def unreachable() -> Told:
        raise ValueError("no key")

    with Watched(shown, {"a": unreachable, "b": lambda: failing, "c": lambda: sound}) as progress:
        progress.begins()
        for step in (10, 20, 30):
            progress.evaluated(metrics_at(step))
        progress.ended(RESULT)
    assert shown.notes == [
        "a failed and is told nothing more: ValueError: no key",
        "b failed and is told nothing more: OSError: no network",
    ]
    assert (failing.steps, failing.closed) == ([10, 20], [])
    assert (sound.steps, sound.closed) == ([10, 20, 30], [RESULT])


def test_a_training_that_does_not_begin_has_no_watchers() -> None:
    with Watched(Silent(), {"a": lambda: pytest.fail("it was made")}) as progress:
        progress.ended(RESULT)


def test_tensorboard_has_each_step_once_after_a_crash(
    small_job: TrainJob, tmp_path: Path, digits_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))
    folder = tmp_path / "a"
    # Between an evaluation and its checkpoint: the step is done again.
    killer = Told(KeyboardInterrupt(), at=20)
    watchers: dict[str, Callable[[], Any]] = {"tensorboard": lambda: TensorBoard(folder), "killer": lambda: killer}
    with pytest.raises(KeyboardInterrupt), Watched(Silent(), watchers) as progress:
        train_full(small_job, folder, progress=progress)
    assert [step for step, _ in tensorboard_reads(folder)["train/loss"]] == [20]
    killer.error = None
    with Watched(Silent(), watchers) as progress:
        result = train_full(small_job, folder, progress=progress)
        progress.ended(result)
    read = tensorboard_reads(folder)
    found = [Metrics(**json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [one.step for one in found] == [20, 33]
    for tag in scalars(found[0]):
        assert read[tag] == [(one.step, pytest.approx(scalars(one)[tag])) for one in found], tag
    for tag, value in result_scalars(result).items():
        assert read[tag] == [(33, pytest.approx(value))]


def test_tensorboard_reads_on_behind_a_torn_event(tmp_path: Path) -> None:
    for steps, result in (((10, 20, 30), None), ((20, 30, 40), RESULT)):
        writer = TensorBoard(tmp_path)
        for step in steps:
            writer.evaluated(metrics_at(step))
        writer.close(result)
        if result is None:
            (path,) = tmp_path.glob("tensorboard/events*")
            path.write_bytes(path.read_bytes()[:-5])
    read = tensorboard_reads(tmp_path)
    assert read["train/loss"] == [(step, pytest.approx(1 / step)) for step in (10, 20, 30, 40)]
    assert read["test/ema_accuracy"] == [(30, 0.75)]


def test_tensorboard_follows_no_link_out_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tensorboard").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a symbolic link"):
        TensorBoard(tmp_path).evaluated(metrics_at(1))
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
def test_mlflow_has_one_run_with_each_step_once(
    small_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    first = MLflow(tmp_path, small_job)
    for step in (10, 20):
        first.evaluated(metrics_at(step))
    first.close(None)
    second = MLflow(tmp_path, small_job)
    for step in (20, 30):
        second.evaluated(metrics_at(step))
    second.close(RESULT)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("trainaware-nas")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (tmp_path.name, "FINISHED")
    assert run.data.params["arch/key"] == small_job.arch.key
    assert run.data.params["options/optimizer"] == "sgd"
    for tag in scalars(metrics_at(10)):
        history = client.get_metric_history(run.info.run_id, tag)
        told = [(metric.step, metric.value) for metric in history]
        assert told == [(step, pytest.approx(scalars(metrics_at(step))[tag])) for step in (10, 20, 30)]
    assert run.data.metrics["test/ema_accuracy"] == 0.75


def test_wandb_keeps_a_run_offline(
    small_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    for steps, result in (((10, 20), None), ((30,), RESULT)):
        watcher = WandB(tmp_path, small_job)
        for step in steps:
            watcher.evaluated(metrics_at(step))
        watcher.close(result)
    name = (tmp_path / "wandb_run").read_text()
    kept = sorted(tmp_path.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb"))
    assert len(kept) == 2, "both sessions are of one run"
    assert small_job.arch.key.encode() in kept[0].read_bytes()
    said = capfd.readouterr().err
    assert re.search(r"holdout/ema_accuracy 0\.3125\b", said), "20 of 64"
    assert re.search(r"test/ema_accuracy 0\.75\b", said)


@pytest.mark.parametrize(("name", "package"), [("mlflow", "mlflow-skinny"), ("wandb", "wandb")])
def test_a_missing_tracker_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: trackers.TrackerName, package: str
) -> None:
    check_tracker(name)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"{name} must be installed to be logged to: pip install {package}$"):
        check_tracker(name)
