"""Whatever becomes of a call in a child process is a value, and nothing of the child is left."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.isolate import ChildOutcome, run_in_child

MIB = 1 << 20


def run(call: str, *arguments: Any, deadline_s: float = 120, memory_bytes: int | None = None) -> ChildOutcome:
    return run_in_child(call, *arguments, deadline_s=deadline_s, memory_bytes=memory_bytes)


def execute(code: str, **limits: Any) -> ChildOutcome:
    """Python code in a child."""
    return run("builtins:exec", code, {}, **limits)


def evaluate(code: str) -> ChildOutcome:
    return run("builtins:eval", code, {})


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def sleeper(pid_file: Path) -> str:
    """Code that tells its process's number and then sleeps."""
    path, partial = str(pid_file), f"{pid_file}.partial"
    return f"""
import os, time
with open({partial!r}, "w") as file:
    file.write(str(os.getpid()))
os.rename({partial!r}, {path!r})
time.sleep(600)
"""


def left_alive(pid_file: Path) -> bool:
    """Whether a sleeper still sleeps."""
    return pid_file.exists() and is_alive(int(pid_file.read_text()))


def test_a_value_comes_back() -> None:
    assert run("operator:add", 1, 2) == ChildOutcome(ended="returned", value=3)
    assert run("os:getpid").value != os.getpid()
    assert run("builtins:dict", [("a", b"x" * MIB)]).value == {"a": b"x" * MIB}


def test_what_is_raised_comes_back_as_text() -> None:
    outcome = run("json:loads", "{")
    assert (outcome.ended, outcome.value) == ("raised", None)
    assert outcome.reason is not None
    assert outcome.reason.startswith("Traceback (most recent call last)")
    assert outcome.reason.strip().splitlines()[-1].startswith("json.decoder.JSONDecodeError: Expecting property name")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:no_such_function", "AttributeError: module 'json' has no attribute 'no_such_function'"),
        ("json:decoder", "TypeError: 'module' object is not callable"),
    ],
)
def test_a_call_that_cannot_be_made_is_one_that_raised(call: str, reason: str) -> None:
    outcome = run(call)
    assert outcome.ended == "raised"
    assert outcome.reason is not None
    assert reason in outcome.reason


@pytest.mark.parametrize(
    ("number", "ended", "reason"),
    [
        (signal.SIGSEGV, "died", "its process died of SIGSEGV"),
        (signal.SIGABRT, "died", "its process died of SIGABRT"),
        (signal.SIGTERM, "died", "its process died of SIGTERM"),
        (signal.SIGKILL, "out_of_memory", "killed (SIGKILL): most often the kernel's out-of-memory killer"),
    ],
)
def test_a_child_that_a_signal_ends(number: signal.Signals, ended: str, reason: str) -> None:
    outcome = run("signal:raise_signal", int(number))
    assert (outcome.ended, outcome.reason) == (ended, reason)


@pytest.mark.parametrize("call", ["os:_exit", "sys:exit"])
@pytest.mark.parametrize("code", [0, 3])
def test_a_child_that_leaves_without_a_result(call: str, code: int) -> None:
    outcome = run(call, code)
    assert (outcome.ended, outcome.reason) == ("died", f"its process ended without a result, exit code {code}")


def test_a_ctrl_c_is_the_drivers_alone() -> None:
    assert execute("import signal; signal.raise_signal(signal.SIGINT)").ended == "returned"


def test_a_temporary_folder_where_no_socket_fits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 80)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(ValueError, match=rf"path \(TMPDIR\) must have at most 75 bytes, .* got {folder}"):
        run_in_child("builtins:abs", -1, deadline_s=60)


def test_a_hang_ends_at_the_deadline(tmp_path: Path) -> None:
    start = time.monotonic()
    outcome = execute(sleeper(tmp_path / "pid"), deadline_s=1)
    assert (outcome.ended, outcome.reason) == ("timed_out", "took longer than its deadline of 1 s")
    assert time.monotonic() - start < 60
    assert not left_alive(tmp_path / "pid")


def test_a_hang_after_the_result_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.isolate._GRACE_S", 0.5)
    outcome = execute(f"import threading\nthreading.Thread(target=lambda: exec({sleeper(tmp_path / 'pid')!r})).start()")
    assert outcome.ended == "returned"
    assert not left_alive(tmp_path / "pid")


def test_a_child_that_holds_too_much_memory_is_ended() -> None:
    code = f"held = bytearray(b'1') * {600 * MIB}; import time; time.sleep(600)"
    outcome = execute(code, memory_bytes=400 * MIB)
    assert outcome.ended == "out_of_memory"
    assert outcome.reason is not None
    assert outcome.reason.endswith("MiB of memory, its limit is 400 MiB")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise MemoryError('host')", "MemoryError: host"),
        ("import torch; raise torch.OutOfMemoryError('device')", "OutOfMemoryError: device"),
        ("bytearray(1 << 60)", "MemoryError: "),
    ],
)
def test_memory_errors_are_out_of_memory(code: str, reason: str) -> None:
    outcome = execute(code)
    assert (outcome.ended, outcome.reason) == ("out_of_memory", reason)


def test_a_result_that_cannot_be_sent_is_one_that_raised() -> None:
    outcome = run("threading:Lock")
    assert outcome.ended == "raised"
    assert outcome.reason is not None
    assert "cannot pickle '_thread.lock' object" in outcome.reason


def test_a_result_that_cannot_be_read_is_one_that_raised() -> None:
    # It is sent as int("x").
    outcome = evaluate("type('Number', (), {'__reduce__': lambda self: (int, ('x',))})()")
    assert outcome.ended == "raised"
    assert outcome.reason == "its result cannot be read: ValueError: invalid literal for int() with base 10: 'x'"


def test_an_argument_that_cannot_be_sent_is_the_callers_error() -> None:
    with pytest.raises((TypeError, pickle.PicklingError), match="pickle"):
        run("builtins:id", threading.Lock())
    assert run("operator:neg", 1).value == -1


def test_the_main_module_is_hidden_from_the_child_alone() -> None:
    main = sys.modules["__main__"]
    assert evaluate("getattr(__import__('sys').modules['__main__'], '__file__', None)").value is None
    assert sys.modules["__main__"] is main
    with pytest.raises((TypeError, pickle.PicklingError)):
        run("builtins:id", threading.Lock())
    assert sys.modules["__main__"] is main


def test_calls_from_several_threads() -> None:
    main = sys.modules["__main__"]
    outcomes: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: outcomes.append(run("operator:neg", number).value))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [-3, -2, -1, 0]
    assert sys.modules["__main__"] is main


def test_no_zombie_and_no_pipe_is_left() -> None:
    run("operator:add", 1, 2)
    me = psutil.Process()
    before, stay = me.num_fds(), {child.pid for child in me.children(recursive=True)}
    for call, argument in (("os:_exit", 1), ("signal:raise_signal", 9), ("operator:neg", 1)):
        run(call, argument)

    # The fork server and the resource tracker stay.
    wait_until(lambda: {child.pid for child in me.children(recursive=True)} <= stay, "no child is left")
    assert me.num_fds() <= before
    assert multiprocessing.active_children() == []


def test_a_child_goes_with_its_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    arguments = json.dumps(["builtins:exec", sleeper(pid_file), {}])
    code = (
        f"import json; from nas.isolate import run_in_child; run_in_child(*json.loads({arguments!r}), deadline_s=600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(pid_file.exists, "the child sleeps", 120)
        pid = int(pid_file.read_text())
        family = psutil.Process(parent.pid).children(recursive=True)
        assert pid in [process.pid for process in family]
        assert all(is_alive(process.pid) for process in family)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(is_alive(process.pid) for process in family), "all of its family ended", 30)
