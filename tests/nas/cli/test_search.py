"""What `nas search` refuses, before anything is started."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli.search import Config, _changes, _new_folder, _report
from nas.search import EngineError, SearchEnd
from results import check_run_name

Nas = Callable[..., Any]


@pytest.fixture(autouse=True)
def cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--space", "efficientnetv2-tinny"], "efficientnetv2-tiny"),
        (["--space", "nowhere.yaml"], "nowhere.yaml"),
        (["--budget", "soon"], "a budget must be trials (40), time (30m, 8h, 2d)"),
        (["--budget", "0m"], "above 0"),
        (["--train-length", "3minutes"], "steps (450) or epochs (2ep)"),
        (["--data", "nowhere"], "nowhere"),
        (["--holdout", "1"], "holdout"),
        (["--min-params", "10", "--max-params", "5"], "min_params must be at most max_params, 5, got 10"),
        (["--sampler", "evoluton"], "got 'evoluton' (did you mean 'evolution'?)"),
        (["--sampler", "bayes"], "sampler must be one of cost-aware, random, evolution, tpe, nsga2, got 'bayes'"),
        (["--sampler", "evolution", "--goal", "front"], "one of cost-aware, random, tpe, nsga2 for goal front, got"),
        (["--goal", "speed"], "speed"),
        (["--confirm-share", "1"], "confirm_share must be at least 0 and below 1, got 1"),
        (["--repeat", "1"], "repeat must be at least 2"),
        (["--max-params", "10"], "no network of the space efficientnetv2-tiny within the limits was found"),
        (["--gpus-per-trial", "1.5"], "gpus_per_trial must be from 0 to 1"),
        (["--out", "../a b"], "a run's name must be"),
        (["--recipe.peak-lr", "-1"], "Recipe.peak_lr must be above 0"),
        (["--w", "nan"], "w must be a number"),
        (["--resume", "nowhere"], "nowhere"),
        (["--resume", "first", "--out", "b"], "--out cannot be given with --resume"),
        (["--data", "~nobody-of-this-name"], "names no user's home folder"),
        (["--resume", "first", "--seed", "0"], "--seed cannot change with --resume"),
        (["--resume", "first", "--recipe.peak-lr=0.2"], "--recipe.peak-lr cannot change with --resume"),
        (["--resume", "first", "--seed", "7"], "--seed cannot change with --resume"),
        (["--resume", "first", "--sampler", "tpe"], "--sampler cannot change with --resume"),
        (["--resume", "first", "--goal", "front"], "--goal cannot change with --resume"),
        (["--evaluator", "supernet"], "supernet must be given with evaluator supernet"),
        (["--supernet", "first"], "got 'first' with evaluator training"),
        (["--evaluator", "oracle"], "oracle"),
        (["--evaluator", "supernet", "--supernet", "nowhere"], "nowhere"),
        (["--evaluator", "supernet", "--supernet", "first"], "must be of a training, as nas train makes it"),
        (["--evaluator", "supernet", "--supernet", "first", "--space", "a.json"], "--space has no effect with --eval"),
        (
            ["--evaluator", "supernet", "--supernet", "first", "--confirm-share", "0.3"],
            "--confirm-share has no effect with --evaluator",
        ),
        (["--confirm", "3"], "--confirm has no effect without --evaluator supernet"),
    ],
)
def test_bad_input_names_the_rule_and_leaves_nothing(
    nas: Nas, a_run: Path, arguments: list[str], said: str, folder: Path
) -> None:
    ended = nas("search", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert [path.name for path in (folder / "runs").iterdir()] == [a_run.name]


def test_how_much_is_confirmed_may_change_on_the_way() -> None:
    given = ("resume", "budget", "confirm_share", "repeat", "json")
    config = Config(resume="first", budget="40", confirm_share=0.5, repeat=4, given=given)
    assert _changes(config) == {"budget": "40", "confirm_share": 0.5, "repeat": 4}


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("efficientnetv2-tiny", "efficientnetv2-tiny-"),
        ("my spaces/tëst 2.yaml", "t-st-2-"),
        ("...yaml", "search-"),
        ("x" * 90 + ".json", "x" * 40 + "-2"),
    ],
)
def test_a_run_that_is_not_named_gets_a_name_that_may_be(folder: Path, space: str, name: str) -> None:
    first = _new_folder(Config(space=space))
    assert first.parent == Path("runs")
    assert check_run_name(first.name).startswith(name)


def test_two_runs_of_one_second_get_two_names(folder: Path) -> None:
    for _ in range(50):
        _new_folder(Config()).mkdir(parents=True)
    assert len(list((folder / "runs").iterdir())) == 50


def test_a_run_is_never_overwritten(nas: Nas, a_run: Path) -> None:
    ended = nas("search", "--out", a_run.name, "--json")
    assert ended.code == 2
    assert "already holds a run" in ended.err
    assert ended.document["exit_code"] == 2


def _end(folder: Path) -> SearchEnd:
    return SearchEnd(folder=folder, stop_reason="the budget is used up", interrupted=False)


def test_the_report_of_one_device(a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _report(Config(), _end(a_run)) == 0
    head, *_, best, see, gap, pareto, look, resume = capsys.readouterr().out.splitlines()[1:]
    assert head == "runs/first: the budget is used up; 4 trials, 3 measured in full, 2 on the front"
    assert best == "best reward: trial 1, not confirmed: the ranking rests on one accuracy of each network"
    assert see == "see it with: nas describe runs/first:1"
    assert (gap, pareto) == ("", "  nas pareto runs/first --format csv")
    assert look == "  nas dashboard runs/first"
    assert resume == "  nas search --resume runs/first --budget LARGER"


def test_the_report_of_several_devices_keeps_them_apart(split_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _report(Config(), _end(split_run)) == 0
    out = capsys.readouterr().out
    assert "3 measured in full on 2 devices; step times of different devices do not compare" in out
    for line in ("T4: 2 measured in full, 2 on the front", "=A?[2J 100: 1 measured in full, 1 on the front"):
        assert line in out.splitlines()
    assert [line.split(",")[0] for line in out.splitlines() if line.startswith("best")] == [
        "best reward: trial 2",
        "best reward: trial 3",
    ]
    assert "\x1b" not in out
    assert _report(Config(json=True), _end(split_run)) == 0
    document = json.loads(capsys.readouterr().out)
    assert [found["best"] for found in document["by_device"].values()] == [2, 3]


def test_the_report_of_a_confirmed_run(confirmed_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _report(Config(), _end(confirmed_run)) == 0
    out = capsys.readouterr().out
    assert "7 trials, 7 measured in full, 3 on the front" in out
    assert "\ntied for the best reward (95 %): trials 1 (P(best) " in out
    assert _report(Config(json=True), _end(confirmed_run)) == 0
    (found,) = json.loads(capsys.readouterr().out)["by_device"].values()
    assert [(network["trial"], network["num_trainings"]) for network in found["confirmed"]] == [(1, 2), (2, 2)]


def test_what_was_left_undone_is_told(a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = replace(_end(a_run), notes=("no network was confirmed: because",))
    assert _report(Config(), end) == 0
    assert capsys.readouterr().err == "note: no network was confirmed: because\n"
    assert _report(Config(json=True), end) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == ["no network was confirmed: because"]


@pytest.mark.parametrize("resumed", [False, True])
def test_machines_that_fail_leave_a_way_to_go_on(
    nas: Nas, a_run: Path, resumed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> SearchEnd:
        raise EngineError("Ray did not start on this machine: it timed out")

    for name in ("start_search", "resume_search"):
        monkeypatch.setattr(f"nas.cli.search.{name}", fail)
    said = nas("search", *(["--resume", "first"] if resumed else ["--out", "second"]))
    go_on = f"what was finished is kept; to go on: nas search --resume {a_run}"
    if not resumed:
        go_on = "nothing was begun: give the same command again"
    assert (said.code, said.out) == (1, "")
    assert said.err == f"error: Ray did not start on this machine: it timed out\n       {go_on}\n"


def test_a_search_that_found_nothing_fails(a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((a_run / "config.json").read_text())
    config["limits"]["min_accuracy"] = 0.95
    (a_run / "config.json").write_text(json.dumps(config))
    assert _report(Config(), _end(a_run)) == 1
    assert "\nno network keeps to the limits\n" in capsys.readouterr().out
    (a_run / "trials.jsonl").write_text("")
    assert _report(Config(), _end(a_run)) == 1
    assert "; 0 trials, 0 measured in full, 0 on the front\n" in capsys.readouterr().out


def test_help_names_every_option(nas: Nas) -> None:
    ended = nas("search", "--help")
    assert ended.code == 0
    for option in (
        "--budget",
        "--goal",
        "--confirm-share",
        "--repeat",
        "--max-step-time",
        "--resume",
        "--gpus-per-trial",
        "--recipe.peak-lr",
        "--address",
    ):
        assert option in ended.out


def test_a_damaged_calibration_is_refused_before_anything_is_started(nas: Nas, a_run: Path) -> None:
    (a_run / "calibration.json").mkdir()
    said = nas("search", "--resume", "first")
    assert (said.code, said.out) == (2, "")
    assert "calibration.json: is no regular file" in said.err
