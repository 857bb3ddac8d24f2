"""Finds the command, parses its flags, runs it, and turns how it ended into an exit code.

A command is a module with a frozen dataclass `Config` (its flags, parsed by tyro; the class's docstring is the help
text) and `run(config: Config) -> int`. Adding one is a row of `COMMANDS`.

Exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 130 interrupted.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from nas.signals import STOPPING, handling, silence

__all__ = ["COMMANDS", "main", "parse_command"]

COMMANDS: dict[str, tuple[str, str]] = {
    "search": ("nas.cli.search", "search a space for networks that are accurate, small and fast to train"),
    "pareto": ("nas.cli.pareto", "the Pareto front of a run: accuracy, step time, parameters"),
    "report": (
        "nas.cli.report",
        "a run as one HTML file: the answer, the front to click, each network, tables, failures",
    ),
    "runs": ("nas.cli.runs_list", "the runs there are: which are running, which have ended and why, the best of each"),
    "dashboard": ("nas.cli.dashboard", "look at a run in a browser, with optuna-dashboard"),
    "validate": ("nas.cli.validate", "is a run's short training fit for use? trains some of its networks for longer"),
    "scale": ("nas.cli.scale", "one network into a family S, M, L, each with its training recipe"),
    "train": ("nas.cli.train", "one network to a final model, image size and regularisation growing together"),
    "supernet train": ("nas.cli.supernet_train", "all networks of a space in one training, with shared weights"),
    "curves": ("nas.cli.curves", "learning curves of trainings as a picture, over each other"),
    "evaluate": ("nas.cli.evaluate", "a trained model's accuracy on images, with its interval, and by class"),
    "export": ("nas.cli.export", "a trained model as safetensors, torch.export program, ONNX, torchvision's weights"),
    "describe": ("nas.cli.describe", "a network stage by stage: parameters, multiply-adds, output sizes"),
    "measure": (
        "nas.cli.measure",
        "time a network's training step against a reference's; calibrate the prediction",
    ),
    "spaces": ("nas.cli.spaces", "the named search spaces; check a space of your own"),
    "replay": ("nas.cli.replay", "does a run's record lead to the same proposals again?"),
    "completion": ("nas.cli.completion", "a script that lets a shell complete nas's commands and options"),
    "doctor": ("nas.cli.doctor", "check this installation and this machine"),
}
"""Commands by name: the module, and what the list says of it."""

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
ROOMS = ("nas", "search_space", "supernet", "scaling", "results")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name.ljust(width)}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: nas COMMAND [OPTIONS]",
            "",
            "Search for networks that train fast, weighing accuracy against the time of a training step.",
            "",
            "commands:",
            *rows,
            "",
            "example: nas search --budget 3m",
            "",
            "nas COMMAND --help tells a command's options; nas --version the version.",
        ]
    )


def _complain(message: str, *, as_json: bool, code: int) -> int:
    from nas.cli.console import print_error, print_json

    print_error(message)
    if as_json:
        print_json({"error": message, "exit_code": code})
    return code


def _find(args: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """The command, whose name may have two words, and its own arguments."""
    for words in (1, 2):
        name = " ".join(args[:words])
        if name in COMMANDS:
            return name, args[words:]
    return None


def _unknown(name: str, *, as_json: bool) -> int:
    from search_space.files import nearest

    near = nearest(name, COMMANDS)
    hint = f"did you mean {near!r}?" if near else f"commands are {', '.join(COMMANDS)}"
    return _complain(f"no command {name!r}: {hint}", as_json=as_json, code=BAD_INPUT)


def _is_ours(error: BaseException) -> bool:
    """Whether our own code raised it: then its message names the rule and the value. Others' are faults to report."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] in ROOMS


def parse_command(args: Sequence[str]) -> Any:
    """The `Config` of the command that `args` begin with, which is not run.

    Raises:
        SystemExit: where an option is wrong or missing; stderr says which.
        ValueError: for no such command, or an option that breaks a rule.
    """
    found = _find(args)
    if found is None:
        raise ValueError(f"no command {' '.join(args[:1])!r}")
    return _parse(*found)


def _parse(name: str, args: Sequence[str]) -> Any:
    if os.environ.get("NO_COLOR"):
        os.environ["PYTHON_TYRO_ANSI_CODES"] = "False"
    import tyro

    flags = (tyro.conf.FlagCreatePairsOff,)
    kind = import_module(COMMANDS[name][0]).Config
    with _printable_stderr() if not "".join(args).isprintable() else nullcontext():
        config = tyro.cli(kind, prog=f"nas {name}", args=list(args), config=flags)
    if hasattr(config, "given"):
        options = (part.partition("=")[0] for part in args if part.startswith("--"))
        config = replace(config, given=tuple(option[2:].replace("-", "_") for option in options))
    return config


@contextmanager
def _printable_stderr() -> Iterator[None]:
    """What is said of a name that a shell's * may have put in."""
    from nas.cli.console import print_note

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            print_note(line)


def _run_command(name: str, args: Sequence[str]) -> int:
    config = _parse(name, args)
    code = import_module(COMMANDS[name][0]).run(config)
    sys.stdout.flush()
    return int(code)


def _guarded(name: str, args: Sequence[str]) -> int:
    as_json = "--json" in args
    try:
        return _run_command(name, args)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else DONE if ended.code is None else FAILED
        if as_json and code == BAD_INPUT:
            from nas.cli.console import print_json
            from nas.cli.usage import usage_error

            error = usage_error(import_module(COMMANDS[name][0]).Config, args)
            print_json({"error": error, "exit_code": code})
        return code
    except KeyboardInterrupt:
        return _complain("interrupted", as_json=as_json, code=INTERRUPTED)
    except BrokenPipeError:
        raise
    except ValueError as error:
        from results import RunWriteError, SeveralDevices

        if not _is_ours(error):
            return _unforeseen(error, as_json=as_json)
        code = FAILED if isinstance(error, RunWriteError) else BAD_INPUT
        option = " with --device" if isinstance(error, SeveralDevices) else ""
        return _complain(f"{error}{option}", as_json=as_json, code=code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno == errno.ENOSPC and not where and _is_ours(error):
            raise  # standard output's: what we write to files is told as a RunWriteError
        # No program makes a name that long: somebody typed it.
        code = BAD_INPUT if error.errno == errno.ENAMETOOLONG else FAILED
        return _complain(f"{where}{error.strerror or error}", as_json=as_json, code=code)
    except ImportError as error:
        if not (error.path or "").endswith(".so"):
            return _unforeseen(error, as_json=as_json)
        return _complain(
            f"a library could not be loaded (is there memory for it?): {error}", as_json=as_json, code=FAILED
        )
    except Exception as error:
        from nas.cli.console import Failed

        if isinstance(error, Failed):
            return _complain(str(error), as_json=as_json, code=FAILED)
        return _unforeseen(error, as_json=as_json)


def _unforeseen(error: Exception, *, as_json: bool) -> int:
    """The traceback is for us; what a file says may be in it."""
    from nas.cli.console import print_note

    for line in "".join(traceback.format_exception(error)).splitlines():
        print_note(line)
    return _complain(f"{type(error).__name__}: {error}", as_json=as_json, code=FAILED)


class _Unbreakable:
    """stderr, whose reader may go and whose disk may fill up: from then on nothing is said there, and what is done goes
    on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return int(self._tried(lambda: self._stream.write(text)) or 0)

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError:
            silence(self._stream.fileno())  # what it could not take is not tried again, by Python at exit above all


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(args: Sequence[str] | None = None) -> int:
    """Run `nas` with `args` (None: the process's own) and return its exit code."""
    args = list(sys.argv[1:] if args is None else args)
    # Else a file of a run's would have the number of a stream that is closed, and libraries would write into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # A closed stream (`nas ... >&-`) is None: what is said goes nowhere.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with redirect_stderr(_Unbreakable(sys.stderr)):
        return _main(args)


def _main(args: Sequence[str]) -> int:
    try:
        if not args or args[0] in ("-h", "--help", "help"):
            print(_usage())
            code = DONE
        elif args[0] == "--version":
            from importlib.metadata import version

            print(f"nas {version('trainaware-nas')}")
            code = DONE
        elif (found := _find(args)) is not None:
            # SIGTERM is as good as Ctrl-C: it ends a command with 130, wherever it stands.
            with handling(dict.fromkeys(STOPPING, _interrupt)):
                try:
                    code = _guarded(*found)
                except KeyboardInterrupt:  # while it said how it had ended
                    code = INTERRUPTED
        else:
            code = _unknown(args[0], as_json="--json" in args)
        sys.stdout.flush()
        return code
    except OSError as error:
        # The reader has gone (`nas pareto RUN | head`), of which nothing is said, or the disk of stdout is full. Python
        # is kept from saying it again at exit.
        if not isinstance(error, BrokenPipeError):
            print(f"error: standard output: {error.strerror or error}", file=sys.stderr)
        silence(sys.stdout.fileno())
        return FAILED
