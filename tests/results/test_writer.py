"""One writer a run, whose word holds: what it acknowledged is there after any kill."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from results import Limits, Objective, Run, RunError, RunWriteError, RunWriter, TrialResult, check_run_name

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]


def test_a_new_run_has_its_files(tmp_path: Path, objective: Objective) -> None:
    folder = tmp_path / "runs" / "first"
    with RunWriter.create(
        folder, config={"space": "tiny", "versions": {"torch": "2"}}, objective=objective, limits=Limits(max_params=9)
    ) as writer:
        assert writer.next_index == 0
    config = json.loads((folder / "config.json").read_text())
    assert config == writer.config
    assert config["limits"]["max_params"] == 9
    assert config["objective"] == {"reference_params": 2000, "w": -0.07, "v": -0.05}
    assert (folder / "trials.jsonl").read_text() == (folder / "asks.jsonl").read_text() == ""
    assert {path.name for path in folder.iterdir()} == {"config.json", "trials.jsonl", "asks.jsonl", ".lock"}


def test_trials_are_on_the_disk_as_they_are_appended(tmp_path: Path, trial: MakeTrial, objective: Objective) -> None:
    with RunWriter.create(tmp_path / "run", config={}, objective=objective) as writer:
        for index in (0, 4, 2):
            writer.append(trial(index))
            assert Run(tmp_path / "run").trials == sorted(writer.trials, key=lambda one: one.index)
        assert writer.next_index == 5


def test_an_index_and_a_training_of_a_network_come_once(tmp_path: Path, trial: MakeTrial, objective: Objective) -> None:
    with RunWriter.create(tmp_path / "run", config={}, objective=objective) as writer:
        writer.append(trial(0, status="failed"))
        with pytest.raises(RunError, match="index 0 is taken"):
            writer.append(trial(0))
        writer.append(trial(1, arch=trial(0).arch))
        again = r"trial {} measures the network of trial {} once more, and must then differ from it in repeat, got {}"
        with pytest.raises(RunError, match=again.format(2, 1, "0 for both")):
            writer.append(trial(2, arch=trial(0).arch))
        writer.append(trial(2, arch=trial(0).arch, status="pruned"))
        writer.append(trial(3, arch=trial(0).arch, repeat=1))
        writer.append(trial(4, arch=trial(0).arch, repeat=2, status="failed"))
        writer.append(trial(5, arch=trial(0).arch, repeat=2))
        with pytest.raises(RunError, match=again.format(6, 5, "2 for both")):
            writer.append(trial(6, arch=trial(0).arch, repeat=2))
    assert len(Run(tmp_path / "run").trials) == 6
    with pytest.raises(RunError, match="the writer is closed"):
        writer.append(trial(7))


def test_a_trial_is_asked_for_once_and_by_an_open_writer(
    tmp_path: Path, trial: MakeTrial, objective: Objective
) -> None:
    with RunWriter.create(tmp_path / "run", config={}, objective=objective) as writer:
        writer.append(trial(0))
        writer.ask(3, (0, 1))
        for taken in (0, 3):
            with pytest.raises(RunError, match=f"trial {taken} was asked for already"):
                writer.ask(taken, (2, 3))
        with pytest.raises(ValueError, match=r"Ask\.decisions must be an integer"):
            writer.ask(4, (-1,))
        assert (writer.next_index, [ask.index for ask in writer.asks]) == (4, [3])
    assert len(Run(tmp_path / "run").asks_file.records) == 1
    with pytest.raises(RunError, match="the writer is closed"):
        writer.ask(4, (0, 1))
    assert len(writer.asks) == 1


def test_a_torn_line_is_cut_away_before_the_next(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0), trial(1))
    path = folder / "trials.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with RunWriter.resume(folder) as writer:
        assert [one.index for one in writer.trials] == [0]
        assert "line 2: cut off" in writer.notes[0]
        writer.append(trial(1))
    assert path.read_bytes() == whole


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path, objective: Objective) -> None:
    folder = tmp_path / "run"
    with RunWriter.create(folder, config={}, objective=objective):
        told = rf"is being written by process {os.getpid()} on \S+; wait for it"
        with pytest.raises(RunError, match=told):
            RunWriter.resume(folder)
        with pytest.raises(RunError, match=told):
            RunWriter.create(folder, config={}, objective=objective)
        code = "import sys; from results import RunWriter; RunWriter.resume(sys.argv[1])"
        other = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
        assert other.returncode == 1
        assert f"is being written by process {os.getpid()} on" in other.stderr
        assert Run(folder).trials == [], "reading goes on meanwhile"
        (folder / ".owner").write_text("{")
        with pytest.raises(RunError, match="is being written by another process"):
            RunWriter.resume(folder)
    RunWriter.resume(folder).close()


def test_a_failed_start_lets_the_folder_go(new_run: NewRun) -> None:
    folder = new_run()
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text('{"schema_version": 1}')
    with pytest.raises(RunError, match="objective"):
        RunWriter.resume(folder)
    (folder / "config.json").write_text(config)
    RunWriter.resume(folder).close()


def test_a_used_folder_is_no_new_run(tmp_path: Path, new_run: NewRun, objective: Objective) -> None:
    with pytest.raises(RunError, match="already holds a run"):
        RunWriter.create(new_run(), config={}, objective=objective)
    for name, rule in (
        ("photo.jpg", "must be a new or an empty folder, but holds 'photo.jpg'"),
        ("trials.jsonl", r"holds trials\.jsonl without a config\.json"),
        ("asks.jsonl", r"holds asks\.jsonl without a config\.json"),
    ):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / name).write_text("precious")
        with pytest.raises(RunError, match=rule):
            RunWriter.create(folder, config={}, objective=objective)
        assert (folder / name).read_text() == "precious"


def test_what_an_interrupted_start_left_is_no_hindrance(tmp_path: Path, objective: Objective) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", "trials.jsonl", "asks.jsonl", ".config.json.tmp", ".owner"):
        (folder / name).touch()
    RunWriter.create(folder, config={}, objective=objective).close()
    assert Run(folder).trials == []


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-rf", "a b", "a/b", "x" * 65, "naïve", "run\n", "\x1b[2J"])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a run's name must be"):
        check_run_name(name)


@pytest.mark.parametrize("name", ["a", "7", "x" * 64, "cifar10_tiny-2.b"])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_run_name(name) == name


def test_what_config_cannot_hold_is_refused(tmp_path: Path, objective: Objective) -> None:
    for config in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(ValueError, match=r"config\.json can hold only"):
            RunWriter.create(tmp_path / "run", config=config, objective=objective)
    with pytest.raises(ValueError, match="must leave schema_version to the writer"):
        RunWriter.create(tmp_path / "run", config={"schema_version": 4}, objective=objective)
    assert not (tmp_path / "run").exists()


def test_the_config_can_be_updated(new_run: NewRun) -> None:
    folder = new_run()
    with RunWriter.resume(folder) as writer:
        writer.update_config(budget="1h")
        with pytest.raises(ValueError, match="must leave objective"):
            writer.update_config(objective={})
        with pytest.raises(ValueError, match="can hold only"):
            writer.update_config(budget=float("inf"))
    config = Run(folder).config
    assert (config["budget"], config["seed"]) == ("1h", 1)


def test_the_summary_and_the_front_are_written(new_run: NewRun, trial: MakeTrial, objective: Objective) -> None:
    folder = new_run(trial(0, accuracy=0.9), trial(1, accuracy=0.1, step_time_ratio=2.0), trial(2, status="diverged"))
    with RunWriter.resume(folder) as writer:
        summary = writer.write_summary(budget_left_s=12.5)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["num_by_status"] == {"ok": 2, "diverged": 1}
    (found,) = summary["by_device"].values()
    assert list(summary["by_device"]) == ["cpu"]
    assert (found["num_ok"], found["front"], found["best"]["trial"]) == (2, [0], 0)
    assert 0 < found["hypervolume"] < 1
    assert found["best"]["reward"] == pytest.approx(objective.reward(trial(0, accuracy=0.9)))
    assert summary["budget_left_s"] == 12.5
    assert summary["device_seconds"] == pytest.approx(7.5)
    rows = list(csv.DictReader((folder / "pareto.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == ["0"]
    assert rows[0]["key"] == trial(0).key


def test_a_summary_is_of_the_confirmed(new_run: NewRun, trial: MakeTrial) -> None:
    tried = [trial(0, accuracy=0.9), trial(1, accuracy=0.8), trial(2, accuracy=0.85)]
    again = [
        trial(3 + 2 * number + repeat, arch=tried[number].arch, accuracy=accuracy, repeat=repeat)
        for number, accuracies in enumerate(((0.5, 0.7), (0.6, 0.75)))
        for repeat, accuracy in enumerate(accuracies, start=1)
    ]
    with RunWriter.resume(new_run(*tried, *again)) as writer:
        (found,) = writer.write_summary()["by_device"].values()
    assert (found["num_ok"], found["num_confirmed"], found["tied"]) == (7, 2, [0, 1])
    assert (found["best"]["trial"], found["best"]["num_trainings"], found["best"]["accuracy"]) == (1, 2, 0.675)


def test_a_summary_of_nothing(new_run: NewRun) -> None:
    with RunWriter.resume(new_run()) as writer:
        summary = writer.write_summary()
    assert summary["num_trials"] == 0
    assert summary["by_device"] == {}


def test_a_summary_of_several_devices_keeps_them_apart(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(
        trial(0, device="slow", accuracy=0.3), trial(1, device="fast"), trial(2, device="fast", accuracy=0.6)
    )
    with RunWriter.resume(folder) as writer:
        found = writer.write_summary()["by_device"]
    assert {device: (of_it["front"], of_it["best"]["trial"]) for device, of_it in found.items()} == {
        "slow": ([0], 0),
        "fast": ([2, 1], 2),
    }
    rows = list(csv.DictReader((folder / "pareto.csv").read_text().splitlines()))
    assert [(row["trial"], row["device"]) for row in rows] == [("0", "slow"), ("2", "fast"), ("1", "fast")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path, objective: Objective) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunWriteError, match="could not be made: Permission denied"):
        RunWriter.create(tmp_path / "run", config={}, objective=objective)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, objective: Objective) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunWriteError, match="could not be made: File exists"):
        RunWriter.create(tmp_path / "run", config={}, objective=objective)


APPENDING = """
import sys
from dataclasses import replace
from results import RunWriter, TrialResult
trial = TrialResult.from_json(sys.stdin.readline())
writer = RunWriter.resume(sys.argv[1])
while True:
    index = writer.next_index
    writer.append(replace(trial, index=index))
    print(index, flush=True)
"""


@pytest.mark.fault
def test_what_was_acknowledged_survives_kill_9(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run()
    acknowledged = -1
    for cycle in range(4):
        command = [sys.executable, "-c", APPENDING, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(trial(0, status="failed").to_json() + "\n")
            writer.stdin.flush()
            writer.stdout.readline()
            time.sleep(0.02 + 0.03 * cycle)
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().splitlines()
            acknowledged = max(acknowledged, *(int(line) for line in said if line), 0)
        found = [one.index for one in Run(folder).trials]
        assert found == list(range(len(found)))
        assert len(found) >= acknowledged + 1
    assert acknowledged > 4
    RunWriter.resume(folder).close()
