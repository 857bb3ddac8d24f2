"""`nas supernet train`: what it takes for a space, what it writes, how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.train import read_job
from nas.train.trained import read_supernet
from search_space import Space

Nas = Callable[..., Any]
QUICK = ("--space", "small.json", "--data", "digits", "--budget", "3st")


@pytest.fixture(autouse=True)
def _files(
    folder: Path, small_space: Space, digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """small.json, the space, made for 3 classes."""
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))
    Path("small.json").write_text(small_space.with_num_classes(3).to_json())


def test_a_supernet_is_trained_and_gone_on_with(nas: Nas, small_space: Space) -> None:
    said = nas("supernet", "train", *QUICK, "--out", "a", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert (document["steps"], document["num_test"], document["run"]) == (3, 359, "runs/a")
    assert "digits: 10 classes, 8x8 pixels" in said.err
    run = Path("runs/a")
    assert {path.name for path in run.iterdir()} >= {"config.json", "metrics.jsonl", "model.safetensors", "curves.png"}
    found = read_supernet(run)
    assert found.space == small_space, "its classes are the data's"
    assert found.config.job.recipe.batch_size == small_space.batch_size
    again = nas("supernet", "train", "--resume", "a")
    assert again.code == 0
    assert "runs/a: a supernet of small (144 networks), 3 steps" in again.out
    assert f"{document['params']:,} parameters" in again.out


def test_what_is_typed_is_what_is_trained(nas: Nas) -> None:
    typed = ("--image-size", "12", "--batch-size", "32", "--optimizer", "adamw", "--lr", "0.01", "--seed", "4")
    assert nas("supernet", "train", *QUICK, *typed, "--out", "a").code == 0
    job = read_job(Path("runs/a"))
    assert (job.recipe.train_size, job.recipe.eval_size, job.recipe.batch_size) == ((12, 12), 12, 32)
    assert (job.options.optimizer, job.options.lr, job.seed, job.recipe.phases) == ("adamw", 0.01, 4, 1)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--data", "digits", "--budget", "3st"), "a --space must be given"),
        (("--space", "small.json", "--data", "digits"), "a --budget must be given"),
        (("--space", "efficientnetv2-tyni", "--budget", "3st"), "efficientnetv2-tiny"),
        ((*QUICK, "--budget", "soon"), "soon"),
        ((*QUICK, "--compile"), "options.compile must be False for a supernet"),
        ((*QUICK, "--batch-size", "2000"), "batch_size must be at most 1293"),
        ((*QUICK, "--batch-size", "0"), "batch_size must be an integer from 1 to 1048576, got 0"),
        ((*QUICK, "--batch-size", "1"), "batch_size must be at least 2 for a supernet"),
        ((*QUICK, "--image-size", "0"), "train_size must be an integer from 8 to 16384, got 0"),
        ((*QUICK, "--growth", "fixed"), "--growth has no effect on a supernet"),
        ((*QUICK, "--grow-batch"), "--grow-batch has no effect on a supernet"),
        ((*QUICK, "--sync-bn"), "--sync-bn has no effect on 1 worker"),
        ((*QUICK, "--loader-workers", "-1"), "--loader-workers must be from 0"),
        (("--resume", "nowhere"), "nowhere"),
        (("--resume", "a", "--space", "small.json"), "--space cannot be given with --resume"),
    ],
)
def test_bad_input_is_named(nas: Nas, arguments: tuple[str, ...], rule: str) -> None:
    said = nas("supernet", "train", *arguments)
    assert (said.code, rule in said.err) == (2, True), said.err
    assert "Traceback" not in said.err
    assert not Path("runs").exists()


def test_other_commands_say_that_it_is_a_supernet(nas: Nas, finished_run: Path) -> None:
    assert nas("supernet", "train", *QUICK, "--out", "a").code == 0
    for arguments in (("evaluate", "a"), ("export", "a"), ("evaluate", "a", "--checkpoint", "latest")):
        said = nas(*arguments)
        assert (said.code, "must hold one network, but holds a supernet" in said.err) == (2, True), said.err
    said = nas("train", "--resume", "a")
    assert (said.code, "is a supernet: nas supernet train --resume goes on with it" in said.err) == (2, True), said.err
    said = nas("supernet", "train", "--resume", str(finished_run))
    assert (said.code, "is of one network: nas train --resume goes on with it" in said.err) == (2, True), said.err


def test_the_name_has_two_words(nas: Nas) -> None:
    said = nas("supernet", "--json")
    assert (said.code, said.document["exit_code"]) == (2, 2)
    assert "no command 'supernet': did you mean 'supernet train'?" in said.err
    assert json.loads(said.out)
