"""What holds for every command: one JSON document, no colour where none may be, narrow terminals, near names."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nas.cli.main import COMMANDS
from nas.cli.usage import options_of

Nas = Callable[..., Any]
BAD: dict[str, tuple[str, ...]] = {
    "search": ("--space", "efficientnetv2-tinny"),
    "pareto": ("frist",),
    "dashboard": ("frist",),
    "report": ("frist",),
    "validate": ("frist",),
    "scale": ("--base", "efficientnetv2_q"),
    "train": ("efficientnetv2-s", "--data", "digits"),
    "supernet train": ("--space", "efficientnetv2-tinny", "--data", "digits", "--budget", "1ep"),
    "curves": ("frist",),
    "evaluate": ("frist", "--data", "digits"),
    "export": ("frist",),
    "describe": ("efficientnetv2-s",),
    "measure": ("efficientnetv2-s",),
    "spaces": ("efficientnetv2-tinny",),
    "replay": ("frist",),
}
"""A name that is nearly one that is known."""
WITHOUT_NAMES = {"doctor", "completion", "runs"}


def test_each_command_that_looks_a_name_up_is_tried() -> None:
    """A new command belongs into one of the two."""
    assert set(COMMANDS) == {*BAD, *WITHOUT_NAMES}


@pytest.mark.parametrize("name", BAD)
def test_a_near_name_is_suggested_and_the_error_is_one_document(nas: Nas, a_run: Path, name: str) -> None:
    said = nas(*name.split(), *BAD[name], "--json")
    assert said.code == 2
    assert set(said.document) == {"error", "exit_code"}, "one document alone is on stdout"
    assert said.document["exit_code"] == 2
    assert "did you mean " in said.document["error"]
    assert said.document["error"].splitlines()[0] in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_is_one_document(nas: Nas, name: str) -> None:
    assert "json" in import_module(COMMANDS[name][0]).Config.__dataclass_fields__
    needed = BAD.get(name, ("bash",) if name == "completion" else ())
    said = nas(*name.split(), *needed, "--jsn", "--json")
    assert said.code == 2
    assert said.document == {"error": "no option --jsn: did you mean --json?", "exit_code": 2}
    assert "Perhaps you meant" in said.err
    assert "--json" in said.err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("pareto",), "RUN must be given"),
        (
            ("curves", "first", "--x", "epoch"),
            "--x must be one of epochs, minutes, got 'epoch'; did you mean 'epochs'?",
        ),
        (("pareto", "first", "second"), "'second' is one argument too many"),
        (("pareto", "--frmat", "csv"), "no option --frmat: did you mean --format?"),
        (("replay", "first", "--x"), "no option --x: options are --json"),
        (
            ("pareto", "first", "--format", "cvs"),
            "--format must be one of table, csv, json, parquet, got 'cvs'; did you mean 'csv'?",
        ),
        (
            ("export", "first", "--format", "onnx", "safetensor"),
            "--format must be one of safetensors, torch-export, onnx, torchvision, all, got 'safetensor'; "
            "did you mean 'safetensors'?",
        ),
        (("completion", "tcsh"), "bash|zsh|fish must be one of bash, zsh, fish, got 'tcsh'"),
        (("pareto", "first", "--w", "-0.2", "--v", "x"), "--v must be a number, got 'x'"),
        (("pareto", "first", "--max_params=1e6"), "--max-params must be an integer, got '1e6'"),
        (("search", "--recipe.peak-lr", "high"), "--recipe.peak-lr must be a number, got 'high'"),
        (("search", "--recipe.peak-rl", "1"), "no option --recipe.peak-rl: did you mean --recipe.peak-lr?"),
        (("search", "--budget"), "--budget needs a value"),
        (("train", "efficientnet_b0", "--growth", "None", "--lr", "x"), "--lr must be a number, got 'x'"),
    ],
)
def test_wrong_usage_names_argument_rule_and_value(nas: Nas, typed: tuple[str, ...], message: str) -> None:
    said = nas(*typed, "--json")
    assert (said.code, said.document) == (2, {"error": message, "exit_code": 2})
    assert "Traceback" not in said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_those_of_the_help(nas: Nas, name: str) -> None:
    listed = re.findall(r"^\W{0,3}(--[a-z][a-z.-]*)", nas(*name.split(), "--help").out, re.MULTILINE)
    found = options_of(import_module(COMMANDS[name][0]).Config)
    assert sorted(option.shown for option in found if not option.positional) == sorted(listed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("spaces",),
        ("spaces", "efficientnetv2-tiny"),
        ("describe", "efficientnetv2_s"),
        ("pareto", "first"),
        ("scale", "--base", "S"),
        ("completion", "zsh"),
    ],
)
def test_a_result_is_one_document(nas: Nas, a_run: Path, arguments: tuple[str, ...]) -> None:
    said = nas(*arguments, "--json")
    assert said.code == 0
    assert isinstance(said.document, dict)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", ["40", "120"])
def test_help_to_a_pipe_is_plain_at_any_width(
    nas: Nas, monkeypatch: pytest.MonkeyPatch, name: str, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = nas(*name.split(), "--help")
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    options = said.out[said.out.index("\n options") :].splitlines()
    assert max(map(len, options)) <= int(columns)
    assert "--json" in said.out
    assert "--given" not in said.out


@pytest.mark.parametrize(
    "arguments", [("spaces",), ("pareto", "first"), ("describe", "efficientnet_b0"), ("pareto", "frist")]
)
def test_what_is_printed_to_a_pipe_is_plain_on_a_narrow_terminal(
    nas: Nas, a_run: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    narrow = {}
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        narrow[columns] = nas(*arguments)
    assert "\x1b" not in narrow["40"].out + narrow["40"].err
    assert narrow["40"] == narrow["200"], "what a script reads does not depend on a terminal"


def _on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a terminal gets."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    shown, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "nas.cli", *arguments]
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        process = subprocess.Popen(command, **streams, env=kept | environment)  # type: ignore[call-overload]
        os.close(terminal)
        found = b""
        while True:
            try:
                part = os.read(shown, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            found += part
        process.wait(timeout=60)
    finally:
        os.close(shown)
    return found.decode()


def test_a_terminal_that_wants_no_colour_gets_none() -> None:
    arguments = ("pareto", "--help")
    assert re.search(r"\x1b\[[0-9;]*m", _on_a_terminal(*arguments, TERM="xterm")), "it has styles otherwise"
    for environment in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = _on_a_terminal(*arguments, **environment)
        assert "usage: nas pareto" in shown
        assert "\x1b" not in shown


def test_a_reader_that_goes_away_early_is_no_fuss() -> None:
    line = f"{sys.executable} -m nas.cli completion bash | head -c 10"
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stdout, said.stderr) == (0, "# AUTOMATI", "")
