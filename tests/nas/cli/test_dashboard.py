"""`nas dashboard`: what optuna-dashboard's own JSON API says of a run is what the record says."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from wsgiref.util import setup_testing_defaults

import pytest

from nas.search import SearchConfig
from nas.search.dashboard import RunDashboard, storage_of
from results import Limits, Objective, Run, RunError, RunWriter, TrialStatus, Weights
from search_space import load_space
from tests.nas.cli.conftest import make_trial_of

Nas = Callable[..., Any]
SPACE = load_space("efficientnetv2-tiny")
REWARD, FRONT = 0, 1
MAX_PARAMS = 200_000


def decisions_of(number: int) -> tuple[int, ...]:
    """Different networks; the larger the number, the deeper the second stage."""
    chosen = dict.fromkeys((decision.name for decision in SPACE.decisions), 0)
    chosen |= {"stage2.depth": number % 3, "stage3.depth": number // 3 % 3, "stage3.expansion": number % 2}
    return SPACE.canonical(tuple(chosen.values()))


def trial_of(number: int, *, network: int | None = None, **measured: Any) -> Any:
    decisions = decisions_of(number if network is None else network)
    return replace(make_trial_of(number, SPACE.decode(decisions), **measured), decisions=decisions)


def write(limits: Limits, trials: list[Any], asks: tuple[int, ...] = ()) -> Path:
    path = Path("runs/seen")
    config = {
        "search": json.loads(json.dumps(asdict(SearchConfig()), default=str)),
        "space": json.loads(SPACE.to_json()),
    }
    objective = Objective(reference_params=SPACE.reference.params)
    with RunWriter.create(path, config=config, objective=objective, limits=limits) as writer:
        for trial in trials:
            writer.append(trial)
        for index in asks:
            writer.ask(index, decisions_of(index))
    return path


TRIALS = [
    trial_of(0, accuracy=0.5, ratio=1.0),
    trial_of(1, accuracy=None),
    trial_of(2, accuracy=0.7, ratio=1.5),
    trial_of(3, accuracy=0.9, ratio=4.0),
    replace(trial_of(4, accuracy=None), status=TrialStatus.PRUNED, reason="params 300000 > 200000"),
]


@pytest.fixture
def seen(folder: Path) -> Path:
    """runs/seen: 0 and 2 are measured, 3 is too slow, 1 failed, 4 was pruned, 5 is asked for."""
    return write(Limits(max_step_time=3.0, max_params=MAX_PARAMS), TRIALS, asks=(5,))


def get(app: Any, path: str, host: str = "127.0.0.1:80", method: str = "GET") -> tuple[str, Any]:
    """Status and what was answered."""
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_HOST": host, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    said: list[str] = []
    answer = app(environ, lambda status, headers, exc_info=None: said.append(status))
    body = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return said[0], json.loads(body) if body.startswith((b"{", b"[")) else body


def study(app: Any, number: int) -> dict[str, Any]:
    status, found = get(app, f"/api/studies/{number}")
    assert status.startswith("200"), found
    return dict(found)


def attributes(row: dict[str, Any]) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in row["user_attrs"]}


def test_the_dashboards_api_has_the_record(seen: Path) -> None:
    before = {path.name: path.read_bytes() for path in seen.iterdir()}
    app, run = RunDashboard(seen), Run(seen)
    _, studies = get(app, "/api/studies")
    assert [entry["study_name"] for entry in studies["study_summaries"]] == ["reward", "front"]
    reward, front = study(app, REWARD), study(app, FRONT)
    assert (reward["directions"], reward["objective_names"]) == (["maximize"], ["reward"])
    assert front["directions"] == ["maximize", "minimize", "minimize"]
    assert front["objective_names"] == ["accuracy", "step_time_ratio", "params"]
    states = ["Complete", "Fail", "Complete", "Complete", "Pruned", "Waiting"]
    for found in (reward, front):
        assert [row["state"] for row in found["trials"]] == states
        assert [row["number"] for row in found["trials"]] == list(range(6))
    for trial in run.ok:
        assert reward["trials"][trial.index]["values"] == [pytest.approx(run.objective.reward(trial))]
        values = front["trials"][trial.index]["values"]
        assert values == [trial.accuracy, trial.step_time_ratio, trial.params]
    assert attributes(reward["trials"][1])["reason"] == "it ended"
    assert attributes(reward["trials"][4])["reason"] == "params 300000 > 200000"
    assert {path.name: path.read_bytes() for path in seen.iterdir()} == before


def test_what_is_outside_the_limits_is_infeasible_and_never_the_best(seen: Path) -> None:
    app = RunDashboard(seen)
    for number in (REWARD, FRONT):
        rows = study(app, number)["trials"]
        outside = {row["number"] for row in rows if any(value > 0 for value in row["constraints"])}
        assert outside == {3}
        assert all(len(row["constraints"]) == 2 for row in rows if row["state"] == "Complete")
    # Trial 3 has the highest reward; the run's best is what `nas pareto` says.
    rewards = {row["number"]: row["values"][0] for row in study(app, REWARD)["trials"] if "values" in row}
    assert max(rewards, key=lambda number: rewards[number]) == 3
    best = Run(seen).best()
    assert best is not None
    assert [row["number"] for row in study(app, REWARD)["best_trials"]] == [best.trial] == [2]


def test_optuna_itself_has_the_runs_front(seen: Path) -> None:
    import optuna

    run = Run(seen)
    study = optuna.load_study(study_name="front", storage=storage_of(run))
    assert {trial.number for trial in study.best_trials} == {network.trial for network in run.front()}


def test_params_are_the_decisions_that_have_a_meaning(seen: Path) -> None:
    for row in study(RunDashboard(seen), REWARD)["trials"]:
        decisions = decisions_of(row["number"])
        expected = {
            decision.name: str(decision.values[position])
            for decision, position, active in zip(SPACE.decisions, decisions, SPACE.active(decisions), strict=True)
            if active
        }
        assert {param["name"]: param["param_external_value"] for param in row["params"]} == expected
        assert "stage5.kernel" not in expected, "the stage has vanished"
        assert expected["stage1.op"] == "mbconv"
        choices = {param["name"]: param["distribution"]["choices"] for param in row["params"]}
        assert [choice["value"] for choice in choices["stage2.depth"]] == ["1", "2", "3"]


def test_a_network_trained_anew_has_one_value_and_its_trainings_none(folder: Path) -> None:
    anew = [
        trial_of(0, accuracy=0.9, ratio=1.0),
        trial_of(1, accuracy=0.8, ratio=1.0),
        trial_of(2, network=0, accuracy=0.7, ratio=1.0, repeat=1),
        trial_of(3, network=0, accuracy=0.72, ratio=1.0, repeat=2),
    ]
    app = RunDashboard(write(Limits(), anew))
    rows = study(app, FRONT)["trials"]
    assert [row["state"] for row in rows] == ["Complete", "Complete", "Pruned", "Pruned"]
    assert rows[0]["values"][0] == pytest.approx(0.71)
    assert attributes(rows[0])["num_trained_anew"] == "2"
    assert attributes(rows[3])["reason"] == "trained anew, repeat 2: see trial 0"
    assert attributes(rows[3])["accuracy"] == "0.72"
    assert [row["number"] for row in study(app, REWARD)["best_trials"]] == [0], "as nas pareto: the confirmed one"


def test_what_a_supernet_judged_keeps_its_values_beside_those_of_trainings_alone(folder: Path) -> None:
    judged = [
        replace(trial_of(number, accuracy=accuracy), weights=Weights.SUPERNET)
        for number, accuracy in enumerate((0.5, 0.6, 0.4))
    ]
    alone = [trial_of(3, network=0, accuracy=0.9, repeat=1), trial_of(4, network=0, accuracy=0.8, repeat=2)]
    app = RunDashboard(write(Limits(), judged + alone))
    rows = study(app, FRONT)["trials"]
    assert [row["state"] for row in rows] == ["Complete"] * 3 + ["Pruned"] * 2
    assert [row["values"][0] for row in rows[:3]] == [0.5, 0.6, 0.4]
    told = attributes(rows[0])
    assert (float(told["accuracy_alone"]), told["num_trained_alone"]) == (pytest.approx(0.85), "2")
    assert [row["number"] for row in study(app, REWARD)["best_trials"]] == [0], "as nas pareto"


def test_numbers_stay_the_runs_where_one_is_missing(folder: Path) -> None:
    rows = study(RunDashboard(write(Limits(), [TRIALS[0], TRIALS[3]])), REWARD)["trials"]
    assert [row["state"] for row in rows] == ["Complete", "Waiting", "Waiting", "Complete"]
    assert rows[1]["params"] == []


def test_a_new_trial_appears_when_the_record_is_read_again(seen: Path) -> None:
    app = RunDashboard(seen)
    assert not app.update()
    with RunWriter.resume(seen) as writer:
        writer.append(trial_of(5, accuracy=0.6, ratio=1.0))
    assert app.update()
    assert study(app, FRONT)["trials"][5]["values"][0] == 0.6
    (seen / "trials.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match=r"trials\.jsonl"):
        app.update()
    assert len(study(app, FRONT)["trials"]) == 6, "what was shown stays"


def test_pages_of_other_names_get_nothing(seen: Path) -> None:
    app = RunDashboard(seen)
    for host in ("evil.example:80", "127.0.0.1.evil.example:80", ""):
        assert get(app, "/api/studies", host=host)[0] == "403 Forbidden"
    for host in ("localhost:8080", "127.0.0.1"):
        assert get(app, "/dashboard", host=host)[0].startswith("200")


def test_one_device_is_shown(folder: Path) -> None:
    path = write(Limits(), [trial_of(0, accuracy=0.5, device="T4"), trial_of(2, accuracy=0.6, device="L4")])
    with pytest.raises(RunError, match=r"do not compare: choose one$"):
        RunDashboard(path)
    rows = study(RunDashboard(path, device="T4"), REWARD)["trials"]
    assert [row["state"] for row in rows] == ["Complete", "Waiting", "Pruned"]
    assert attributes(rows[2])["reason"] == "measured on another device than is shown"


def test_bad_input_names_the_rule(nas: Nas, seen: Path, folder: Path) -> None:
    def refused(*arguments: str) -> str:
        said = nas("dashboard", *arguments, "--json")
        assert said.code == said.document["exit_code"] == 2
        assert "Traceback" not in said.err
        return str(said.document["error"])

    assert "port must be from 0 to 65535, got 70000" in refused("seen", "--port", "70000")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused("seen", "--port", str(port))
        assert error == f"port must be one that is free (0 takes one), got {port}: Address already in use"
    assert "no run 'sen': " in refused("sen")
    assert "no trial was measured in full on device 'T4'" in refused("seen", "--device", "T4")
    (seen / "trials.jsonl").write_text("")
    assert "has no trial yet" in refused("seen")
    (seen / "trials.jsonl").write_text('{"index": 1}\n')
    assert "trials.jsonl" in refused("seen")
    (folder / "runs/trained").mkdir()
    (folder / "runs/trained/config.json").write_text('{"kind": "training"}')
    assert "is of a training (nas train), not of a search" in refused("trained")


def test_a_run_without_a_space_or_of_too_many_is_refused(a_run: Path, seen: Path) -> None:
    with pytest.raises(RunError, match=r"config\.json"):
        RunDashboard(a_run)
    with RunWriter.resume(seen) as writer:
        writer.append(trial_of(200_000, accuracy=None))
    with pytest.raises(RunError, match="has a trial 200000, and at most 100,000 are shown"):
        RunDashboard(seen)


def test_what_is_missing_is_named(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(ValueError, match="optuna-dashboard must be installed: pip install optuna-dashboard"):
        RunDashboard(seen)


@pytest.fixture
def served(seen: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process, and its address."""
    command = [sys.executable, "-m", "nas.cli", "dashboard", "seen", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(4)]
            yield process, json.loads("".join(lines))["url"]
        finally:
            process.kill()


def test_the_command_serves_this_machine_until_ctrl_c(served: tuple[subprocess.Popen[str], str], seen: Path) -> None:
    process, url = served

    def trials() -> int:
        with urlopen(f"{url}api/studies/1", timeout=60) as answer:
            return len(json.load(answer)["trials"])

    assert trials() == 6
    with urlopen(url, timeout=60) as page:
        assert b"bundle.js" in page.read()
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(url, headers={"Host": "evil.example"}), timeout=60)
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))
    with RunWriter.resume(seen) as writer:
        writer.append(trial_of(6, accuracy=0.6, ratio=1.0))
    until = time.monotonic() + 60
    while trials() == 6 and time.monotonic() < until:
        time.sleep(0.2)
    assert trials() == 7
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_folders_name_moves_no_cursor(nas: Nas, seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.cli.dashboard._Server.serve_forever", lambda self: None)
    named = seen.rename("runs/\x1b[31mred")
    said = nas("dashboard", str(named), "--port", "0")
    assert "tensorboard --logdir 'runs/?[31mred'" in said.out
    assert "\x1b" not in said.out
