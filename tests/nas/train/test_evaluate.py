"""An evaluation finds what the training found, and what scikit-learn and scipy make of the same logits."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, top_k_accuracy_score
from torchvision.transforms.functional import normalize

from nas.data import DataConfig, prepare
from nas.device import Compute
from nas.train import read_job
from nas.train.evaluate import Evaluation, evaluate
from nas.train.job import read_result
from nas.train.trained import TrainedModel, read_trained
from results import RunError


@pytest.fixture(autouse=True)
def _shared_cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def model(finished_run: Path) -> TrainedModel:
    return read_trained(finished_run)


def test_it_is_what_the_training_found(model: TrainedModel) -> None:
    result = read_result(model.folder)
    assert result is not None
    test, holdout = evaluate(model), evaluate(model, split="holdout")
    assert (test.num_images, test.top1.share) == (result.num_test, result.ema_accuracy)
    assert holdout.top1.share == result.ema_holdout_accuracy
    assert 0.2 < test.top1.share < 1, "it has learnt something, and not all"
    assert test.images_per_s > 0


def test_each_figure_is_what_libraries_make_of_the_logits(model: TrainedModel) -> None:
    found = evaluate(model)
    data = prepare(read_job(model.folder).data)
    test = data.split("test")
    pixels = torch.from_numpy(test.take(slice(None))) / 255
    with torch.inference_mode():
        logits = model.network(normalize(pixels, data.mean, data.std)).numpy()
    table = confusion_matrix(test.labels, logits.argmax(1))
    assert found.num_images == table.sum()
    assert found.top1.share == pytest.approx(np.trace(table) / table.sum())
    assert [each.num_images for each in found.per_class] == table.sum(1).tolist()
    assert [each.accuracy for each in found.per_class] == pytest.approx((np.diag(table) / table.sum(1)).tolist())
    assert [each.name for each in found.per_class] == [str(digit) for digit in range(10)]
    assert found.top5 is not None
    assert found.top5.share == pytest.approx(top_k_accuracy_score(test.labels, logits, k=5))
    for share in (found.top1, found.top5):
        correct = round(share.share * found.num_images)
        interval = binomtest(correct, found.num_images).proportion_ci(method="wilson")
        assert (share.low, share.high) == pytest.approx((interval.low, interval.high))


def test_checkpoints_are_evaluated_too(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    accuracies = {line["step"]: line["ema_accuracy"] for line in lines}
    assert len(accuracies) > 2
    latest, best = read_trained(run, "latest"), read_trained(run, "best")
    assert latest.step == 60
    assert best.step == max(accuracies, key=lambda step: accuracies[step])
    for found in (latest, best, read_trained(run, 40)):
        assert found.step is not None
        assert evaluate(found, split="holdout").top1.share == accuracies[found.step]
    (run / "result.json").unlink()
    with pytest.raises(RunError, match=r"result.json: is not there: the training has not ended"):
        read_trained(run)
    with pytest.raises(RunError, match=r"no checkpoint 7; there are those of steps .*60"):
        read_trained(run, 7)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(RunError, match="no checkpoint 'best'; there are none"):
        read_trained(run, "best")


def test_without_data_json_the_data_tell(run: Path, model: TrainedModel, digits_cache: Path) -> None:
    assert json.loads((run / "data.json").read_text())["num_images"] == {"train": 1293, "holdout": 145, "test": 359}
    (run / "data.json").unlink()
    assert read_trained(run).data == model.data
    config = json.loads((run / "config.json").read_text())
    config["data"][0] = "0" * 64
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"data.json: is not there, and the data are not those"):
        read_trained(run)


def test_damage_is_named(run: Path) -> None:
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(RunError, match=r"model.safetensors: is no safetensors file, or is damaged"):
        read_trained(run)
    (run / "model.safetensors").write_bytes(content)
    (run / "data.json").write_text((run / "data.json").read_text().replace('"9"', '"9", "10"'))
    with pytest.raises(RunError, match=r"data.json: must name the network's 10 classes"):
        read_trained(run)


# Other images


def images(folder: Path, classes: Sequence[str], model: TrainedModel) -> DataConfig:
    """The test images of the digits, as a folder of classes of these names with a test split."""
    test = prepare(read_job(model.folder).data).split("test")
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            for row in np.flatnonzero(test.labels == label)[:4].tolist():
                pixels = test.take(slice(row, row + 1))[0].transpose(1, 2, 0)
                Image.fromarray(pixels).save(folder / split / name / f"{row}.png")
    return DataConfig(data=str(folder), image_size=8)


def test_other_images_are_normalised_as_those_of_the_training(model: TrainedModel, tmp_path: Path) -> None:
    data = images(tmp_path / "other", [str(digit) for digit in range(10)], model)
    found = evaluate(model, data=data)
    test = prepare(read_job(model.folder).data).split("test")
    rows = np.concatenate([np.flatnonzero(test.labels == label)[:4] for label in range(10)])
    mean, std = model.data.normalisation.mean, model.data.normalisation.std
    assert prepare(data).mean != mean
    with torch.inference_mode():
        logits = model.network(normalize(torch.from_numpy(test.take(rows)) / 255, mean, std))
    right = int((logits.argmax(1).numpy() == test.labels[rows]).sum())
    assert (found.num_images, found.top1.share) == (40, right / 40)


def test_streamed_images_are_the_same(model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = images(tmp_path / "other", [str(digit) for digit in range(10)], model)
    cached = evaluate(model, data=data)
    monkeypatch.setattr("nas.train.evaluate.choose_mode", lambda found, sizes: ("stream", "asked for"))
    monkeypatch.setattr("nas.train.streamed.default_workers", lambda threads: 0)
    streamed = evaluate(model, data=data)
    assert (streamed.top1, streamed.per_class) == (cached.top1, cached.per_class)


def test_another_size_is_another_evaluation(model: TrainedModel) -> None:
    found: Evaluation = evaluate(model, eval_size=12)
    assert (found.eval_size, found.num_images) == (12, 359)
    assert found.top1 != evaluate(model).top1


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["0", "1", "2"], "the data must have the model's 10 classes, got 3"),
        ([*"01234567", "8", "nine"], "class 9 of the data must be the model's '9', got 'nine'"),
    ],
)
def test_other_classes_are_refused(model: TrainedModel, tmp_path: Path, classes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(model, data=images(tmp_path / "other", classes, model))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same(model: TrainedModel) -> None:
    found = evaluate(model, compute=Compute(device="cuda"))
    assert found.top1.share == pytest.approx(evaluate(model).top1.share, abs=0.01)
