"""Learning curves: what is drawn is what is on record."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.train import TrainJob, TrainLength
from nas.train.curves import Axis, Curves
from nas.train.job import TrainConfig, TrainResult
from nas.train.picture import PICTURE, CurvesPicture, compare, draw, save
from nas.train.report import Metrics
from results import RunError, RunWriteError
from scaling import SizeRamp


def record(step: int, *, seconds: float | None = None, of_averaged: float | None = None) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step / 20,
        "phase": 0,
        "image_size": 8,
        "lr": 0.1,
        "loss": 2 / step,
        "accuracy": step / 200,
        "ema_accuracy": step / 100 if of_averaged is None else of_averaged,
        "images_per_s": 10.0,
        "seconds": float(step) if seconds is None else seconds,
    }


@pytest.fixture
def job(small_job: TrainJob) -> TrainJob:
    """60 steps in phases of 20."""
    return replace(small_job, length=TrainLength(epochs=3))


def folder_of(place: Path, job: TrainJob, records: list[dict[str, Any]]) -> Path:
    place.mkdir()
    (place / "config.json").write_text(TrainConfig(job=job, data=("a", "b")).to_json())
    (place / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return place


def test_a_training_is_read_up_to_a_torn_line(job: TrainJob, tmp_path: Path) -> None:
    records = [record(20, seconds=60), record(40, seconds=240)]
    folder = folder_of(tmp_path / "a", job, records)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6')
    curves = Curves.of(folder)
    assert curves.evaluations == tuple(Metrics(**record) for record in records)
    assert (curves.name, curves.job, curves.result) == ("a", job, None)
    assert curves.along("epochs").tolist() == [1, 2]
    assert curves.along("minutes").tolist() == [1, 4]
    assert [(begin, end, phase.image_size) for begin, end, phase in curves.phases("minutes")] == [(0, 1, 8), (1, 4, 10)]
    assert [(begin, end) for begin, end, _ in curves.phases("epochs")] == [(0, 1), (1, 2)]


def test_phases_are_where_they_were_with_batches_that_grow(job: TrainJob, tmp_path: Path) -> None:
    job = replace(
        job,
        recipe=replace(job.recipe, train_size=SizeRamp(14, 32), eval_size=32),
        options=replace(job.options, grow_batch=True),
        data=replace(job.data, image_size=32),
        length=TrainLength(epochs=30),
    )
    phases = job.phases(job.total_steps(1293))
    step = phases[1].first_step + 10
    images = phases[1].images_seen(step)
    folder = folder_of(tmp_path / "a", job, [{**record(step), "epoch": images / 1293, "images": images}])
    found = Curves.of(folder).phases("epochs")
    assert [phase for _, _, phase in found] == list(phases[:2])


def test_a_phase_that_ends_between_evaluations_ends_there(job: TrainJob, tmp_path: Path) -> None:
    at_times = [record(15, seconds=60), record(30, seconds=120), record(60, seconds=420)]
    curves = Curves.of(folder_of(tmp_path / "a", job, at_times))
    ends = [end for _, end, _ in curves.phases("minutes")]
    assert ends == pytest.approx([1 + 5 / 15, 2 + 5 * 10 / 30, 7])


def test_a_loss_is_a_mean_over_images_not_steps(job: TrainJob, tmp_path: Path) -> None:
    # Batches four times as large at first: a quarter of the steps an epoch. The last line is of a step alone.
    steps = {5: 1, 10: 2, 20: 3, 30: 4, 50: 5, 70: 6, 71: 6.05}
    records = [record(step) | {"epoch": epoch} for step, epoch in steps.items()]
    assert Curves.of(folder_of(tmp_path / "a", job, records)).has_loss().tolist() == [True] * 6 + [False]


def test_lines_without_epochs_stand_one_an_epoch(job: TrainJob, tmp_path: Path) -> None:
    records = [record(20), record(40), record(60)]
    for each in records:
        del each["epoch"]
    assert Curves.of(folder_of(tmp_path / "a", job, records)).along("epochs").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "line 2: no valid JSON: Expecting property name"),
        ("[]", "line 2: Metrics: "),
        ("[" * 100_000, "line 2: no valid JSON: lists and objects are nested"),
        (json.dumps(record(20) | {"loss": "low"}), "line 2: loss: "),
        (json.dumps(record(20)), "line 2: step must be above 20 and epoch above 0, got 20 and 1"),
        (json.dumps(record(40) | {"epoch": 0}), "line 2: step must be above 20 and epoch above 0, got 40 and 0"),
    ],
)
def test_a_damaged_line_is_named(job: TrainJob, tmp_path: Path, line: str, rule: str) -> None:
    folder = folder_of(tmp_path / "a", job, [record(20)])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=rf"metrics\.jsonl: {rule}"):
        Curves.of(folder)


def test_without_an_evaluation_there_is_nothing_to_draw(job: TrainJob, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", job, [])
    with pytest.raises(RunError, match="has no evaluation on record yet"):
        Curves.of(folder)
    CurvesPicture(folder).close(None)
    assert not (folder / PICTURE).exists()


@pytest.mark.parametrize("ended", [False, True])
def test_the_picture_of_one(job: TrainJob, tmp_path: Path, ended: bool) -> None:
    # The last evaluation is one step behind: no mean to show.
    folder = folder_of(tmp_path / "a_$b", job, [record(20), record(40), record(59), record(60)])
    result = TrainResult(
        accuracy=0.25,
        ema_accuracy=0.875,
        holdout_accuracy=0.5,
        ema_holdout_accuracy=0.5,
        num_test=100,
        eval_size=14,
        steps=60,
        seconds=90.0,
        params=10,
    )
    if ended:
        (folder / "result.json").write_text(result.to_json())
    curves = Curves.of(folder)
    figure = draw(curves)
    assert len(figure.axes) == 4
    axes: tuple[Axis, ...] = ("epochs", "minutes")
    for number, axis in enumerate(axes):
        loss, accuracy = figure.axes[number], figure.axes[2 + number]
        (line,) = loss.get_lines()
        places = curves.along(axis)
        assert np.array_equal(line.get_xydata(), np.stack([places[:3], curves.values("loss")[:3]], axis=1))
        last, averaged = accuracy.get_lines()
        assert np.array_equal(last.get_ydata(), 100 * curves.values("accuracy"))
        assert np.array_equal(averaged.get_ydata(), 100 * curves.values("ema_accuracy"))
        assert [text.get_text().splitlines()[0] for text in loss.texts] == ["8 px", "10 px", "12 px"]
        assert len(loss.patches) == len(accuracy.patches) == 3
    title = figure.get_suptitle()
    assert ("87.50 % test accuracy with averaged weights, 1.5 min" in title) is ended
    assert ("not ended: after step 60" in title) is not ended
    CurvesPicture(folder).close(result if ended else None)
    with Image.open(folder / PICTURE) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert len(picture.convert("L").getcolors(256) or []) > 20, "it is not blank"


def test_several_over_each_other(job: TrainJob, tmp_path: Path) -> None:
    good = folder_of(tmp_path / "good", job, [record(20, of_averaged=0.5), record(40, of_averaged=0.9)])
    fair = folder_of(tmp_path / "fair", job, [record(step, of_averaged=step / 100) for step in (20, 40, 60)])
    trainings = [Curves.of(good), Curves.of(fair)]
    level = 0.6
    assert [curves.first_at(level) for curves in trainings] == [
        trainings[0].evaluations[1],
        trainings[1].evaluations[2],
    ]
    assert trainings[1].first_at(0.61) is None
    accuracy, loss = compare({curves.name: curves for curves in trainings}, "epochs", level).axes
    curves_drawn = [line for line in accuracy.get_lines() if line.get_label() in ("good", "fair")]
    assert [np.asarray(line.get_xdata()).tolist() for line in curves_drawn] == [[1, 2], [1, 2, 3]]
    losses = [line for line in loss.get_lines() if line.get_label() in ("good", "fair")]
    assert [np.asarray(line.get_ydata()).tolist() for line in losses] == [
        curves.values("loss").tolist() for curves in trainings
    ]
    assert [text.get_text() for text in loss.texts] == ["10", "10", "12"], "the sizes that each goes on to"
    assert curves_drawn[0].get_color() != curves_drawn[1].get_color()
    assert curves_drawn[0].get_linestyle() != curves_drawn[1].get_linestyle()


def test_a_picture_that_cannot_be_written_is_named(job: TrainJob, tmp_path: Path) -> None:
    figure = draw(Curves.of(folder_of(tmp_path / "a", job, [record(20)])))
    with pytest.raises(RunWriteError, match=r"gone/a\.png: could not be written: No such file"):
        save(figure, tmp_path / "gone/a.png")
