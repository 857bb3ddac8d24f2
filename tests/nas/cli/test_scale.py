"""`nas scale`: the family in a folder, by size and by target, from every kind of base."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results import Objective, RunWriter
from scaling import Family
from search_space import ArchSpec, architecture, load_space
from tests.nas.cli.conftest import make_trial_of

Nas = Callable[..., Any]


def test_the_published_family(nas: Nas, folder: Path) -> None:
    said = nas("scale", "--base", "S")
    assert said.code == 0
    assert said.err == ""
    first, _, header, *rows = said.out.splitlines()
    assert first == "base: efficientnetv2_s; unrounded widths and depths are known"
    assert header.split()[:2] == ["phi", "params"]
    assert [row.split()[:3] for row in rows[:3]] == [
        ["S", "0.00", "21,458,488"],
        ["M", "1.00", "54,139,356"],
        ["L", "2.75", "118,515,272"],
    ]
    assert "nas describe runs/family-S/L.json --image-size 480" in said.out
    written = folder / "runs" / "family-S"
    for name in ("S", "M", "L"):
        arch = ArchSpec.from_json((written / f"{name}.json").read_text())
        assert arch.key == architecture(f"efficientnetv2_{name.lower()}").key
    family = Family.from_json((written / "family.json").read_text())
    assert json.loads((written / "M.recipe.json").read_text())["train_size"] == list(
        family.member("M").recipe.train_size
    )
    assert nas("describe", "runs/family-S/M.json").code == 0


def test_torch_stays_out(nas: Nas) -> None:
    code = "import sys; from nas.cli import main; main(['scale', '--json']); sys.exit(10 * ('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_as_json(nas: Nas) -> None:
    document = nas("scale", "--sizes", "S,L", "--recipe", "released", "--num-classes", "10", "--json").document
    small, large = document["members"]
    assert (small["name"], large["name"]) == ("S", "L")
    assert (small["params_ratio"], small["step_time_ratio"]) == (1.0, None)
    assert large["recipe"]["cutmix"] == [0, 0.5]
    assert large["params"] == 118_515_272 - 990 * 1281
    assert document["targets"] == document["notes"] == []


def test_again_and_another(nas: Nas, folder: Path) -> None:
    assert nas("scale").code == 0
    assert nas("scale").code == 0
    said = nas("scale", "--sizes", "S,M")
    assert said.code == 2
    assert "runs/family-S: holds another family already: choose another folder with --out" in said.err
    assert nas("scale", "--sizes", "S,M", "--out", "two").code == 0
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("keep")
    said = nas("scale", "--out", str(folder / "mine"))
    assert "mine: is there already and holds no family" in said.err
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes.txt"]


def test_an_interrupted_writing_is_gone_on_with(nas: Nas, folder: Path) -> None:
    assert nas("scale").code == 0
    (folder / "runs" / "family-S" / "family.json").unlink()
    (folder / "runs" / "family-S" / "L.json").unlink()
    assert nas("scale").code == 0
    assert (folder / "runs" / "family-S" / "L.json").exists()


def test_by_target(nas: Nas) -> None:
    document = nas("scale", "--target", "M=2.5x,L=120M", "--out", "t", "--json").document
    assert [member["name"] for member in document["members"]] == ["S", "M", "L"]
    assert document["members"][1]["params_ratio"] == pytest.approx(2.5, rel=0.03)
    assert document["members"][2]["params"] == pytest.approx(120e6, rel=0.03)
    assert [target["asked"] for target in document["targets"]] == ["M=2.5x", "L=1.2e+08"]
    by_macs = nas("scale", "--target", "M=3x", "--by", "macs", "--out", "m", "--json").document
    assert by_macs["members"][1]["macs_ratio"] == pytest.approx(3, rel=0.03)


def test_a_target_out_of_reach_is_said(nas: Nas) -> None:
    said = nas("scale", "--target", "M=1.1x")
    assert said.code == 0
    assert "no member of this family comes within 3 % of M=1.1x by params: the nearest has 90.9 % of it" in said.err


@pytest.fixture
def a_search(folder: Path) -> Path:
    """runs/found: a run in the published space, whose winner is trial 1."""
    space = load_space("efficientnetv2")
    other = space.decode([0] * len(space.decisions))
    config = {"image_size": 224, "batch_size": 32, "space": json.loads(space.to_json())}
    objective = Objective(reference_params=space.reference.params)
    path = Path("runs") / "found"
    with RunWriter.create(path, config=config, objective=objective) as writer:
        writer.append(make_trial_of(0, other, accuracy=0.1))
        writer.append(make_trial_of(1, space.reference, accuracy=0.9))
    return path


def test_a_runs_winner_keeps_its_unrounded_widths(nas: Nas, a_search: Path, folder: Path) -> None:
    said = nas("scale", "--run", "found")
    assert said.out.startswith("base: the winner of found, trial 1 (reward 0.9000); unrounded widths")
    arch = ArchSpec.from_json((folder / "runs" / "family-found" / "L.json").read_text())
    assert arch.key == architecture("efficientnetv2_l").key
    family = Family.from_json((folder / "runs" / "family-found" / "family.json").read_text())
    assert [member.recipe.batch_size for member in family.members] == [32, 32, 32]
    assert nas("scale", "--base", "found:1", "--out", "same", "--json").document["members"][2]["key"] == arch.key


@pytest.mark.parametrize("base", ["efficientnet_b4", "mobilenet_v2", "B2", "m", "mine.json"])
def test_any_network_is_a_base(nas: Nas, folder: Path, base: str) -> None:
    (folder / "mine.json").write_text(load_space("efficientnetv2-tiny").reference.to_json())
    document = nas("scale", "--base", base, "--json").document
    params = [member["params"] for member in document["members"]]
    assert params == sorted(params)
    assert params[2] > 2 * params[0]


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (("--base", "efficientnetv2_q"), "did you mean"),
        (("--base", "nope.json"), "No such file"),
        (("--run", "nope"), "no run 'nope'"),
        (("--run", "nope", "--base", "M"), "--base must be S or left out, got 'M'"),
        (("--sizes", "S", "--target", "M=2x"), "either sizes or target can be given"),
        (("--by", "macs"), "--by says what a --target is of"),
        (("--target", "S=2x"), "a target cannot be called S"),
        (("--target", "M=2"), None),
        (("--sizes", "Q"), "sizes must be S, M, L, XL or numbers"),
        (("--sizes", ""), "sizes must be S, M, L, XL or numbers (phi), got ''"),
        (("--target", "family=2x"), "names whose files (NAME.json, NAME.recipe.json, beside family.json) differ"),
        (("--target", "M.recipe=2x,M=3x"), "differ, with capitals and without, got ['S', 'M.recipe', 'M']"),
        (("--target", "s=2x"), "differ, with capitals and without, got ['S', 's']"),
        (("--batch-size", "8"), "--batch-size is of step times: it needs --step-times or --by step-time; a training"),
        (("--target", "M=2x", "--threads", "0"), "--threads is of step times: it needs --step-times or --by step-time"),
        (("--rounding", "x"), "a rounding must be a divisor"),
        (("--max-image-size", "2"), "max_image_size must be an integer from 8"),
        (("--image-size", "4"), "image_size must be from 8 to 4096, got 4"),
        (("--num-classes", "0"), "num_classes must be an integer from 1"),
        (("--out", "runs/.."), "name"),
        (("--step-times", "--batch-size", "0"), "batch_size must be an integer from 2"),
        (("--step-times", "--threads", "0"), "threads must be"),
        (("--step-times", "--threads", "9999"), "threads must be at most"),
    ],
)
def test_bad_input(nas: Nas, flags: tuple[str, ...], rule: str | None) -> None:
    said = nas("scale", *flags)
    if rule is None:
        assert said.code == 0
    else:
        assert said.code == 2
        assert rule in said.err
        assert "Traceback" not in said.err
        assert not Path("runs").exists() or not any(Path("runs").iterdir())


@pytest.mark.slow
def test_by_step_time(nas: Nas, in_process: None, tiny_arch: ArchSpec) -> None:
    Path("tiny.json").write_text(tiny_arch.to_json())
    flags = ("--base", "tiny.json", "--image-size", "16", "--batch-size", "4", "--target", "M=3x", "--by", "step-time")
    said = nas("scale", *flags, "--json")
    assert said.code == 0
    assert "batch 4, 16 px, float32, threads 1" in said.err
    small, large = said.document["members"]
    assert small["step_time_ratio"] == pytest.approx(1.0)
    assert large["step_time_ratio_low"] < large["step_time_ratio"] < large["step_time_ratio_high"]
    assert large["step_time_ratio"] == pytest.approx(3 * said.document["targets"][0]["share"], rel=0.01)


@pytest.mark.slow
def test_step_times_in_the_table(nas: Nas, in_process: None, tiny_arch: ArchSpec) -> None:
    Path("tiny.json").write_text(tiny_arch.to_json())
    said = nas("scale", "--base", "tiny.json", "--image-size", "16", "--batch-size", "4", "--step-times")
    assert said.code == 0
    assert "step: predicted training step at 16 px over the base's" in said.out
    assert said.out.splitlines()[3].split()[6] == "1.00"


def test_a_run_without_a_space_is_no_base(nas: Nas, a_run: Path) -> None:
    said = nas("scale", "--run", "first")
    assert said.code == 2
    assert "config.json: space" in said.err


def test_a_run_without_a_winner_is_no_base(nas: Nas, folder: Path) -> None:
    space = load_space("efficientnetv2-tiny")
    objective = Objective(reference_params=space.reference.params)
    RunWriter.create(Path("runs") / "none", config={"image_size": 32}, objective=objective).close()
    said = nas("scale", "--run", "none")
    assert said.code == 2
    assert "no network was measured in full" in said.err


@pytest.mark.slow
def test_the_family_is_trained(nas: Nas, folder: Path, tiny_arch: ArchSpec, one_thread: None) -> None:
    Path("tiny.json").write_text(tiny_arch.to_json())
    flags = ("--base", "tiny.json", "--image-size", "8", "--sizes=-1,S", "--train", "--budget", "1ep")
    flags += ("--train-batch-size", "256", "--optimizer", "sgd", "--json")
    said = nas("scale", *flags)
    assert said.code == 0, said.err
    assert [each["name"] for each in said.document["trained"]] == ["-1", "S"]
    for each, member in zip(said.document["trained"], said.document["members"], strict=True):
        assert each["params"] == member["params"]
        assert 0 <= each["ema_accuracy"] <= 1
        assert ArchSpec.from_json((Path(each["folder"]) / "arch.json").read_text()).key == member["key"]
    models = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("model.safetensors")}
    assert len(models) == 2
    again = nas("scale", *flags)
    assert again.document["trained"] == said.document["trained"]
    assert {path: path.stat().st_mtime_ns for path in models} == models


def test_options_of_a_training_need_one(nas: Nas) -> None:
    said = nas("scale", "--budget", "3ep")
    assert said.code == 2
    assert "--budget is of a training: it needs --train" in said.err
