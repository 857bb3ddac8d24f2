"""`nas measure`: what is measured is told, in a table and as JSON. No test here asserts how long anything takes."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli import child, measure
from nas.cli.measured import Measured, Row, measured_text
from nas.device import Compute
from nas.isolate import ChildOutcome
from nas.measure import Conditions, Prediction, Samples
from nas.train import Recipe
from results import Objective, RunWriter, TrialResult, TrialStatus
from search_space import ArchSpec, HeadSpec, Space, StageChoices, StemSpec
from tests.nas.cli.conftest import call_here

Nas = Callable[..., Any]
QUICK = ("--space", "small.json", "--device", "cpu", "--max-rounds", "6", "--max-seconds", "5")


@pytest.fixture(autouse=True)
def _files(folder: Path, tiny_arch: ArchSpec, other_arch: ArchSpec, small_space: Space) -> None:
    """tiny.json, other.json, and small.json, the space."""
    Path("tiny.json").write_text(tiny_arch.to_json())
    Path("other.json").write_text(other_arch.to_json())
    Path("small.json").write_text(replace(small_space, batch_size=4).to_json())


@pytest.fixture
def in_process(in_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements too."""
    monkeypatch.setattr(measure, "run_in_child", call_here)


@pytest.mark.slow
def test_networks_are_timed_against_the_spaces_reference(nas: Nas) -> None:
    ended = nas("measure", "tiny.json", "other.json", *QUICK)
    assert ended.code == 0, ended.err
    assert ended.err == "measuring 1 of 2: tiny.json ...\nmeasuring 2 of 2: other.json ...\n"
    conditions, against, _, header, tiny, other, *_ = ended.out.splitlines()
    assert "1 thread, float32, channels_last; training steps (sgd) of 4 images at 8x8, 10 classes" in conditions
    assert against.startswith("against the reference of small: ")
    assert against.endswith(" ms a step; 6 rounds of a step of each")
    assert header.split()[:3] == ["network", "ratio", "95"]
    assert tiny.startswith("tiny.json ")
    assert other.startswith("other.json ")
    for row in (tiny, other):
        assert " x " in row
        assert " to " in row
        assert "█" in row


@pytest.mark.usefixtures("in_process")
def test_json_holds_every_step_and_what_it_holds_under(nas: Nas, tiny_arch: ArchSpec, small_space: Space) -> None:
    document = nas("measure", "tiny.json", *QUICK, "--batch-size", "2", "--image-size", "12", "--json").document
    assert document["conditions"]["compute"] == asdict(Compute())
    assert (document["conditions"]["batch_size"], document["conditions"]["image_size"]) == (2, 12)
    assert document["space"] == "small"
    assert document["precision"] == {"width": 0.02, "max_rounds": 6, "max_seconds": 5.0}
    assert document["calibration"] is None
    assert document["environment"]["versions"]["torch"]
    reference = document["reference"]
    assert (reference["name"], reference["key"]) == ("the reference of small", small_space.reference.key)
    (row,) = document["rows"]
    assert (row["name"], row["key"], row["status"], row["reason"]) == ("tiny.json", tiny_arch.key, "ok", None)
    assert (row["params"], row["macs"]) == tiny_arch.cost(12)
    assert row["low"] <= row["ratio"] <= row["high"]
    assert row["num_rounds"] == len(row["samples"]["candidate_s"]) == len(row["samples"]["reference_s"]) - 1 == 6
    assert row["samples"]["warm_up_rounds"] >= 2
    assert row["images_per_second"] == pytest.approx(2 * 1000 / row["step_ms"])
    # Of so small a network it may be lost in what the process holds beside it.
    assert row["peak_bytes"] is None or row["peak_bytes"] > 0
    assert (row["largest_batch"] is None) or row["largest_batch"] >= 2
    assert row["predicted"] is None


@pytest.mark.usefixtures("in_process")
def test_compared_networks_are_timed_against_the_first(nas: Nas, tiny_arch: ArchSpec) -> None:
    ended = nas("measure", "tiny.json", "other.json", *QUICK, "--compare", "--json")
    assert ended.code == 0, ended.err
    reference = ended.document["reference"]
    assert (reference["name"], reference["key"]) == ("tiny.json", tiny_arch.key)
    first, second = ended.document["rows"]
    assert (first["ratio"], first["low"], first["samples"]) == (1.0, None, None)
    assert first["step_ms"] == reference["step_ms"]
    assert "largest_batch" in first
    assert second["num_rounds"] == 6


@pytest.mark.usefixtures("in_process")
def test_all_networks_have_as_many_classes(nas: Nas, tiny_arch: ArchSpec, small_space: Space) -> None:
    Path("seven.json").write_text(tiny_arch.with_num_classes(7).to_json())
    document = nas("measure", "seven.json", *QUICK, "--json").document
    assert document["num_classes"] == 7
    assert document["reference"]["params"] == small_space.reference.with_num_classes(7).params
    ended = nas("measure", "tiny.json", "seven.json", *QUICK)
    assert ended.code == 2
    assert "must have one num_classes, got tiny.json: 10, seven.json: 7; choose with --num-classes" in ended.err
    document = nas("measure", "tiny.json", "seven.json", *QUICK, "--num-classes", "7", "--json").document
    assert {row["params"] for row in document["rows"]} == {tiny_arch.with_num_classes(7).params}


def write_run(name: str, space: Space, *, batch_size: int = 4, damaged: bool = False) -> None:
    """runs/NAME with one trial, of bfloat16."""
    arch = space.reference
    trial = TrialResult(
        index=0,
        status=TrialStatus.FAILED,
        reason="it ended",
        key=arch.key,
        arch=arch,
        seed=1,
        params=arch.params,
        macs=arch.macs(8),
        seconds=1.0,
        device_seconds=1.0,
        started_s=0.0,
        ended_s=1.0,
        worker="host/1",
        device="cpu",
    )
    config: dict[str, Any] = {
        "search": {"recipe": asdict(Recipe(optimizer="adamw"))},
        "space": json.loads(space.to_json()),
        "compute": asdict(Compute(dtype="bfloat16")),
        "batch_size": batch_size,
        "image_size": "8" if damaged else 8,
    }
    with RunWriter.create(Path("runs") / name, config=config, objective=Objective(reference_params=1)) as writer:
        writer.append(trial)


@pytest.mark.usefixtures("in_process")
def test_a_runs_trial_is_measured_as_the_run_did(nas: Nas, small_space: Space) -> None:
    write_run("first", small_space)
    quick = QUICK[2:]
    document = nas("measure", "first:0", "tiny.json", *quick, "--json").document
    conditions = document["conditions"]
    assert (conditions["batch_size"], conditions["image_size"], conditions["optimizer"]) == (4, 8, "adamw")
    assert conditions["compute"]["dtype"] == "bfloat16"
    assert document["reference"]["key"] == small_space.reference.key
    assert [row["name"] for row in document["rows"]] == ["first:0", "tiny.json"]
    document = nas("measure", "first:0", *quick, "--dtype", "float32", "--batch-size", "3", "--json").document
    assert (document["conditions"]["compute"]["dtype"], document["conditions"]["batch_size"]) == ("float32", 3)


@pytest.mark.usefixtures("in_process")
def test_runs_that_disagree_need_the_option(nas: Nas, small_space: Space) -> None:
    write_run("first", small_space)
    write_run("second", small_space, batch_size=8)
    ended = nas("measure", "first:0", "second:0")
    assert ended.code == 2
    assert "must have one batch_size, got first:0: 4, second:0: 8; choose with --batch-size" in ended.err
    write_run("damaged", small_space, damaged=True)
    ended = nas("measure", "damaged:0")
    assert ended.code == 2
    assert "damaged/config.json: what the run was measured under cannot be read: Setting.image_size" in ended.err


def fails(monkeypatch: pytest.MonkeyPatch, outcome: ChildOutcome, *, when: Callable[..., bool]) -> None:
    """Children for which `when` says so end like this."""
    plain = measure.run_in_child

    def call(name: str, *arguments: Any, **limits: Any) -> ChildOutcome:
        return outcome if when(name, *arguments) else plain(name, *arguments, **limits)

    monkeypatch.setattr(measure, "run_in_child", call)
    monkeypatch.setattr(child, "run_in_child", call)


@pytest.mark.usefixtures("in_process")
def test_a_network_that_cannot_be_measured_is_a_row(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = ChildOutcome(ended="out_of_memory", reason="Traceback\nheld 9 MiB of memory")
    fails(monkeypatch, outcome, when=lambda name, arch, *_: "network" in name and arch.stages[0].op == "mbconv")
    ended = nas("measure", "tiny.json", "other.json", *QUICK)
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[4].split()[:2] == ["tiny.json", "out_of_memory"]
    assert " x " in lines[5]
    assert lines[-1] == "tiny.json: out_of_memory: held 9 MiB of memory"
    ended = nas("measure", "tiny.json", "other.json", *QUICK, "--json")
    assert ended.code == 1
    failed, measured = ended.document["rows"]
    assert (failed["status"], failed["ratio"], failed["samples"]) == ("out_of_memory", None, None)
    assert failed["reason"] == "Traceback\nheld 9 MiB of memory"
    assert measured["status"] == "ok"
    ended = nas("measure", "other.json", "tiny.json", *QUICK, "--compare")
    assert ended.code == 1, "nothing was timed"
    assert ended.out.splitlines()[-1] == "tiny.json: out_of_memory: held 9 MiB of memory"


@pytest.mark.usefixtures("in_process")
def test_a_calibration_that_fails_ends_the_command(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = ChildOutcome(ended="died", reason="its process died of SIGSEGV")
    fails(monkeypatch, outcome, when=lambda name, *_: "calibrate_space" in name)
    ended = nas("measure", "--calibrate", *QUICK)
    assert ended.code == 1
    assert ended.err.endswith("error: calibrating failed: its process died of SIGSEGV\n")


@pytest.mark.usefixtures("in_process")
def test_a_calibration_is_kept_and_predicts(nas: Nas, folder: Path) -> None:
    stage = StageChoices(op=("mbconv",), kernel=(3,), expansion=(1, 2), width=(8,), depth=(1,), stride=2)
    frame: dict[str, Any] = {"stem": StemSpec(width=8, stride=1), "head": HeadSpec(width=0, num_classes=10)}
    space = Space(name="least", stages=(stage,), image_size=8, batch_size=4, **frame)
    Path("least.json").write_text(space.to_json())
    Path("own.json").write_text(space.reference.to_json())
    quick = ("--space", "least.json", *QUICK[2:])
    ended = nas("measure", "--calibrate", *quick)
    assert ended.code == 0, ended.err
    assert ended.err.startswith("calibrating least for 10 classes at 8 px: this takes about 45 s")
    (kept,) = (folder / "cache" / "step-time").glob("*.json")
    assert "\ncalibration of least: 4 parts, " in ended.out
    assert f"\nkept in {kept}\n" in ended.out
    assert "slowest parts" in ended.out
    assert "network" not in ended.out
    document = nas("measure", "own.json", "tiny.json", *quick, "--json").document
    assert document["calibration"]["path"] == str(kept)
    assert document["calibration"]["num_parts"] == len(document["calibration"]["parts"]) == 4
    own, other = document["rows"]
    assert own["predicted"]["low"] <= own["predicted"]["ratio"] <= own["predicted"]["high"]
    assert own["predicted"]["ratio"] == pytest.approx(1, abs=0.01), "the reference's own"
    assert other["predicted"] is None, "the calibration lacks a part of it"
    relu = replace(space.reference, activation="relu")
    Path("relu.json").write_text(relu.to_json())
    document = nas("measure", "relu.json", *quick, "--json").document
    assert document["rows"][0]["predicted"] is None, "no part was timed with this activation"
    ended = nas("measure", "own.json", "own.json", *quick, "--calibrate")
    assert "\n\nagainst the reference of least: " in ended.out
    assert "predicted" in ended.out
    ended = nas("measure", "own.json", "other.json", *quick, "--compare", "--calibrate")
    assert "predict" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((), "at least one ARCH, or --calibrate"),
        (("tiny.json", "--compare"), "--compare takes at least two ARCHs, got 1"),
        (("efficientnet_b9",), "did you mean 'efficientnet_b"),
        (("tiny.json", "--space", "nowhere"), "unknown space 'nowhere'"),
        (("tiny.json", "--batch-size", "1"), "batch_size must be an integer from 2"),
        (("tiny.json", "--image-size", "0"), "image_size must be an integer from 1"),
        (("tiny.json", "--num-classes", "0"), "num_classes must be an integer from 1"),
        (("tiny.json", "--threads", "0"), "threads must be at least 1, got 0"),
        (("tiny.json", "--threads", "100000"), "threads must be at most "),
        (("tiny.json", "--width", "nan"), "width must be a share above 0 and below 1, got nan"),
        (("tiny.json", "--max-rounds", "5"), "max_rounds must be at least 6, got 5"),
        (("tiny.json", "--max-seconds", "0"), "max_seconds must be above 0, got 0"),
        (("tiny.json", "--max-seconds", "inf"), "max_seconds must be a finite number, got inf"),
        (("tiny.json", "--dtype", "float16"), "float16"),
    ],
)
def test_bad_input_names_the_rule(nas: Nas, arguments: tuple[str, ...], rule: str) -> None:
    ended = nas("measure", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert rule in ended.err
    assert "Traceback" not in ended.err


def test_cuda_is_refused_where_there_is_none(nas: Nas) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    ended = nas("measure", "tiny.json", "--device", "cuda")
    assert ended.code == 2
    assert ended.err == "error: device must be cpu or auto where torch finds no GPU, got 'cuda'\n"


def a_row(name: str, ratio: float, *, precise: bool = True) -> Row:
    return Row(
        name=name,
        key="0",
        status=TrialStatus.OK,
        reason=None,
        params=1_234_567,
        macs=8_365_617_152,
        ratio=ratio,
        low=0.98 * ratio,
        high=1.02 * ratio,
        precise=precise,
        num_rounds=10,
        step_ms=1234.5,
        images_per_second=51.8,
        peak_bytes=3 << 30,
        largest_batch=4096,
        predicted=Prediction(ratio=ratio, low=0.9 * ratio, high=1.1 * ratio),
        samples=Samples((1.0,), (0.5, 0.5), 2),
    )


def measured_of(*rows: Row, is_comparison: bool = False) -> Measured:
    conditions = Conditions(
        device="cpu", compute=Compute(), batch_size=64, image_size=224, optimizer="sgd", drop_path=0.0
    )
    arch = ArchSpec.from_json(Path("tiny.json").read_text())
    return Measured(
        conditions=conditions,
        num_classes=10,
        reference_name="the first",
        reference=arch,
        rows=rows,
        is_comparison=is_comparison,
    )


def test_a_table_fits_the_columns() -> None:
    rows = (a_row("runs/efficientnetv2-tiny-20260101-120000:123", 12.345, precise=False), a_row("b0", 0.5))
    wide = measured_text(measured_of(*rows), columns=160).splitlines()
    assert max(map(len, wide)) <= 160
    assert wide[3].startswith("...-tiny-20260101-120000:123 ")
    narrow = measured_text(measured_of(*rows), columns=80).splitlines()
    assert max(map(len, narrow)) <= 80
    assert sum(line.startswith("network ") for line in narrow) == 3
    assert (wide[3].count("█"), wide[3].count("░")) == (19, 1)
    assert (wide[4].count("█"), wide[4].count("░")) == (1, 0)


def test_what_has_to_be_said_is_said() -> None:
    text = measured_text(measured_of(a_row("a", 1.0), a_row("b", 2.0)), columns=160)
    assert text.splitlines()[-1].startswith("b ")
    text = measured_text(measured_of(a_row("a", 1.0, precise=False), a_row("b", 2.0)), columns=160)
    assert "0.980 to 1.020 ~" in text
    assert text.endswith("~ not as narrow as --width asks, within --max-rounds and --max-seconds")
    rows = (a_row("a", 1.0), a_row("b", 1.03), a_row("c", 2.0))
    text = measured_text(measured_of(*rows, is_comparison=True), columns=160)
    assert text.endswith("not told apart, as their intervals overlap: a and b")
    assert "not told apart" not in measured_text(measured_of(*rows), columns=160)
    unknown = replace(a_row("a", 1.0), predicted=None)
    assert "nas measure --calibrate" in measured_text(measured_of(unknown), columns=160)
    hostile = a_row("\x1b[2Ja\n", 1.0)
    assert "\x1b" not in measured_text(measured_of(hostile, hostile, is_comparison=True), columns=160)


def test_a_stdout_of_few_letters_gets_plain_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    text = measured_text(measured_of(a_row("a", 1.0)), columns=160)
    assert "###################-" in text
    assert text.isascii()
