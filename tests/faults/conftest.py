"""A search small enough to be harmed many times: 8x8 digits, small networks, trials of well under a second."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psutil
import pytest

from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec

SPACE = """
name: toy
image_size: 8
batch_size: 16
stem: {width: 8, stride: 1}
head: {width: 0}
stages:
  - op: [mbconv, fused_mbconv]
    kernel: [3, 5]
    expansion: [1, 2]
    width: 8
    depth: [1, 2]
    stride: 1
  - op: [mbconv, fused_mbconv]
    kernel: [3, 5]
    expansion: [1, 2]
    width: 16
    depth: [1, 2]
    stride: 2
"""
TRAINED = ArchSpec(
    stem=StemSpec(width=8, stride=1),
    stages=(StageSpec(op="mbconv", width=8, depth=2, stride=1, expansion=2, se_ratio=0.25),),
    head=HeadSpec(width=16, num_classes=10),
)
"""The network that is trained while it is harmed."""
DEADLINE_S = 240
NAS = [sys.executable, "-m", "nas.cli"]
NAMESPACE = ["unshare", "--mount", "--user", "--map-root-user"]
INJECTED = Path(__file__).parent / "injected"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Search:
    """One `nas` process (`nas search` where no other command is given), in a group of its own as in a terminal.

    Args:
        faults: code to run in modules of the product once they are imported, in every process.
        mounts: bash that runs first, as root of a mount namespace of the process's own.
    """

    def __init__(
        self,
        folder: Path,
        cache: Path,
        arguments: list[str],
        command: list[str] | None = None,
        faults: Mapping[str, str] | None = None,
        mounts: str | None = None,
        stderr: int = subprocess.PIPE,
    ) -> None:
        environment = {**os.environ, "NAS_CACHE_DIR": str(cache)}
        environment.pop("RAY_ADDRESS", None)
        if faults is not None:
            paths = [str(INJECTED), *filter(None, [environment.get("PYTHONPATH")])]
            environment |= {"PYTHONPATH": os.pathsep.join(paths), "NAS_TEST_FAULTS": json.dumps(faults)}
        command = command or [*NAS, "search", *arguments]
        if mounts is not None:
            command = [*NAMESPACE, "bash", "-c", f'set -e; {mounts}; exec "$@"', "bash", *command]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As the kernel does for want of memory: of this process alone, at once."""
        self.process.kill()
        self.process.communicate()

    def wait(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, error = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, error

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill_all(self) -> None:
        if self.process.poll() is None:
            for process in [*self.family(), psutil.Process(self.process.pid)]:
                with suppress(psutil.Error):
                    process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of commands in this process, with toy.yaml and tiny.json."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_CACHE_DIR", str(cache))
    (tmp_path / "toy.yaml").write_text(SPACE)
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    return tmp_path


@pytest.fixture
def search(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Search]]:
    """Starts searches in `tmp_path`; the toy space is toy.yaml there."""
    (tmp_path / "toy.yaml").write_text(SPACE)
    started: list[Search] = []

    def start(*arguments: str, command: list[str] | None = None, **harm: Any) -> Search:
        started.append(Search(tmp_path, cache, list(arguments), command, **harm))
        return started[-1]

    yield start
    for running in started:
        running.kill_all()


@pytest.fixture
def nas(search: Callable[..., Search], tmp_path: Path) -> Callable[..., Search]:
    """Starts any command of `nas`; beside toy.yaml, the network tiny.json is there."""
    (tmp_path / "tiny.json").write_text(TRAINED.to_json())
    return lambda *arguments, **harm: search(command=[*NAS, *arguments], **harm)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where a process may not have mounts of its own."""
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare is not allowed here")


def left_of_ray(pid: int) -> list[Path]:
    """What a Ray that a process started left in the temporary folders."""
    return [path for folder in {Path("/tmp"), Path(gettempdir())} for path in folder.glob(f"nas-ray-{pid}-*")]


def rows(run: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's record, in the file's order."""
    return _whole_lines(run / "trials.jsonl")


def asked(run: Path) -> list[tuple[int, list[int]]]:
    """Index and decisions of each candidate that was asked for, in order."""
    return [(ask["index"], ask["decisions"]) for ask in _whole_lines(run / "asks.jsonl")]


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for(
    condition: Callable[[], bool],
    what: str,
    seconds: float = DEADLINE_S,
    running: "subprocess.Popen[str] | None" = None,
) -> None:
    """Until it holds; it must before the process ends, where one is given."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        assert running is None or running.poll() is None or condition(), f"it ended before {what}"
        time.sleep(0.02)
