"""`nas runs`: every kind of run with its state, one that is damaged among them."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from nas.train.job import FAMILY_KIND, read_result
from results import Objective, RunWriter, load
from search_space import ArchSpec

Nas = Callable[..., Any]


def _listed(nas: Nas, *arguments: str) -> dict[str, dict[str, Any]]:
    said = nas("runs", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    return {run["name"]: run for run in said.document["runs"]}


def test_searches_and_their_validations(nas: Nas, a_run: Path, confirmed_run: Path) -> None:
    with RunWriter.resume(confirmed_run) as writer:
        writer.write_summary(stop_reason="the budget is used up")
    record = {"validation": {"trials": [], "device": "cpu"}}
    inner = a_run / "validate-4x"
    with RunWriter.create(inner, config=record, objective=Objective(reference_params=1)):
        found = _listed(nas)
        assert list(found) == ["first/validate-4x", "sure", "first"], "the last written first"
        states = {name: (run["kind"], run["state"], run["reason"], run["num_trials"]) for name, run in found.items()}
        assert states == {
            "first": ("search", "interrupted", None, 4),
            "first/validate-4x": ("validation", "running", None, 0),
            "sure": ("search", "ended", "the budget is used up", 7),
        }
    best = load(confirmed_run).best()
    assert best is not None
    assert (found["sure"]["reward"], found["sure"]["network"]) == (best.reward, str(best.arch))
    assert found["first/validate-4x"]["reward"] is None
    used = sum(path.stat().st_blocks for path in confirmed_run.iterdir()) * 512
    assert found["sure"]["num_bytes"] == used > 0
    header, *rows = nas("runs").out.splitlines()
    assert header.split() == ["run", "state", "trials", "best", "written", "size", "kind", "why", "network"]
    (sure,) = (row for row in rows if row.startswith("sure "))
    assert f"reward {best.reward:.4f}" in sure
    assert sure.endswith(f"the budget is used up  {best.arch}")
    assert list(_listed(nas, "runs/first")) == ["validate-4x", "first"]


def test_trainings_supernets_and_families(
    nas: Nas, folder: Path, finished_run: Path, finished_supernet: Path, tiny_arch: ArchSpec
) -> None:
    family = Path("runs/kin/trained")
    for name in ("done", "cut", "kin/trained/S", "kin/trained/M"):
        shutil.copytree(finished_run, Path("runs") / name)
    shutil.copytree(finished_supernet, "runs/super")
    (family / "config.json").write_text(json.dumps({"kind": FAMILY_KIND, "family": "/x", "options": {}}))
    Path("runs/cut/result.json").unlink()
    found = _listed(nas)
    assert {name: (run["kind"], run["state"], run["reason"]) for name, run in found.items()} == {
        "super": ("supernet", "ended", None),
        "kin/trained": ("family training", "ended", "2 of the 2 that were begun are trained"),
        "kin/trained/S": ("training", "ended", None),
        "kin/trained/M": ("training", "ended", None),
        "done": ("training", "ended", None),
        "cut": ("training", "interrupted", None),
    }
    for name, path in (("done", finished_run), ("super", finished_supernet)):
        result = read_result(path)
        assert result is not None
        assert found[name]["accuracy"] == result.ema_accuracy
    held_out = [json.loads(line)["ema_accuracy"] for line in Path("runs/cut/metrics.jsonl").read_text().splitlines()]
    assert (found["cut"]["accuracy"], found["cut"]["network"]) == (max(held_out), str(tiny_arch))

    (family / "M/result.json").unlink()
    with FileLock(family / "M/.lock"):
        found = _listed(nas)
        assert [found[name]["state"] for name in ("kin/trained/M", "kin/trained")] == ["running", "running"]
    found = _listed(nas)
    assert [found[name]["state"] for name in ("kin/trained/M", "kin/trained")] == ["interrupted", "interrupted"]
    assert found["kin/trained"]["reason"] == "1 of the 2 that were begun are trained"
    Path("runs/cut/metrics.jsonl").unlink()
    assert (_listed(nas)["cut"]["state"], _listed(nas)["cut"]["accuracy"]) == ("interrupted", None)


@pytest.mark.parametrize(
    ("file", "damage", "told", "kind"),
    [
        ("config.json", "{", "config.json: no valid JSON", None),
        ("config.json", "[" * 100_000, "no valid JSON", None),
        ("config.json", "[]", "must be an object, got list", None),
        ("config.json", "\xff\x00", "no valid JSON", None),
        ("config.json", '{"schema_version": 99}', "written by a newer version", "search"),
        ("config.json", '{"schema_version": 1}', "objective", "search"),
        ("config.json", '{"kind": "training", "job": 3}', "schema_version must be", "training"),
        ("trials.jsonl", '{"a": "\x1b[2J"}\n{}\n', "line 1 is damaged", "search"),
    ],
)
def test_a_damaged_run_is_listed_as_such(
    nas: Nas, a_run: Path, confirmed_run: Path, file: str, damage: str, told: str, kind: str | None
) -> None:
    (a_run / file).write_text(damage, encoding="latin-1")
    found = _listed(nas)
    assert (found["first"]["state"], found["first"]["kind"]) == ("damaged", kind)
    assert told in found["first"]["reason"]
    assert found["sure"]["state"] == "interrupted"
    said = nas("runs")
    assert said.code == 0
    assert told in said.out
    assert "\x1b" not in said.out


def test_folders_without_a_run(nas: Nas, folder: Path) -> None:
    assert (nas("runs").code, nas("runs").out) == (0, "runs holds no run\n")
    assert _listed(nas) == {}
    Path("runs/empty").mkdir(parents=True)
    assert nas("runs").out == "runs holds no run\n"
    said = nas("runs", "nowhere")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: FOLDER must be a folder, got 'nowhere'\n"


def test_links_are_not_followed(nas: Nas, a_run: Path, tmp_path: Path) -> None:
    (a_run / "again").symlink_to(a_run.absolute())
    (a_run.parent / "elsewhere").symlink_to(tmp_path)
    shutil.copytree(a_run, a_run.parent / ".hidden", symlinks=True)
    assert list(_listed(nas)) == ["first"]


def test_a_narrow_terminal_cuts_lines_and_has_no_colour(a_run: Path) -> None:
    script = "import sys, nas.cli; sys.exit(nas.cli.main(['runs']))"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "30", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", script], stdout=theirs, env=environment, timeout=120, check=False)
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    header, row = text.splitlines()
    assert (len(header), len(row)) == (30, 30)
    assert row.startswith("first  interrupted       4 ")
    assert row.endswith("…")
    assert "\x1b" not in text


def test_a_pipe_gets_whole_lines(a_run: Path) -> None:
    script = "import sys, nas.cli; code = nas.cli.main(['runs']); sys.exit(code or 'torch' in sys.modules)"
    environment = {**os.environ, "COLUMNS": "30"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "…" not in done.stdout
    assert done.stdout.rstrip().endswith("head-16")


@pytest.mark.parametrize("out", ["file", "file/run", "file/a/run"])
@pytest.mark.parametrize(
    "command",
    [
        ["scale", "--base", "S", "--sizes", "S"],
        ["search", "--data", "digits"],
        ["train", "mobilenet_v2", "--data", "digits", "--image-size", "16", "--budget", "9st"],
        ["supernet", "train", "--space", "efficientnetv2-tiny", "--data", "digits", "--budget", "9st"],
    ],
    ids=lambda command: command[0],
)
def test_out_must_be_a_folder_that_can_be_made(nas: Nas, folder: Path, command: list[str], out: str) -> None:
    (folder / "file").touch()
    said = nas(*command, "--out", str(folder / out))
    assert said.code == 2
    rule = "error: out must be a folder, or one that can be made, but"
    assert said.err.splitlines()[-1] == f"{rule} {folder / 'file'} is a file"
