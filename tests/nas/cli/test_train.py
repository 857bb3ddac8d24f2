"""`nas train`: what it takes for a network, a recipe and data, what it writes, how it ends."""

import json
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from nas.cli.train_config import Config
from nas.cli.training_line import TrainingLine, work_left
from nas.train import Phase, TrainJob, read_job
from nas.train.origin import IMAGENET, Normalisation
from nas.train.report import Metrics, Now
from scaling import ProgressiveRecipe
from search_space import ArchSpec, architecture, parse_json

Nas = Callable[..., Any]
QUICK = ("--data", "digits", "--budget", "6st", "--batch-size", "16")


@pytest.fixture(autouse=True)
def _cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def tiny(folder: Path, tiny_arch: ArchSpec) -> str:
    """A file with a network of 10 classes."""
    (folder / "tiny.json").write_text(tiny_arch.with_num_classes(3).to_json())
    return "tiny.json"


def job_of(name: str) -> TrainJob:
    return read_job(Path("runs") / name)


def test_a_network_is_trained_and_the_folder_is_whole(nas: Nas, tiny: str, tiny_arch: ArchSpec) -> None:
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert (document["steps"], document["num_test"], document["run"]) == (6, 359, "runs/a")
    assert document["key"] == tiny_arch.key, "its classes are the data's"
    assert 0 <= document["ema_accuracy"] <= 1
    run = Path("runs/a")
    assert {path.name for path in run.iterdir()} >= {"config.json", "metrics.jsonl", "checkpoints", "result.json"}
    assert (run / "model.safetensors").stat().st_size > 4 * tiny_arch.params
    assert ArchSpec.from_json((run / "arch.json").read_text()) == tiny_arch
    assert "digits: 10 classes, 16x16 pixels" in said.err
    assert "data mode cache: the images are in memory anyway" in said.err
    assert "averaged" in said.err
    config = json.loads((run / "config.json").read_text())
    assert config["environment"]["versions"]["torch"]
    job = job_of("a")
    assert (job.recipe.train_size.last, job.recipe.batch_size) == (16, 16)
    assert (job.options.optimizer, job.options.lr) == ("rmsprop", 0.016)
    again = nas("train", "--resume", "a")
    assert again.code == 0
    assert "test accuracy" in again.out
    assert nas("describe", "runs/a/arch.json").code == 0
    said = nas("pareto", "a")
    assert (said.code, "is of a training (nas train), not of a search" in said.err) == (2, True)


def test_a_familys_member_brings_its_recipe(nas: Nas, tiny: str) -> None:
    assert nas("scale", "--base", tiny, "--image-size", "16", "--sizes", "S,M", "--out", "kin").code == 0
    for arch in ("runs/kin:M", "kin:M"):
        out = arch.replace("/", "-").replace(":", "-")
        said = nas("train", arch, *QUICK, "--optimizer", "sgd", "--lr", "0.1", "--out", out, "--growth", "fixed")
        assert said.code == 0, said.err
        recipe = parse_json(ProgressiveRecipe, Path("runs/kin/M.recipe.json").read_text())
        job = job_of(out)
        assert job.recipe.train_size == recipe.train_size
        assert job.recipe.dropout == recipe.dropout
        assert (job.recipe.batch_size, job.options.rate, job.options.lr) == (16, "one-cycle", 0.1)
        assert job.options.growth == "fixed"
    recipe_file = ("--recipe", "runs/kin/S.recipe.json")
    assert nas("train", tiny, *QUICK, *recipe_file, "--out", "c").code == 0
    said = nas("train", tiny, *QUICK, *recipe_file, "--image-size", "16")
    assert (said.code, "--image-size has no effect" in said.err) == (2, True)
    assert "has no member 'Z'" in nas("train", "kin:Z", *QUICK).err


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((), "an ARCH must be given, or a --family, or a run with --resume"),
        (("efficientnetv2-s",), "did you mean 'efficientnetv2_s'?"),
        (("tiny.json", "--data", "digitz"), "did you mean digits"),
        (("tiny.json", "--budget", "30"), "epochs (30ep), steps (5000st) or wall clock (90s, 30m, 2h, 1d), got '30'"),
        (("tiny.json", "--budget", "0ep"), "budget must be above 0, and under 1e9 epochs, steps or seconds, got '0ep'"),
        (("tiny.json", "--budget", "1e99h"), "a training's budget must be epochs (30ep), steps (5000st) or wall clock"),
        (("tiny.json", "--budget", "3st", "--image-size", "16"), "at least 1 for each of 4 phases, got 3"),
        (("tiny.json", "--budget", "0.01s", "--image-size", "16"), "were timed, got 0.01s"),
        (("tiny.json", "--image-size", "16", "--batch-size", "5000"), "at most 1293, the train images, got 5000"),
        (("tiny.json", "--lr", "-1"), "FullOptions.lr must be above 0 and at most 1e+30, got -1"),
        (("tiny.json", "--lr", "1e300"), "FullOptions.lr must be above 0 and at most 1e+30, got 1e+300"),
        (("tiny.json", "--checkpoint-seconds", "nan"), "--checkpoint-seconds must be a number of at least 0, got nan"),
        (("tiny.json", "--checkpoint-seconds", "-1"), "--checkpoint-seconds must be a number of at least 0, got -1"),
        (("tiny.json", "--device", "tpu"), "Compute.device must be cpu, cuda or cuda:N"),
        (("tiny.json", "--device", "cuda:99"), "CUDA devices here, got 'cuda:99'"),
        (("tiny.json", "--threads", "4096"), "threads must be at most"),
        (("tiny.json", "--recipe", "none.json"), "none.json: No such file"),
        (("tiny.json", "--image-size", "16", "--out", ".x"), "must not begin with . or -, got '.x'"),
        (("tiny.json", *QUICK, "--loader-workers", "-1"), "--loader-workers must be from 0 to 256, got -1"),
        (("tiny.json", *QUICK, "--image-size", "16", "--max-corrupt", "1"), "at least 0 and below 1, got 1.0"),
        (
            ("tiny.json", "--image-size", "16", "--data", "torchvision:Flower102"),
            "did you mean torchvision:Flowers102?",
        ),
        (("tiny.json", "--workers", "two"), "workers must be a number (4) or MIN:MAX (2:4), got 'two'"),
        (("tiny.json", "--workers", "0"), "workers must be from 1 to 4096, the least before the most, got 0"),
        (("tiny.json", "--workers", "3:2"), "the least before the most, got 3:2"),
        (("tiny.json", "--image-size", "16", "--workers", "3"), "must be a multiple of 12 with 3 workers"),
        (("tiny.json", "--image-size", "16", "--batch-size", "40", "--workers", "1:5"), "got 40"),
        (("tiny.json", "--image-size", "16", "--workers", "2", "--compile"), "--compile must be left out"),
        (("tiny.json", "--sync-bn"), "--sync-bn has no effect on 1 worker: give --workers too"),
        (("tiny.json", "--address", "auto"), "--address has no effect on 1 worker"),
        (("--resume", "gone"), "no run 'gone'"),
        (("--resume", "gone", "--lr", "1"), "--lr cannot be given with --resume"),
        (("tiny.json", "--resume", "gone"), "ARCH 'tiny.json' cannot be given with --resume"),
        (("--resume", "gone", "--init", "a.pt"), "--init cannot be given with --resume"),
        (("tiny.json", "--fine-tune"), "--fine-tune must have weights to start from (--init)"),
        (("tiny.json", "--init-origin", "timm"), "--init-origin must have weights to start from (--init)"),
        (("tiny.json", "--init", "gone"), "no run 'gone'"),
        (("tiny.json", "--init", "gone.pth"), "gone.pth: no such file"),
        (("tiny.json", "--init", "tiny.json"), "tiny.json: a file of weights must end in .safetensors, .pt, .pth"),
        (("tiny.json", "--fine-tune", "--growth", "fixed"), "--growth has no effect with --fine-tune"),
        (("tiny.json", "--normalisation", "half"), "must be imagenet, inception or MEAN:STD (0.5:0.5), got 'half'"),
        (("tiny.json", "--optimizer", "adamw", "--momentum", "0.5"), "--momentum has no effect with adamw"),
        (("tiny.json", "--ema-decay", "1"), "FullOptions.ema_decay must be at least 0 and below 1, got 1"),
        (("tiny.json", "--bn-momentum", "0"), "FullOptions.bn_momentum must be above 0 and at most 1, got 0"),
        (("tiny.json", "--random-erasing", "2"), "FullOptions.random_erasing must be from 0 to 1, got 2"),
    ],
)
def test_bad_input_is_named(nas: Nas, tiny: str, arguments: tuple[str, ...], rule: str) -> None:
    said = nas("train", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert rule in said.err
    assert "Traceback" not in said.err
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_a_compiler_is_asked_for_again_where_a_training_goes_on(
    nas: Nas, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a").code == 0
    path = Path("runs/a/config.json")
    config = json.loads(path.read_text())
    config["job"]["options"]["compile"] = True
    path.write_text(json.dumps(config))
    monkeypatch.setenv("CXX", "gone")
    assert nas("train", "--resume", "a").code == 0, "it has ended"
    Path("runs/a/result.json").unlink()
    said = nas("train", "--resume", "a")
    assert (said.code, "compile must be left out on a CPU without a C++ compiler" in said.err) == (2, True)


def test_a_search_is_no_training(nas: Nas, a_run: Path) -> None:
    said = nas("train", "--resume", "first")
    assert (said.code, "must be of a training" in said.err) == (2, True)


def test_a_lost_loss_is_a_failure(nas: Nas, tiny: str) -> None:
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--optimizer", "sgd", "--lr", "1e30", "--out", "a")
    assert said.code == 1
    assert "the loss was not finite at step" in said.err
    assert "Traceback" not in said.err


def test_a_signal_ends_with_a_checkpoint_and_says_how_to_go_on(
    nas: Nas, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TrainingLine.step

    def step(self: TrainingLine, now: Now) -> None:
        plain(self, now)
        if now.step == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(TrainingLine, "step", step)
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a")
    assert said.code == 130
    assert "stopped after step 3 of 6, which is kept; to go on: nas train --resume runs/a" in said.err
    assert not Path("runs/a/result.json").exists()
    monkeypatch.setattr(TrainingLine, "step", plain)
    said = nas("train", "--resume", "runs/a", "--checkpoint-seconds", "1")
    assert said.code == 0
    assert "goes on after step 3" in said.err


def test_without_a_recipe_a_published_network_has_its_own(
    nas: Nas, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.cli import train_job as module

    name, arch, recipe = module._network(Config(arch="efficientnetv2_m", preset="released"))
    assert (name, arch) == ("efficientnetv2_m", architecture("efficientnetv2_m"))
    assert recipe.train_size == (192, 384)
    assert (recipe.eval_size, recipe.epochs, recipe.batch_size) == (480, 350, 128)


def now(step: int = 5) -> Now:
    phases = tuple(
        Phase(index=index, image_size=size, randaugment=0, mixup=0, cutmix=0, dropout=0, batch_size=8, steps=10)
        for index, size in enumerate((10, 20))
    )
    return Now(step=step, total_steps=20, phase=phases[step > 10], phases=phases, batch_size=8, loss=1.25)


def test_work_left_counts_pixels() -> None:
    assert work_left(now(5)) == 5 + 10 * 4
    assert work_left(now(15)) == 5
    assert work_left(now(20)) == 0
    grown = now(5)
    first, last = replace(grown.phases[0], batch_size=32), grown.phases[1]
    assert work_left(replace(grown, phase=first, phases=(first, last))) == 5 + 10


def test_the_live_line() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=200)
    with TrainingLine(console) as line:
        assert str(line.__rich__()) == "getting ready"
        line.step(now(4))
        line.evaluated(
            Metrics(
                step=4,
                epoch=0.5,
                phase=0,
                image_size=10,
                lr=0.1,
                loss=1.0,
                accuracy=0.5,
                ema_accuracy=0.25,
                images_per_s=9.0,
                data_wait=0.1,
                seconds=1.0,
            )
        )
        for step in (4, 5):
            line.step(now(step))
        shown = str(line.__rich__())
    assert shown.startswith("step 5/20 | phase 1/2 | 10 px | loss 1.250 | accuracy 0.2500 | ")
    assert "images/s" in shown
    assert shown.endswith(" left")


@pytest.mark.parametrize("mode", ["cache", "stream"])
def test_the_data_may_move(nas: Nas, tiny: str, folder: Path, mode: str) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for split, rows in (("train", range(300)), ("test", range(300, 360))):
        for row in rows:
            place = folder / "here" / split / str(digits.target[row])
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[row] * 15).astype("uint8")).save(place / f"{row}.png")
    options = ("--budget", "4st", "--batch-size", "16", "--image-size", "16", "--out", "a")
    options = (*options, "--data-mode", mode, "--loader-workers", "0")
    said = nas("train", tiny, "--data", "here", *options)
    assert said.code == 0, said.err
    assert ("--loader-workers has no effect" in said.err) is (mode == "cache")
    assert job_of("a").data_mode == mode
    Path("runs/a/result.json").unlink()
    (folder / "here").rename(folder / "there")
    said = nas("train", "--resume", "a")
    assert (said.code, "does not exist" in said.err) == (2, True)
    said = nas("train", "--resume", "a", "--data", "there", "--loader-workers", "0")
    assert said.code == 0, said.err
    (folder / "there/test/0").joinpath("more.png").write_bytes(next((folder / "there/test/1").iterdir()).read_bytes())
    said = nas("train", "--resume", "a", "--data", "there")
    assert (said.code, "the data are not those" in said.err) == (2, True)


def test_every_option_of_a_training_can_be_typed(nas: Nas, tiny: str) -> None:
    typed = {
        "optimizer": "sgd",
        "lr": 0.1,
        "rate": "cosine",
        "momentum": 0.8,
        "weight_decay": 0.001,
        "label_smoothing": 0.05,
        "ema_decay": 0.99,
        "bn_momentum": 0.2,
        "clip_norm": 5.0,
        "min_crop_area": 0.5,
        "randaugment_layers": 1,
        "cutout": 0.25,
        "random_erasing": 0.5,
        "growth": "fixed",
        "accumulate": 2,
    }
    options = [part for name, value in typed.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a", "--normalisation", "0.3:0.4", *options)
    assert said.code == 0, said.err
    job = job_of("a")
    assert asdict(job.options) == {**typed, "grow_batch": False, "compile": False, "sync_bn": False}
    assert job.normalisation == Normalisation.parse("0.3:0.4")


def test_a_run_is_what_a_fine_tuning_starts_from(nas: Nas, tiny: str, folder: Path) -> None:
    assert nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a").code == 0
    assert nas("scale", "--base", tiny, "--image-size", "12", "--sizes", "S", "--out", "kin").code == 0
    few = ("--budget", "2st", "--batch-size", "16")
    for name, init, network in (
        ("b", "a", (tiny, "--image-size", "12")),
        ("c", "runs/a/checkpoints/step-6.pt", ("kin:S",)),
    ):
        said = nas("train", *network, *few, "--init", init, "--fine-tune", "--out", name)
        assert said.code == 0, said.err
        assert "(ours), its classifier of 10 classes too;" in said.err
        job = job_of(name)
        assert job.init is not None
        assert Path(job.init.path).is_absolute()
        assert job.normalisation == job_of("a").normalisation, "not that of its own, smaller images"
        options = job.options
        assert (options.lr * 512 / 256, options.rate, options.weight_decay) == (0.001, "cosine", 0.0)
        assert (options.ema_decay, options.cutout, options.min_crop_area) == (0.9996, 0.5, 1.0)
        assert (job.recipe.mixup, job.recipe.dropout, job.recipe.phases, job.recipe.batch_size) == (
            (0, 0),
            (0, 0),
            1,
            16,
        )
    assert job_of("b").recipe.train_size == (12, 12)
    assert job_of("c").recipe.train_size == (16, 16), "the recipe's evaluation size"


def test_timms_weights_bring_their_padding_and_normalisation(nas: Nas, folder: Path) -> None:
    import timm
    import torch

    from nas.cli.train_job import new_job

    torch.save(timm.create_model("tf_efficientnetv2_b0", num_classes=3).state_dict(), folder / "b0.pth")
    said = nas("train", "efficientnetv2_b0", *QUICK, "--init", "b0.pth")
    assert (said.code, "--init-origin must be timm-tf" in said.err) == (2, True)
    said = nas("train", "efficientnetv2_b0", *QUICK, "--init", "b0.pth", "--init-origin", "ours")
    assert (said.code, "has timm's names" in said.err) == (2, True)
    said = nas("train", "efficientnetv2_b1", *QUICK, "--init", "b0.pth", "--init-origin", "timm")
    assert (said.code, "b0.pth: stage 1 (F3e1-16x2), layer 2, project: the model has no tensor" in said.err) == (
        2,
        True,
    )
    assert not Path("runs").exists()
    config = Config(arch="efficientnetv2_b0", init="b0.pth", init_origin="timm-tf", fine_tune=True, image_size=16)
    job, _ = new_job(config)
    assert (job.arch.padding, job.arch.norm_eps, job.normalisation) == ("same", 1e-3, IMAGENET)
    assert job.arch.head.num_classes == 10
    assert (job.length.steps, job.recipe.batch_size, job.recipe.train_size) == (10_000, 512, (16, 16))


def test_weights_without_their_run_are_told_of(nas: Nas, tiny: str, folder: Path) -> None:
    assert nas("train", tiny, *QUICK, "--image-size", "16", "--out", "a").code == 0
    Path("runs/a/model.safetensors").rename("mine.safetensors")
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--init", "a")
    assert (said.code, "runs/a: has no model.safetensors" in said.err) == (2, True)
    said = nas("train", tiny, *QUICK, "--image-size", "16", "--init", "mine.safetensors", "--out", "b")
    assert said.code == 0
    assert "the mean and spread of these data" in said.err
