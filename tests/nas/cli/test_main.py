"""`nas` answers at once, and how it ends says what happened."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nas.cli import main as entry
from nas.cli.main import COMMANDS

Nas = Callable[..., Any]
HEAVY = ("torch", "torchvision", "ray", "optuna", "pandas", "numpy", "scipy", "pydantic", "tyro", "rich")


def _process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("help",)])
def test_help_lists_the_commands(nas: Nas, arguments: tuple[str, ...]) -> None:
    said = nas(*arguments)
    assert said.code == 0
    assert said.err == ""
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name}" in said.out
        assert summary in said.out
    assert "example: nas search" in said.out


def test_version_is_the_distributions(nas: Nas) -> None:
    assert nas("--version").out == f"nas {version('trainaware-nas')}\n"


def _loaded(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    code = (
        f"import sys; from nas.cli import main; code = main({arguments!r}); "
        f"print([name for name in {names!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    found: list[str] = eval(done.stderr.splitlines()[-1])
    return found


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_nothing_heavy(argument: str) -> None:
    assert _loaded([argument], HEAVY) == []


@pytest.mark.parametrize("arguments", [["describe", "efficientnet_b0"], ["spaces"], ["pareto", "--help"]])
def test_light_commands_leave_torch_out(arguments: list[str]) -> None:
    code = (
        "import sys; from nas.cli import main; code = main(sys.argv[1:]); "
        "print([name for name in ('torch', 'ray', 'optuna', 'pandas') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_near_command_is_suggested(nas: Nas) -> None:
    said = nas("serach")
    assert (said.code, said.out, said.err) == (2, "", "error: no command 'serach': did you mean 'search'?\n")
    said = nas("xyzzy", "--json")
    assert said.code == 2
    assert said.document == {"error": f"no command 'xyzzy': commands are {', '.join(COMMANDS)}", "exit_code": 2}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "search"])
def test_each_command_has_its_parts(nas: Nas, name: str) -> None:
    module = import_module(COMMANDS[name][0])
    assert {"Config", "run"} <= set(module.__all__)
    assert "json" in module.Config.__dataclass_fields__
    assert "Example: nas " in module.Config.__doc__
    said = nas(name, "--help")
    assert said.code == 0
    assert f"usage: nas {name}" in said.out
    assert "Example: nas " in said.out


def test_wrong_usage_is_2(nas: Nas) -> None:
    said = nas("pareto", "x", "--speed")
    assert said.code == 2
    assert said.out == ""
    assert "--speed" in said.err
    assert nas("pareto").code == 2
    said = nas("pareto", "x", "--speed", "--json")
    assert said.document["exit_code"] == 2


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Makes `nas odd` a command that does what it is given."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Odd."""

        json: bool = False

    def install(action: Callable[[], int]) -> None:
        module = ModuleType("nas.cli.odd")
        module.Config = Config  # type: ignore[attr-defined]
        module.run = lambda config: action()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "nas.cli.odd", module)
        monkeypatch.setitem(COMMANDS, "odd", ("nas.cli.odd", "odd"))

    return install


def _raises(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


def _run_error() -> int:
    from results import Run

    return len(Run("/no/such/run").trials)


def test_how_a_command_ends_is_its_exit_code(nas: Nas, command: Callable[[Callable[[], int]], None]) -> None:
    command(lambda: 0)
    assert nas("odd").code == 0
    command(lambda: 1)
    assert nas("odd").code == 1
    command(_raises(KeyboardInterrupt()))
    said = nas("odd")
    assert (said.code, said.out, said.err) == (130, "", "error: interrupted\n")
    command(_run_error)
    said = nas("odd")
    assert (said.code, said.out, said.err) == (2, "", "error: /no/such/run: no such folder\n")
    assert nas("odd", "--json").document == {"error": "/no/such/run: no such folder", "exit_code": 2}
    command(_raises(PermissionError(13, "Permission denied", "/a/file")))
    said = nas("odd")
    assert (said.code, said.err) == (1, "error: /a/file: Permission denied\n")
    command(_raises(SystemExit("gone")))
    assert nas("odd").code == 1


def test_a_signal_while_it_says_how_it_ended_is_no_traceback(
    nas: Nas, command: Callable[[Callable[[], int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(_run_error)
    monkeypatch.setattr("nas.cli.console.print_error", lambda text: _raises(KeyboardInterrupt())())
    said = nas("odd")
    assert (said.code, said.out, said.err) == (130, "", "")


@pytest.mark.parametrize("error", [RuntimeError("odd state"), ValueError("shapes do not match")])
def test_a_fault_of_ours_or_others_shows_its_trace(
    nas: Nas, command: Callable[[Callable[[], int]], None], error: Exception
) -> None:
    command(_raises(error))
    said = nas("odd", "--json")
    assert said.code == 1
    assert "Traceback" in said.err
    assert said.document == {"error": f"{type(error).__name__}: {error}", "exit_code": 1}


def test_a_disk_that_is_full_is_a_failure_and_no_bad_input(
    nas: Nas, command: Callable[[Callable[[], int]], None]
) -> None:
    from results import RunWriteError
    from results.durable import _failed

    def full() -> int:
        from results.durable import write_atomically

        write_atomically(Path("/proc/no-such-file"), "x")
        return 0

    assert issubclass(type(_failed(Path("x"), OSError(28, "full"))), RunWriteError)
    command(full)
    said = nas("odd")
    assert said.code == 1
    assert said.err.startswith("error: /proc/no-such-file: could not be written")


def test_a_name_that_no_file_can_have_is_bad_input(nas: Nas) -> None:
    said = nas("search", "--data", "x" * 5000, "--budget", "1")
    assert (said.code, "File name too long" in said.err) == (2, True)


def test_control_signs_of_an_error_are_not_printed(nas: Nas) -> None:
    said = nas("pareto", "a\x1b[2Jb\rc\u202e")
    assert said.code == 2
    assert not set("\x1b\r\u202e") & set(said.err)


def test_a_reader_that_goes_away_is_no_fuss() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        command = [sys.executable, "-m", "nas.cli", "spaces"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.stderr == ""
    assert done.returncode == 1


def test_a_terminal_of_few_letters_is_no_fuss() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = _process("pareto", "naïve", env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no run 'na\\xefve'")


def test_the_entry_point_is_the_module() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="nas")
    assert script.load() is entry


@pytest.mark.parametrize(("redirect", "code"), [(">&-", 0), (">/dev/full", 1)])
@pytest.mark.parametrize("command", ["--help", "describe efficientnetv2_s", "describe efficientnetv2_s --json"])
def test_a_closed_or_full_stdout_is_no_traceback(redirect: str, code: int, command: str) -> None:
    line = f"{sys.executable} -m nas.cli {command} {redirect}"
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120)
    assert said.returncode == code, said.stderr
    assert "Traceback" not in said.stderr
    assert "Exception ignored" not in said.stderr
    assert said.stderr.splitlines() == ["error: standard output: No space left on device"] * code


@pytest.mark.parametrize("target", ["2>/dev/full", "2>&1 >/dev/null | true"])
def test_a_stderr_that_takes_nothing_changes_no_exit_code(target: str, tmp_path: Path) -> None:
    line = f"{sys.executable} -c '{SAYS_MUCH}' {target}"
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "done").exists()


SAYS_MUCH = """
import sys, time
from pathlib import Path
from nas.cli import main
from nas.cli import spaces
from nas.search.progress import Progress

def run(config):
    with Progress() as progress:
        for _ in range(3):
            progress.note("it goes on")
            time.sleep(0.1)
    Path("done").touch()
    return 0

spaces.run = run
sys.exit(main(["spaces"]))
"""


def test_no_file_of_a_run_has_the_number_of_a_closed_stream() -> None:
    code = (
        "import os, sys; from nas.cli import main; main(['spaces']); "
        "names = {os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)}; sys.exit(names != {'/dev/null'})"
    )
    closed = subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], timeout=60, check=False)
    assert closed.returncode == 0
