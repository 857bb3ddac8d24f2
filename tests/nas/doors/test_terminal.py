"""What names, reasons and messages hold cannot move a cursor, colour a line or forge another one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.cli import main
from nas.cli.training_line import TrainingLine
from nas.search.progress import Progress
from results import Objective, RunWriter
from search_space import Space
from tests.nas.cli.conftest import make_trial_of

HOSTILE = "[red]\x1b[2J\x1b]0;owned\x07\r\nerror: forged\x9b31m\u202e"
FOLDER = "[red]\x1b[2J\u202e"


def _check(text: str) -> None:
    found = {sign for sign in text if not sign.isprintable() and sign != "\n"}
    assert not found, repr(text)
    assert not any(line.startswith("error: forged") for line in text.splitlines()), text


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_space: Space, finished_run: Path) -> Path:
    """A working folder with a search, a training, a data set and a space, all of whose names are hostile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    space = json.loads(small_space.to_json())
    (tmp_path / "space.json").write_text(json.dumps({**space, "name": HOSTILE}))
    config = {"space": {**space, "name": HOSTILE}, "data": {"summary": HOSTILE}, "image_size": 8, "search": {}}
    objective = Objective(reference_params=small_space.reference.params)
    with RunWriter.create(tmp_path / "run", config=config, objective=objective) as writer:
        for index in range(3):
            arch = small_space.decode((index % 2, 0, 0, 0, 0, 0))
            if arch.key not in {trial.key for trial in writer.trials}:
                writer.append(make_trial_of(index, arch, accuracy=0.5, device=HOSTILE))
        writer.append(make_trial_of(9, small_space.reference, accuracy=None, device=HOSTILE))
        writer.write_summary(stop_reason=HOSTILE)
    with (tmp_path / "run/trials.jsonl").open("a") as file:
        file.write('{"\x1b[2J')
    (tmp_path / "runs" / FOLDER).mkdir(parents=True)
    (tmp_path / "run").rename(tmp_path / "runs" / FOLDER / "search")
    shutil.copytree(finished_run, tmp_path / "runs" / FOLDER / "training")
    for split in ("train", "test"):
        for name in ("a\x1b[2J", "b[red]\r\u202e"):
            place = tmp_path / "data" / split / name
            place.mkdir(parents=True)
            for number in range(4):
                Image.fromarray(np.full((9, 9, 3), 20 * number, np.uint8)).save(place / f"{number}\x1b[2J.png")
            (place / "5\x1b[2J\nerror: forged.png").write_bytes(b"none")
    return tmp_path


SEARCH, TRAINING = f"runs/{FOLDER}/search", f"runs/{FOLDER}/training"
COMMANDS = [
    ["pareto", SEARCH],
    ["pareto", SEARCH, "--format", "csv"],
    ["pareto", SEARCH, "--json"],
    ["report", SEARCH],
    ["replay", SEARCH],
    ["describe", f"{SEARCH}:0"],
    ["scale", "--base", f"{SEARCH}:0", "--sizes", "S", "--out", f"runs/{FOLDER}/family"],
    ["scale", f"{SEARCH}:0"],
    ["runs", "."],
    ["curves", TRAINING],
    ["evaluate", TRAINING],
    ["evaluate", TRAINING, "--data", "data"],
    ["export", TRAINING, "--format", "safetensors"],
    ["spaces", "space.json"],
    ["train", "efficientnetv2_s", "--data", "data", "--budget", "1st"],
    ["search", "--space", "space.json", "--data", "data"],
    ["validate", SEARCH],
    ["train", "--resume", FOLDER],
    ["describe", FOLDER],
    ["search", "--space", FOLDER],
    ["search", "--data", FOLDER],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command).replace(FOLDER, "X"))
def test_a_commands_output_has_no_control_signs(
    command: list[str], hostile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(command)
    out, error = capfd.readouterr()
    _check(out)
    _check(error)
    assert code in (0, 1, 2)
    assert out or error
    assert "Traceback" not in error


@pytest.mark.parametrize("kind", [Progress, TrainingLine])
def test_notes_of_workers_are_text(kind: type, capfd: pytest.CaptureFixture[str]) -> None:
    with kind() as progress:
        progress.note(HOSTILE)
    _, error = capfd.readouterr()
    _check(error)
    assert "[red]" in error, "no markup"
