"""`nas completion`: the shells themselves complete with what it prints."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.cli.completion import MENDED, Shell, script
from nas.cli.main import COMMANDS
from search_space import SPACES

Nas = Callable[..., Any]
ASK: dict[Shell, str] = {
    "bash": """
        source {script}
        COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
        _tyro_nas
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p nas | grep -q -- '-o default' && [[ ${{#COMPREPLY[@]}} == 0 ]] && echo FILES
        true
    """,
    # The two functions are of zsh's line editor, which is not there: they print what they are given.
    "zsh": """
        _describe() {{ local one; for one in "${{(@P)2}}"; do print -r -- "${{one%%:*}}"; done }}
        _files() {{ print FILES }}
        words=({words}); CURRENT=${{#words}}
        source {script}
    """,
    "fish": "source {script}; complete -C {line} | string replace -r '\\t.*' ''; true",
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[Shell, Path]:
    folder = tmp_path_factory.mktemp("scripts")
    written: dict[Shell, Path] = {shell: folder / f"nas.{shell}" for shell in MENDED}
    for shell, path in written.items():
        path.write_text(script(shell))
    return written


@pytest.fixture(params=sorted(ASK))
def complete(request: pytest.FixtureRequest, scripts: dict[Shell, Path], folder: Path) -> Callable[..., set[str]]:
    """`complete(*words)`: what the shell offers for the last of them."""
    shell: Shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (folder / "pictures").mkdir()
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]

    def offered(*words: str) -> set[str]:
        said = ASK[shell].format(
            script=shlex.quote(str(scripts[shell])), words=shlex.join(words), line=shlex.quote(" ".join(words))
        )
        done = subprocess.run([shell, *flags, "-c", said], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        lines = {line for line in done.stdout.splitlines() if line}
        return {"FILES"} if lines == {"pictures/"} else lines

    return offered


def test_commands(complete: Callable[..., set[str]]) -> None:
    assert complete("nas", "s") == {name.split()[0] for name in COMMANDS if name.startswith("s")}
    assert {name.split()[0] for name in COMMANDS} <= complete("nas", "")
    assert complete("nas", "supernet", "t") == {"train"}


def test_options_and_choices(complete: Callable[..., set[str]]) -> None:
    assert complete("nas", "pareto", "--max") == {"--max-params", "--max-step-time"}
    assert "--space" in complete("nas", "supernet", "train", "--")
    assert complete("nas", "pareto", "--format", "") == {"table", "csv", "json", "parquet"}
    assert complete("nas", "search", "--goal", "f") == {"front"}
    assert not [option for option in complete("nas", "search", "--") if "given" in option or option.startswith("--no-")]


def test_files(complete: Callable[..., set[str]]) -> None:
    assert complete("nas", "curves", "--out", "pic") == {"FILES"}
    assert complete("nas", "pareto", "pic") == {"FILES"}


def test_runs(complete: Callable[..., set[str]], folder: Path) -> None:
    for name in ("first", "final", "second", "fi $(touch evil)"):
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "config.json").write_text("{}")
    (folder / "runs" / "pictures-of-them").mkdir()
    assert complete("nas", "pareto", "fi") == {"first", "final"}
    assert complete("nas", "pareto", "") == {"first", "final", "second"}
    assert complete("nas", "pareto", "--device", "pic") == {"FILES"}, "no run is meant"
    assert complete("nas", "pareto", "--w", "-0.2", "--json", "s") == {"second"}
    assert complete("nas", "curves", "first", "s") == {"second"}
    assert not complete("nas", "pareto", "first", "") & {"first", "second"}, "it takes one run"
    assert complete("nas", "search", "--resume", "s") == {"second"}
    assert complete("nas", "supernet", "train", "--resume", "f") == {"first", "final"}
    assert complete("nas", "pareto", "--fo") == {"--format"}
    assert not (folder / "evil").exists()


def test_spaces(complete: Callable[..., set[str]], folder: Path) -> None:
    tiny = {name for name in SPACES if name.startswith("efficientnetv2")}
    assert len(tiny) > 1
    assert complete("nas", "search", "--space", "efficientnetv2") == tiny
    assert complete("nas", "spaces", "") == set(SPACES)
    assert complete("nas", "supernet", "train", "--space", "nas-bench-m") == {"nas-bench-macro"}
    assert complete("nas", "search", "--space", "pic") == {"FILES"}


@pytest.mark.parametrize("shell", sorted(MENDED))
def test_what_is_mended_is_there(scripts: dict[Shell, Path], shell: Shell) -> None:
    text = scripts[shell].read_text()
    for found, mended in MENDED[shell].items():
        assert mended in text, found
    assert text.count("completions = names(words") == 1


def test_an_unknown_shell_is_wrong_usage(nas: Nas) -> None:
    said = nas("completion", "tcsh")
    assert said.code == 2
    assert "bash" in said.err
    document = nas("completion", "bash", "--json").document
    assert document["shell"] == "bash"
    assert "complete -o default -F _tyro_nas nas" in document["script"]
