"""Harm done to a running search, and what must hold afterwards (exit code, record, resume, nothing left behind)."""

import ipaddress
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Search, asked, rows, wait_for

pytestmark = [pytest.mark.fault, pytest.mark.slow]

TRIALS = 6
Start = Callable[..., Search]
TOY = ("--space", "toy.yaml", "--train-length", "40", "--seed", "3", "--sampler", "random", "--dtype", "float32")
"""The dtype that is chosen by measurement may be another in the next run, with other accuracies."""


def outcome(run: Path) -> list[tuple[Any, ...]]:
    """What must be the same however a run came about: candidate, seed and accuracy of each trial."""
    return sorted((row["index"], row["key"], row["seed"], row["status"], row["accuracy"]) for row in rows(run))


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of the run that nothing happened to, at one worker."""
    from tests.faults.conftest import SPACE

    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "toy.yaml").write_text(SPACE)
    search = Search(folder, cache, [*TOY, "--budget", str(TRIALS), "--workers", "1", "--out", "plain"])
    code, out, error = search.wait()
    assert code == 0, error
    assert "best reward" in out
    return folder / "runs/plain"


@pytest.fixture(scope="module")
def undisturbed(undisturbed_run: Path) -> list[tuple[Any, ...]]:
    """What came of it."""
    found = outcome(undisturbed_run)
    assert [row[0] for row in found] == list(range(TRIALS))
    assert {row[3] for row in found} == {"ok"}
    return found


def test_same_seed_is_the_same_run_at_two_workers(
    search: Start, tmp_path: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    running = search(*TOY, "--budget", str(TRIALS), "--workers", "2", "--out", "a", "--json")
    code, out, error = running.wait()
    assert code == 0, error
    assert out.startswith("{")
    assert outcome(tmp_path / "runs/a") == undisturbed


def test_ray_listens_on_the_loopback_only_and_leaves_nothing(search: Start, tmp_path: Path) -> None:
    running = search(*TOY, "--budget", "2", "--out", "a")
    wait_for(lambda: bool(rows(tmp_path / "runs/a")), "a first trial")
    listening = [
        connection.laddr.ip
        for process in running.family()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    family = running.family()
    code, _, error = running.wait()
    assert code == 0, error
    assert listening
    assert all(ipaddress.ip_address(ip.removeprefix("::ffff:")).is_loopback for ip in listening), set(listening)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_killed_driver_resumes_and_repeats_only_what_was_in_flight(
    search: Start, tmp_path: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    run = tmp_path / "runs/a"
    running = search(*TOY, "--budget", str(TRIALS), "--workers", "2", "--out", "a")
    wait_for(lambda: len(rows(run)) >= 2, "two trials")
    family = running.family()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate()
    finished, proposed = rows(run), asked(run)
    assert len(proposed) > len(finished), "some were in flight"
    assert json.loads((run / "clock.json").read_text())["elapsed_s"] > 0
    (run / "clock.json").write_text('{"elapsed_s": 1000.0}')
    for name in ("trials.jsonl", "asks.jsonl"):
        with (run / name).open("a") as file:
            file.write('{"index": 5, "torn')
    code, _, error = search("--resume", "a").wait()
    assert code == 0, error
    assert error.count("cut off") == 2
    assert asked(run)[: len(proposed)] == proposed
    assert sorted((row["index"], row["decisions"]) for row in rows(run)) == asked(run)
    assert rows(run)[: len(finished)] == finished
    assert all(row["started_s"] > 1000 for row in rows(run)[len(finished) :]), "the clock goes on from its note"
    assert outcome(run) == undisturbed
    _, alive = psutil.wait_procs(family, timeout=90)
    assert not alive


@pytest.mark.long
def test_a_search_by_a_supernet_is_killed_while_its_best_is_trained_alone(search: Start, tmp_path: Path) -> None:
    nas = [sys.executable, "-m", "nas.cli"]
    options = ["--space", "toy.yaml", "--data", "digits", "--budget", "20st", "--batch-size", "64", "--out", "super"]
    code, _, error = search(command=[*nas, "supernet", "train", *options]).wait()
    assert code == 0, error
    asked = ("--evaluator", "supernet", "--supernet", "super", "--budget", "10", "--seed", "3", "--sampler", "random")
    alone = ("--confirm", "1", "--repeat", "2", "--train-length", "20", "--dtype", "float32")
    run = tmp_path / "runs/a"
    running = search(*asked, *alone, "--out", "a")
    wait_for(lambda: len(rows(run)) >= 7, "a training alone", running=running.process)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate()
    finished = rows(run)
    code, out, error = search("--resume", "a", "--json").wait()
    assert code == 0, error
    assert json.loads(out)["num_trials"] == 10
    assert rows(run)[: len(finished)] == finished
    kinds = [(row["weights"], row["train_steps"]) for row in rows(run)]
    assert kinds[:6] == [("supernet", None)] * 6
    assert sorted(kinds[6:]) == [("inherited", 20)] * 2 + [("own", 20)] * 2
    shutil.rmtree(tmp_path / "runs/super")
    code, _, error = search("--resume", "a", "--budget", "12").wait()
    assert code == 2
    assert "super" in error
    assert len(rows(run)) == 10


@pytest.mark.long
def test_a_run_of_the_first_version_goes_on(search: Start, tmp_path: Path, undisturbed_run: Path) -> None:
    """As that version wrote config.json and trials.jsonl; it had no asks.jsonl, nor the names that are taken away."""
    run = tmp_path / "runs/a"
    run.mkdir(parents=True)
    config = json.loads((undisturbed_run / "config.json").read_text()) | {"schema_version": 1}
    del config["supernet"], config["alone_steps"], config["resources"]
    for name in ("evaluator", "supernet", "warm_start", "goal", "confirm_share", "confirm", "repeat"):
        del config["search"][name]
    (run / "config.json").write_text(json.dumps(config))
    newer = ("reference_s", "precise", "predicted", "predicted_low", "predicted_high")
    names = {"repeat", "weights", "max_batch_size", *(f"step_time_{name}" for name in newer)}
    trials = [row for row in rows(undisturbed_run) if not row["repeat"]]
    older = [{name: value for name, value in row.items() if name not in names} for row in trials]
    (run / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    more = len(older) + 2
    code, _, error = search("--resume", "a", "--budget", str(more)).wait()
    assert code == 0, error
    assert rows(run)[: len(older)] == older
    assert sorted(row["index"] for row in rows(run)) == list(range(more))
    assert len({(row["key"], row.get("repeat", 0)) for row in rows(run)}) == more
    assert json.loads((run / "config.json").read_text())["num_without_asks"] == len(older)
    code, _, error = search(command=[sys.executable, "-m", "nas.cli", "pareto", "a"]).wait()
    assert code == 0, error


@pytest.mark.long
def test_a_search_killed_while_it_confirms_confirms_the_rest(search: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    budget = ("--budget", "16", "--confirm-share", "0.5", "--repeat", "4", "--workers", "2")
    running = search("--space", "toy.yaml", "--train-length", "40", *budget, "--out", "a")
    wait_for(lambda: sum(row["repeat"] > 0 for row in rows(run)) >= 2, "two trainings anew")
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate()
    finished, proposed = rows(run), asked(run)
    assert len(finished) < 16
    code, out, error = search("--resume", "a", "--json").wait()
    assert code == 0, error
    assert rows(run)[: len(finished)] == finished
    assert asked(run) == proposed, "the search itself was over"
    searched = [row for row in rows(run) if not row["repeat"]]
    assert sorted((row["index"], row["decisions"]) for row in searched) == proposed
    assert [index for index, _ in proposed] == list(range(8))
    assert sorted(row["index"] for row in rows(run)) == list(range(16))
    assert sorted(row["repeat"] for row in rows(run) if row["repeat"]) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert len({(row["key"], row["repeat"]) for row in rows(run)}) == 16
    assert len({row["seed"] for row in rows(run)}) == 16
    (found,) = json.loads(out)["by_device"].values()
    assert [network["num_trainings"] for network in found["confirmed"]] == [4, 4]
    code, out, error = search(command=[sys.executable, "-m", "nas.cli", "replay", "a"]).wait()
    assert (code, out) == (0, "a: all 8 proposals as on record\n"), error


@pytest.mark.parametrize(
    ("number", "to_group"),
    [
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.long),
    ],
)
def test_one_signal_finishes_what_runs_and_a_larger_budget_goes_on(
    search: Start, tmp_path: Path, undisturbed: list[tuple[Any, ...]], number: signal.Signals, to_group: bool
) -> None:
    run = tmp_path / "runs/a"
    running = search(*TOY, "--budget", "50", "--workers", "2", "--out", "a")
    wait_for(lambda: len(rows(run)) >= 2, "two trials")
    if to_group:
        running.signal_group(number)
    else:
        running.process.send_signal(number)
    code, out, _ = running.wait()
    assert code == 130
    assert "nas search --resume" in out
    finished = rows(run)
    assert all(row["status"] == "ok" for row in finished)
    assert [row["index"] for row in sorted(finished, key=lambda row: row["index"])] == list(range(len(finished)))
    shared = min(len(finished), TRIALS)
    assert outcome(run)[:shared] == undisturbed[:shared]
    if number != signal.SIGINT:
        return  # the record is the same, and nothing else tells the next search how this one ended
    more = len(finished) + 1
    code, _, error = search("--resume", "a", "--budget", str(more)).wait()
    assert code == 0, error
    assert len(rows(run)) == more
    shared = min(more, TRIALS)
    assert outcome(run)[:shared] == undisturbed[:shared]


@pytest.mark.parametrize(("number", "after_s"), [(signal.SIGINT, 2.0), (signal.SIGTERM, 2.0), (signal.SIGTERM, 6.0)])
def test_a_signal_at_the_start_ends_it(search: Start, tmp_path: Path, number: signal.Signals, after_s: float) -> None:
    running = search(*TOY, "--budget", "200", "--out", "a", "--json")
    time.sleep(after_s)
    running.signal_group(number)
    code, out, error = running.wait()
    assert code == 130, error
    assert json.loads(out)
    assert len(rows(tmp_path / "runs/a")) < 50


@pytest.mark.long
def test_files_of_the_working_folder_are_not_imported(search: Start, tmp_path: Path) -> None:
    for name in ("results.py", "random.py", "nas.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the user ran')")
    command = [str(Path(sys.executable).parent / "nas"), "search", *TOY, "--budget", "1", "--out", "a"]
    code, _, error = search(*TOY, "--budget", "1", "--out", "a", command=command).wait()
    assert code == 0, error


def test_second_signal_ends_at_once(search: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    running = search("--space", "toy.yaml", "--train-length", "200000", "--budget", "5", "--workers", "1", "--out", "a")
    wait_for(lambda: _trial_children(running) != [], "a running trial")
    family = running.family()
    for _ in range(2):
        running.process.send_signal(signal.SIGINT)
        time.sleep(1)
    code, _, _ = running.wait()
    assert code == 130
    assert rows(run) == []
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_killed_worker_and_killed_trial_are_rows(search: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    running = search("--space", "toy.yaml", "--train-length", "400", "--budget", "4", "--workers", "1", "--out", "a")
    wait_for(lambda: bool(rows(run)), "a first trial")
    wait_for(lambda: _trial_children(running) != [], "a running trial")
    _trial_children(running)[-1].kill()
    wait_for(lambda: len(rows(run)) >= 2, "the killed trial's row")
    wait_for(lambda: _trial_children(running) != [], "another running trial")
    fork_server = _trial_children(running)[-1].parent()
    worker = fork_server.parent() if fork_server else None
    assert worker is not None
    worker.kill()
    code, _, error = running.wait()
    assert code == 0, error
    by_index = {row["index"]: row for row in rows(run)}
    assert sorted(by_index) == [0, 1, 2, 3]
    assert by_index[1]["status"] == "out_of_memory"
    assert "SIGKILL" in by_index[1]["reason"]
    assert (by_index[2]["status"], by_index[2]["reason"]) == ("failed", "its worker died")
    assert by_index[3]["status"] == "ok"


def test_a_trial_past_its_deadline_is_a_row(search: Start, tmp_path: Path) -> None:
    running = search(
        "--space", "toy.yaml", "--train-length", "100000", "--budget", "1", "--deadline", "3", "--out", "a"
    )
    code, _, error = running.wait()
    assert code == 1, error
    (row,) = rows(tmp_path / "runs/a")
    assert row["status"] == "timed_out"
    assert "3 s" in row["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpus-per-trial", "1"), "GPUs"),
        (("--max-params", "10"), "params"),
        (("--address", "127.0.0.1:9"), "no Ray cluster was reached"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_run(
    search: Start, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, error = search(*TOY, *arguments, "--out", "a").wait()
    assert code == 2, error
    assert said in error
    assert "Traceback" not in error
    assert out == ""
    assert not (tmp_path / "runs/a").exists()


def _trial_children(running: Search) -> list[psutil.Process]:
    """The forked children that train: those of a worker's fork server."""
    found = []
    for process in running.family():
        try:
            parent = process.parent()
            if parent and "forkserver" in " ".join(parent.cmdline()) and "forkserver" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.long
def test_a_killed_validation_goes_on_and_then_only_reports(
    search: Start, tmp_path: Path, undisturbed_run: Path
) -> None:
    shutil.copytree(undisturbed_run, tmp_path / "runs/a")
    run, validation = tmp_path / "runs/a", tmp_path / "runs/a/validate-3x"
    command = [sys.executable, "-m", "nas.cli", "validate", "a", "--times", "3", "--json"]
    running = search(command=[*command, "--networks", "6"])
    wait_for(lambda: len(rows(validation)) >= 2, "two long trainings")
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate()
    finished = rows(validation)
    code, out, error = search(command=command).wait()
    assert code == 0, error
    assert rows(validation)[: len(finished)] == finished
    assert [row["index"] for row in sorted(rows(validation), key=lambda row: row["index"])] == list(range(6))
    assert {row["train_steps"] for row in rows(validation)} == {120}
    assert {row["key"] for row in rows(validation)} == {row["key"] for row in rows(run)}
    assert not {row["seed"] for row in rows(validation)} & {row["seed"] for row in rows(run)}
    assert {row["num_evaluated"] for row in rows(validation)} == {row["num_evaluated"] for row in rows(run)}
    assert len(json.loads(out)["pairs"]) == 6
    before = (validation / "trials.jsonl").read_bytes()
    again = search(command=command).wait()
    assert again[:2] == (0, out)
    assert (validation / "trials.jsonl").read_bytes() == before
    code, _, error = search("--resume", "a/validate-3x", "--budget", "50").wait()
    assert code == 2
    assert "is a validation" in error
