"""`nas validate`: its report, its refusals, how it ends; the long trainings are only told of."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli import validate as command
from nas.search import EngineError, LongTraining, SearchEnd
from results import Objective, RunWriter, TrialResult, TrialStatus
from tests.nas.cli.conftest import HOSTILE_DEVICE, make_trial

Nas = Callable[..., Any]
Train = Callable[..., SearchEnd]
NUM_TRIALS = 16


@pytest.fixture
def long_run(folder: Path) -> Path:
    """runs/first: 16 trials of 40 steps, the later the more accurate and the slower, and one that failed."""
    return _write_run("first", lambda index: "cpu")


def _write_run(name: str, device: Callable[[int], str]) -> Path:
    path = Path("runs") / name
    objective = Objective(reference_params=2000)
    with RunWriter.create(path, config={"train_steps": 40}, objective=objective) as writer:
        for index in range(NUM_TRIALS):
            writer.append(make_trial(index, accuracy=0.2 + index / 25, ratio=1 + index / 50, device=device(index)))
        writer.append(make_trial(NUM_TRIALS, accuracy=None))
    return path


def _long_trial(index: int, short: TrialResult, accuracy: float | None) -> TrialResult:
    failed = {"status": TrialStatus.DIVERGED, "reason": "the loss was not finite"}
    none = dict.fromkeys(("num_evaluated", "step_time_ratio")) if accuracy is None else {}
    return replace(short, index=index, accuracy=accuracy, **(failed if accuracy is None else {}), **none)


def trains(accuracy: Callable[[TrialResult], float | None], *, stop_after: int = 99) -> Train:
    """A `train_longer` that writes what `accuracy` says of each trial of the run."""

    def train(training: LongTraining, config: command.Config, progress: object) -> SearchEnd:
        if training.begun is None:
            document = {"train_steps": 160, **training.record()}
            writer = RunWriter.create(training.folder, config=document, objective=training.run.objective)
        else:
            writer = RunWriter.resume(training.folder)
        with writer:
            for short in training.left[:stop_after]:
                writer.append(_long_trial(training.short.index(short), short, accuracy(short)))
        return SearchEnd(folder=training.folder, stop_reason="", interrupted=stop_after < len(training.left))

    return train


def better_by_a_quarter(short: TrialResult) -> float:
    assert short.accuracy is not None
    return 1 - 0.75 * (1 - short.accuracy)


def never(*arguments: object) -> SearchEnd:
    raise AssertionError("nothing is to be trained")


def fails(error: BaseException) -> Train:
    def train(*arguments: object) -> SearchEnd:
        raise error

    return train


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Train], None]:
    """`train(function)` in place of the engine."""
    return lambda function: monkeypatch.setattr(command, "train_longer", function)


def test_the_report(nas: Nas, long_run: Path, train: Callable[[Train], None]) -> None:
    train(trains(better_by_a_quarter))
    said = nas("validate", "first")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "runs/first: 40 steps against 160, 12 networks"
    assert lines[1].split("  ")[0] == "trial"
    assert [int(line.split()[0]) for line in lines[2:14]] == [15, 14, 12, 11, 10, 8, 7, 5, 4, 3, 1, 0]
    assert lines[2].split() == ["15", "80.0", "%", "85.0", "%", *lines[2].split()[5:7], "1", "1"]
    assert "short accuracy             highest first   1.00 (1.00 to 1.00)" in said.out
    assert "the short reward picks trial 15, of rank 1 of 12 by long reward\n" in said.out
    assert "\nfit for use: no\n" in said.out
    assert "params alone (tau 1.00 to the short training's 1.00) ranks as well without any training" in said.out
    assert "  nas validate first --networks 16    # more" in said.out
    train(never)
    assert nas("validate", "first").out == said.out
    assert nas("pareto", "runs/first/validate-4x").out.startswith("validate-4x: 12 trials, 12 measured in full")


def test_a_training_that_is_fit(nas: Nas, long_run: Path, train: Callable[[Train], None]) -> None:
    path = long_run / "trials.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:-1]:
        row["accuracy"] = 0.2 + (7 * row["index"] % NUM_TRIALS) / 25
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(trains(better_by_a_quarter))
    said = nas("validate", "first", "--networks", "16", "--times", "4")
    assert said.code == 0
    assert "\nfit for use: yes\n  tau of the reward is 0.98 (0.91 to 1.00): at least 0.5" in said.out
    assert "of rank 2 of 16 by long reward: 0.2 % below the best, trial 2\n" in said.out
    assert said.out.endswith("\n  nas pareto first\n  nas pareto runs/first/validate-4x\n")


def test_as_json(nas: Nas, long_run: Path, train: Callable[[Train], None]) -> None:
    train(trains(lambda short: None if short.index == 7 else better_by_a_quarter(short)))
    said = nas("validate", "first", "--train-length", "160", "--json")
    assert said.code == 0
    assert said.err == "left out: trial 7, diverged: the loss was not finite\n"
    document = said.document
    assert (document["run"], document["validation"]) == ("runs/first", "runs/first/validate-160")
    assert (document["short_steps"], document["long_steps"], document["num_networks"]) == (40, 160, 12)
    assert document["failed"] == [{"trial": 7, "status": "diverged", "reason": "the loss was not finite"}]
    assert len(document["pairs"]) == 11
    assert document["pairs"][0]["trial"] == 15
    assert [ranking["by"] for ranking in document["by_long_reward"]] == [
        "short reward",
        "cost alone (S^w P^v)",
        "params alone",
        "step time alone",
    ]
    assert set(document["by_long_accuracy"][0]["tau"]) == {"value", "low", "high"}
    assert document["regret"]["rank"] == 1
    assert document["verdict"]["fit"] is False
    assert "11 networks, 1 left out" in nas("validate", "first", "--train-length", "160").out


def test_an_interruption_is_130_and_the_same_command_goes_on(
    nas: Nas, long_run: Path, train: Callable[[Train], None]
) -> None:
    train(trains(better_by_a_quarter, stop_after=4))
    said = nas("validate", "first", "--networks", "6", "--times", "4.0")
    assert (said.code, said.out) == (130, "")
    assert said.err.splitlines() == [
        "what was finished is kept; to go on: nas validate first --times 4",
        "error: interrupted",
    ]
    train(fails(KeyboardInterrupt()))
    assert "what was finished is kept" in nas("validate", "first").err
    train(trains(better_by_a_quarter))
    assert nas("validate", "first", "--json").document["num_networks"] == 6


def test_what_the_machines_fail_at_is_1(nas: Nas, long_run: Path, train: Callable[[Train], None]) -> None:
    train(fails(EngineError("Ray ended 3 times")))
    said = nas("validate", "first", "--train-length", "9ep", "--json")
    assert said.code == 1
    assert (
        said.err.splitlines()[1].strip() == "what was finished is kept; to go on: nas validate first --train-length 9ep"
    )
    train(fails(KeyboardInterrupt()))
    said = nas("validate", "first")
    assert (said.code, said.err) == (130, "error: interrupted\n")


def test_too_few_long_trainings_show_nothing(nas: Nas, long_run: Path, train: Callable[[Train], None]) -> None:
    train(trains(lambda short: better_by_a_quarter(short) if short.index < 4 else None))
    said = nas("validate", "first", "--networks", "6")
    assert (said.code, said.out) == (1, "")
    assert "of 6 networks only 2 were measured in full in the long training" in said.err


def test_one_device_of_several(nas: Nas, folder: Path, train: Callable[[Train], None]) -> None:
    _write_run("split", lambda index: "T4" if index % 2 else HOSTILE_DEVICE)
    said = nas("validate", "split")
    assert said.code == 2
    assert "choose one with --device" in said.err
    train(trains(better_by_a_quarter))
    said = nas("validate", "split", "--device", HOSTILE_DEVICE, "--json")
    assert (said.document["device"], said.document["long_devices"]) == (HOSTILE_DEVICE, [HOSTILE_DEVICE])
    path = folder / "runs/split/validate-4x/trials.jsonl"
    path.write_text(path.read_text().replace(json.dumps(HOSTILE_DEVICE), '"V\\u001b100"'))
    said = nas("validate", "split")
    assert "measured on =A?[2J 100 in the run, here on V?100: step times do not compare" in said.out
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no run 'nowhere'"),
        (["first", "--networks", "4"], "networks must be at least 5, got 4"),
        (["first", "--times", "0.5"], "times must be above 1 and at most 10000, got 0.5"),
        (["first", "--times", "2", "--train-length", "90"], "either times or train_length"),
        (["first", "--train-length", "soon"], "steps (450) or epochs (2ep)"),
        (["first", "--device", "T4"], "no trial was measured in full on device 'T4'"),
    ],
)
def test_bad_input_names_the_rule_and_leaves_nothing(
    nas: Nas, long_run: Path, train: Callable[[Train], None], arguments: list[str], said: str
) -> None:
    train(never)
    ended = nas("validate", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not list(long_run.glob("validate-*"))
