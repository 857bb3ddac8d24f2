"""The lane of a GPU, with real processes and a device that is made up: who is on it when, told by a shared log.

torch is imported by the tests that need it alone: every process that is started here imports this module.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.device import Compute
from nas.lane import GpuLane, lane_of

CONTEXT = multiprocessing.get_context("spawn")
TIMEOUT_S = 60.0


def say(log: Path, what: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what}\n".encode())
    os.close(descriptor)


def told(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def lane_in(folder: Path, name: str) -> GpuLane:
    return GpuLane(folder / "lanes", "gpu", synchronize=lambda: say(folder / "log", f"{name} idle"))


def train(folder: Path, name: str, steps: int, begun: Event) -> None:
    with lane_in(folder, name).training() as at_step_boundary:
        for _ in range(steps):
            say(folder / "log", f"{name} step")
            say(folder / "log", f"{name} stepped")
            begun.set()
            at_step_boundary()


def measure(folder: Path, name: str, times: int, begun: Event) -> None:
    for _ in range(times):
        with lane_in(folder, name).measuring():
            begun.set()
            for _ in range(20):
                say(folder / "log", f"{name} measures")


def hold(folder: Path, kind: str, begun: Event) -> None:
    lane = lane_in(folder, kind)
    with lane.measuring() if kind == "measuring" else lane.training():
        begun.set()
        signal.pause()


def hold_with_a_child(folder: Path, kind: str, begun: Event) -> None:
    lane = lane_in(folder, kind)
    with lane.measuring() if kind == "measuring" else lane.training():
        if os.fork() == 0:
            say(folder / "log", f"child {os.getpid()}")
            signal.pause()
            os._exit(0)
        until(lambda: bool(told(folder)))
        begun.set()
        signal.pause()


Start = Callable[..., tuple[multiprocessing.process.BaseProcess, Event]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a function of this module in a process of its own."""
    started: list[tuple[multiprocessing.process.BaseProcess, Event]] = []

    def begin(function: Callable[..., None], *arguments: object) -> tuple[multiprocessing.process.BaseProcess, Event]:
        begun = CONTEXT.Event()
        process = CONTEXT.Process(target=function, args=(tmp_path, *arguments, begun), daemon=True)
        process.start()
        started.append((process, begun))
        return process, begun

    yield begin
    for process, _ in started:
        process.kill()
        process.join()


def test_nobody_trains_while_one_measures(start: Start, tmp_path: Path) -> None:
    processes = [start(train, name, 400)[0] for name in ("a", "b")] + [
        start(measure, name, 15)[0] for name in ("c", "d")
    ]
    for process in processes:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    events = told(tmp_path)
    assert events.count("a stepped") == events.count("b stepped") == 400
    assert events.count("c measures") == events.count("d measures") == 300
    stepping: set[str] = set()
    acts = [tuple(event.split()) for event in events if not event.endswith("idle")]
    for (name, what), together in groupby(acts):
        if what == "measures":
            assert not stepping, "a step goes on while somebody measures"
            assert len(list(together)) % 20 == 0, "somebody came in between"
        else:
            (stepping.add if what == "step" else stepping.discard)(name)


def test_a_measurer_waits_until_the_device_of_a_paused_trial_is_idle(start: Start, tmp_path: Path) -> None:
    _, begun = start(train, "a", 100_000)
    assert begun.wait(TIMEOUT_S)
    measurer, _ = start(measure, "m", 1)
    measurer.join(TIMEOUT_S)
    assert measurer.exitcode == 0
    events = told(tmp_path)
    before = [event for event in events[: events.index("m measures")] if event.startswith("a ")]
    assert before[-1] == "a idle"


@pytest.mark.parametrize("killed", ["measuring", "training"])
def test_the_lock_of_a_killed_process_is_free(start: Start, killed: str) -> None:
    holder, begun = start(hold, killed)
    assert begun.wait(TIMEOUT_S)
    other, other_begun = start(*((train, "a", 3) if killed == "measuring" else (measure, "m", 1)))
    assert not other_begun.is_set()
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    other.join(TIMEOUT_S)
    assert other.exitcode == 0
    assert other_begun.is_set()


def test_a_measurer_that_is_killed_while_it_waits_lets_trainers_go_on(start: Start, tmp_path: Path) -> None:
    holder, held = start(hold, "training")
    assert held.wait(TIMEOUT_S)
    start(train, "a", 10**9)
    until(lambda: "a step" in told(tmp_path))
    measurer, measured = start(measure, "m", 1)
    until(lambda: "a idle" in told(tmp_path))
    assert measurer.pid is not None
    os.kill(measurer.pid, signal.SIGKILL)
    until(lambda: "a step" in told(tmp_path)[told(tmp_path).index("a idle") :])
    assert not measured.is_set()
    assert holder.is_alive()


@pytest.mark.parametrize("killed", ["measuring", "training"])
def test_a_forked_child_does_not_keep_the_lock_of_a_killed_process(start: Start, killed: str, tmp_path: Path) -> None:
    holder, begun = start(hold_with_a_child, killed)
    assert begun.wait(TIMEOUT_S)
    child = int(told(tmp_path)[0].split()[1])
    try:
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        other, _ = start(measure, "m", 1)
        other.join(TIMEOUT_S)
        assert other.exitcode == 0
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_does_not_wait_for_itself(tmp_path: Path) -> None:
    lane, same = lane_in(tmp_path, "a"), lane_in(tmp_path, "b")
    for inner in (lane, same):
        with lane.training(), pytest.raises(RuntimeError, match="not entered twice"), inner.measuring():
            pass
        with lane.measuring(), pytest.raises(RuntimeError, match="not entered twice"), inner.training():
            pass
    other_gpu = GpuLane(tmp_path / "lanes", "other", synchronize=lambda: None)
    with lane.training() as at_step_boundary, other_gpu.measuring():
        at_step_boundary()


def test_who_leaves_with_an_error_leaves_an_idle_device_and_no_lock(tmp_path: Path) -> None:
    lane = lane_in(tmp_path, "a")
    with pytest.raises(ZeroDivisionError), lane.training():
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), lane.measuring():
        raise ZeroDivisionError
    assert told(tmp_path) == ["a idle", "a idle"]
    with lane.measuring():
        pass


def test_a_device_that_fails_leaves_no_lock(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error")

    with pytest.raises(RuntimeError, match="CUDA error"), GpuLane(tmp_path, "gpu", synchronize=fail).measuring():
        pass
    with GpuLane(tmp_path, "gpu", synchronize=lambda: None).measuring():
        pass


def test_the_files_are_this_users_alone(tmp_path: Path) -> None:
    with lane_in(tmp_path, "a").training():
        pass
    folder = tmp_path / "lanes"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "gpu.gate": 0o600,
        "gpu.use": 0o600,
    }


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    folder, target = tmp_path / "lanes", tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    (folder / "gpu.gate").symlink_to(target)
    with (
        pytest.raises(OSError, match=r"cannot lock '.*gpu\.gate'.*XDG_RUNTIME_DIR"),
        lane_in(tmp_path, "a").measuring(),
    ):
        pass
    assert not target.exists()
    (folder / "gpu.gate").unlink()
    folder.rename(target)
    folder.symlink_to(target)
    with pytest.raises(OSError, match=r"cannot lock '.*gpu\.gate'"), lane_in(tmp_path, "a").measuring():
        pass
    assert not list(target.iterdir())


def test_a_folder_that_others_may_write_to_or_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lanes").mkdir()
    (tmp_path / "lanes").chmod(0o777)
    with pytest.raises(OSError, match=r"gpu\.gate'.*others may write to its folder"), lane_in(tmp_path, "a").training():
        pass
    with pytest.raises(OSError, match=r"gpu\.gate'.*No such file"), lane_in(tmp_path / "missing", "a").training():
        pass


def test_on_a_processor_nobody_waits() -> None:
    lane = lane_of(Compute())
    with lane.training() as at_step_boundary, lane.measuring():
        at_step_boundary()


def test_the_lane_is_of_the_physical_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uuids = {"cuda": "0b1c", "cuda:0": "0b1c", "cuda:1": "77aa"}
    waited: list[str] = []
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(uuid=uuids[device]))
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    first, same, other = (lane_of(Compute(device=device)) for device in uuids)
    with first.training(), other.measuring():
        with pytest.raises(RuntimeError, match="0b1c"), same.measuring():
            pass
        assert {path.name for path in runtime.rglob("*.use")} == {"0b1c.use", "77aa.use"}
    assert waited == ["cuda:1", "cuda"]


def test_where_nobody_logs_in_there_is_a_lane_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(uuid="0b1c"))
    lane_of(Compute(device="cuda"))


@pytest.mark.gpu
def test_the_lane_of_a_gpu_that_is_there() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    lane = lane_of(Compute(device="cuda:0"))
    with lane.measuring():
        torch.ones(1, device="cuda:0")
    with lane.training() as at_step_boundary:
        at_step_boundary()
