"""`nas doctor`: says what it found, and what to do where something is wrong."""

import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.cli import health
from nas.cli.health import Check

Nas = Callable[..., Any]
EXPECTED = {
    "versions",
    "packages",
    "installed",
    "libraries",
    "threads",
    "gpu",
    "cpu",
    "memory",
    "disk of runs/",
    "disk of temporary files",
    "shared memory",
    "home",
    "open files",
    "loopback",
}


def test_this_machine_is_looked_at(nas: Nas) -> None:
    said = nas("doctor", "--json")
    document = said.document
    checks = {check["name"]: check for check in document["checks"]}
    assert set(checks) == EXPECTED
    for name in ("versions", "packages", "libraries", "loopback"):
        assert checks[name]["status"] == "ok", checks[name]
    assert all(check["advice"] for check in document["checks"] if check["status"] != "ok")
    assert said.code == (1 if document["status"] == "problem" else 0)


def _only(monkeypatch: pytest.MonkeyPatch, *checks: Callable[[], Iterator[Check]]) -> None:
    monkeypatch.setattr(health, "CHECKS", checks)


def test_problems_are_told_with_advice_and_exit_1(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad() -> Iterator[Check]:
        yield Check(name="bad", status="problem", value="it \x1b[2J is", advice="mend it")

    def odd() -> Iterator[Check]:
        raise OSError("no such place")
        yield

    _only(monkeypatch, bad, odd)
    said = nas("doctor")
    assert said.code == 1
    assert said.out.splitlines() == [
        "problem  bad: it ?[2J is",
        "         -> mend it",
        "warning  odd: could not be looked at: no such place",
        "         -> look by hand",
        "0 ok, 1 warnings, 1 problems",
    ]
    _only(monkeypatch, odd)
    assert nas("doctor", "--json").document["status"] == "warning"
    assert nas("doctor").code == 0


def test_a_full_disk_is_a_problem(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 1 << 40, 1 << 20))
    _only(monkeypatch, health._disk)
    document = nas("doctor", "--json").document
    assert [check["status"] for check in document["checks"]] == ["problem", "problem"]


def test_a_small_shared_memory_is_a_warning(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(64 << 20, 0, 64 << 20))
    _only(monkeypatch, health._shared_memory)
    (check,) = nas("doctor", "--json").document["checks"]
    assert check["status"] == ("warning" if Path("/dev/shm").is_dir() else "ok")


def test_no_loopback_is_a_problem(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_server", refused)
    _only(monkeypatch, health._loopback)
    assert nas("doctor").code == 1


def test_a_library_that_does_not_import_is_a_problem(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE", "import no_such_library")
    _only(monkeypatch, health._libraries)
    (check,) = nas("doctor", "--json").document["checks"]
    assert check["status"] == "problem"
    assert "No module named 'no_such_library'" in check["value"]
    monkeypatch.setattr(health, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(health, "IMPORT_SECONDS", 0.2)
    (check,) = nas("doctor", "--json").document["checks"]
    assert "took over" in check["value"]


def test_a_home_that_cannot_be_written_is_a_warning(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/no/such/home")
    _only(monkeypatch, health._home)
    (check,) = nas("doctor", "--json").document["checks"]
    assert check["status"] == "warning"


def test_a_container_with_fewer_processors_than_it_shows(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.container.cpu_quota", lambda: 0.5)
    _only(monkeypatch, health._processor)
    (check,) = nas("doctor", "--json").document["checks"]
    assert check["status"] == "warning"
    assert "0.5 allowed" in check["value"]
    assert "no more than 1 workers" in check["advice"]


@pytest.mark.parametrize("room", ["results", "scaling"])
def test_a_strangers_package_of_a_rooms_name_is_found(tmp_path: Path, room: str) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("")
    code = (
        "import sys, nas.cli.health as h; from nas.cli import main; "
        "h.CHECKS = (h._packages, h._versions, h._processor); sys.exit(main(['doctor']))"
    )
    command = [sys.executable, "-P", "-c", code]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1, done.stderr
    assert f"problem  packages: {room} from {tmp_path}" in done.stdout
    assert "uninstall that one" in done.stdout
