"""`nas train --family`, a member by its file, and budgets of wall clock as they are typed."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from nas.cli.training_line import TrainingLine
from nas.train import TrainLength, read_job
from nas.train import budget as budget_module
from nas.train import full as full_module
from nas.train.report import Now
from scaling import Family, ProgressiveRecipe
from search_space import ArchSpec, parse_json
from tests.nas.train.test_budget import ticking

Nas = Callable[..., Any]
QUICK = ("--data", "digits", "--budget", "4st", "--batch-size", "64", "--optimizer", "sgd")


@pytest.fixture(autouse=True)
def _cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def kin(nas: Nas, tiny_arch: ArchSpec) -> Path:
    """A family of 2, for images of 8 pixels; in its family.json the smallest comes last."""
    Path("tiny.json").write_text(tiny_arch.to_json())
    said = nas("scale", "--base", "tiny.json", "--image-size", "8", "--sizes", "0,1.5", "--out", "kin")
    assert "nas train --family runs/kin --data DIR" in said.out
    path = Path("runs/kin/family.json")
    record = json.loads(path.read_text())
    record["family"]["members"].reverse()
    path.write_text(json.dumps(record))
    return Path("runs/kin")


def models(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


def test_every_member_is_trained_as_it_would_be_alone(nas: Nas, kin: Path) -> None:
    said = nas("train", "--family", "kin", *QUICK, "--seed", "3", "--grow-batch", "--json")
    assert said.code == 0, said.err
    assert said.document["run"] == "runs/kin/trained"
    trained = said.document["trained"]
    assert [each["name"] for each in trained] == ["0", "1.5"]
    assert [each["params"] for each in trained] == sorted(each["params"] for each in trained)
    assert said.err.index("training 0, 1 of 2") < said.err.index("training 1.5, 2 of 2")
    for member in Family.from_json((kin / "family.json").read_text()).members:
        job = read_job(kin / "trained" / member.name)
        assert job.arch.key == member.arch.with_num_classes(10).key
        assert (job.seed, job.length, job.options.grow_batch) == (3, TrainLength(steps=4), True)
    for number, arch in enumerate(("runs/kin/1.5.json", "kin:1.5")):
        alone = nas("train", arch, *QUICK, "--seed", "3", "--grow-batch", "--out", f"alone-{number}")
        assert alone.code == 0, alone.err
        assert Path(f"runs/alone-{number}/model.safetensors").read_bytes() == models(kin / "trained")["1.5"]
    again = nas("train", "--resume", "kin/trained", "--json")
    results = [{key: value for key, value in each.items() if key != "folder"} for each in trained]
    assert [
        {key: value for key, value in each.items() if key != "folder"} for each in again.document["trained"]
    ] == results
    for command in ("evaluate", "export", "pareto"):
        refused = nas(command, "runs/kin/trained")
        assert (refused.code, "Traceback" in refused.err) == (2, False)
        assert "of a family's trainings: name one of them" in refused.err or "is of a training" in refused.err


def test_an_interrupted_family_goes_on(nas: Nas, kin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nas("train", "--family", "runs/kin", *QUICK, "--out", "plain").code == 0
    plain = TrainingLine.step

    def step(self: TrainingLine, now: Now) -> None:
        plain(self, now)
        if now.step == 2 and Path("runs/a/0/result.json").exists():
            signal.raise_signal(signal.SIGTERM)

    for how in (("--resume", "a"), ("--family", "kin", *QUICK, "--out", "a")):
        monkeypatch.setattr(TrainingLine, "step", step)
        said = nas("train", "--family", "runs/kin", *QUICK, "--out", "a")
        assert said.code == 130
        assert "stopped after step 2 of 4, which is kept; to go on: nas train --resume runs/a" in said.err
        begun = models(Path("runs/a"))
        assert set(begun) == {"0"}
        monkeypatch.setattr(TrainingLine, "step", plain)
        said = nas("train", *how)
        assert said.code == 0, said.err
        assert "goes on after step 2" in said.err
        assert models(Path("runs/a")) == models(Path("runs/plain"))
        assert [line.split()[0] for line in said.out.splitlines()[-2:]] == ["0", "1.5"]
        assert "runs/a/1.5/model.safetensors" in said.out
        rmtree("runs/a/1.5")


def test_a_members_file_brings_the_recipe_beside_it(nas: Nas, kin: Path) -> None:
    path = kin / "1.5.recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps({**recipe, "dropout": [0.0, 0.125]}))
    said = nas("train", "runs/kin/1.5.json", *QUICK, "--out", "a")
    assert said.code == 0, said.err
    assert read_job(Path("runs/a")).recipe.dropout == (0, 0.125)
    assert read_job(Path("runs/a")).recipe.train_size == parse_json(ProgressiveRecipe, path.read_text()).train_size
    for arguments in (("kin:1.5",), ("--family", "kin")):
        said = nas("train", *arguments, *QUICK)
        assert (said.code, "1.5.recipe.json: must be as family.json beside it says" in said.err) == (2, True)
    assert nas("train", "kin:0", *QUICK, "--out", "b").code == 0
    path.unlink()
    said = nas("train", "runs/kin/1.5.json", *QUICK)
    assert (said.code, "1.5.recipe.json: is missing: give a --recipe" in said.err) == (2, True)
    assert nas("train", "runs/kin/1.5.json", *QUICK, "--recipe", "runs/kin/0.recipe.json", "--out", "c").code == 0
    assert nas("train", "--family", "kin", *QUICK).code == 0, "family.json has all of it"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("tiny.json", "--family", "kin"), "either an ARCH or a --family can be given"),
        (("--family", "gone"), "no family 'gone': neither a folder with a family.json"),
        (("--family", "kim"), "(did you mean 'kin'?)"),
        (("--family", ""), "no family ''"),
        (("--family", "kin", "--recipe", "runs/kin/0.recipe.json"), "--recipe cannot be given with --family"),
        (("--family", "kin", "--init", "a.pth"), "--init cannot be given with --family: it is of one network"),
        (("--family", "kin", "--fine-tune"), "--fine-tune cannot be given with --family"),
        (("--family", "kin", "--image-size", "16"), "--image-size has no effect: the recipe"),
        (("--family", "kin", "--budget", "0ep"), "budget must be above 0"),
        (("--family", "kin", "--resume", "x"), "--family cannot be given with --resume"),
        (("--family", "kin", "--data", "digitz"), "did you mean digits"),
        (("--family", "kin", "--out", ".x"), "must not begin with . or -, got '.x'"),
        (("--family", "kin", "--out", "kin"), "runs/kin: must be a new or an empty folder, but holds "),
    ],
)
def test_bad_input_is_named(nas: Nas, kin: Path, arguments: tuple[str, ...], rule: str) -> None:
    said = nas("train", *arguments)
    assert (said.code, said.out) == (2, "")
    assert rule in said.err
    assert "Traceback" not in said.err
    assert [path.name for path in Path("runs").iterdir()] == ["kin"]
    assert not (kin / "trained").exists()


def test_a_hostile_family_or_record_is_refused(nas: Nas, kin: Path) -> None:
    path = kin / "family.json"
    text = path.read_text()
    path.write_text(text.replace('"name": "1.5"', '"name": "../../x"'))
    said = nas("train", "--family", "kin", *QUICK)
    assert (said.code, "Member.name must be" in said.err) == (2, True)
    path.write_text("{")
    assert nas("train", "--family", "kin", *QUICK).code == 2
    path.write_text(text)
    assert nas("train", "--family", "kin", *QUICK, "--out", "a").code == 0
    for options in (("--seed", "1"), ("--budget", "5st")):
        said = nas("train", "--family", "kin", *QUICK, *options, "--out", "a")
        assert (said.code, "runs/a: holds other trainings of a family already" in said.err) == (2, True)
    record = Path("runs/a/config.json")
    for damage in (record.read_text().replace('"seed": 0', '"seed": "x"'), record.read_text().replace("seed", "sead")):
        kept = record.read_text()
        record.write_text(damage)
        said = nas("train", "--resume", "a")
        assert (said.code, "runs/a/config.json: " in said.err, "Traceback" in said.err) == (2, True, False)
        record.write_text(kept)


def test_wall_clock_becomes_steps_on_record(nas: Nas, kin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "time", ticking(0.1))
    wall_clock = ("--budget", "0.2m", "--batch-size", "64", "--optimizer", "sgd")
    said = nas("train", "--family", "kin", *wall_clock, "--json")
    assert said.code == 0, said.err
    assert said.err.count("budget 12s: ") == 2, "each member has a budget of its own"
    for each in said.document["trained"]:
        assert read_job(Path(each["folder"])).length == TrainLength(seconds=12, steps=each["steps"])
    (kin / "trained/1.5/result.json").unlink()
    monkeypatch.setattr(full_module, "measured_length", None)
    again = nas("train", "--resume", "kin/trained", "--json")
    assert again.code == 0, again.err
    assert [each["steps"] for each in again.document["trained"]] == [each["steps"] for each in said.document["trained"]]
    assert " steps fit" not in again.err


def test_after_too_short_a_budget_a_longer_one_may_follow(nas: Nas, kin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "time", ticking(0.1))
    said = nas("train", "--family", "kin", "--batch-size", "64", "--budget", "1s")
    assert (said.code, "budget must be longer: it was over while steps at" in said.err) == (2, True)
    assert not (kin / "trained").exists(), "nothing is left of it"
    assert nas("train", "--family", "kin", *QUICK).code == 0
