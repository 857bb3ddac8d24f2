"""Harm done to `nas train`, `nas supernet train` and `nas scale --train` alike: from within, in this process."""

import errno
import itertools
import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import nas as product
from nas.cli import main
from nas.train.step import FullStep
from tests.faults.trainings import COMMANDS, Training, trainings

pytestmark = [pytest.mark.fault, pytest.mark.usefixtures("here")]

STEPS = 8
HARMED_AT = 4


def long(value: Any) -> Any:
    """A case like another, which is tried for each change."""
    return pytest.param(value, marks=pytest.mark.long)


@pytest.fixture(params=[COMMANDS[0], *map(long, COMMANDS[1:])])
def training(request: pytest.FixtureRequest) -> Training:
    return trainings(STEPS)[request.param]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], bytes]:
    """The weights that each training ends with to which nothing happens."""
    return {}


Nas = Callable[..., tuple[int, str]]


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str]) -> Nas:
    """Exit code, and what was said on stderr."""

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(arguments)
        return code, capsys.readouterr().err

    return call


@pytest.fixture
def plain(training: Training, nas: Nas, ends: dict[tuple[str, ...], bytes]) -> bytes:
    if training.begun not in ends:
        assert nas(*training.begun)[0] == 0
        ends[training.begun] = Path(training.folder, "model.safetensors").read_bytes()
        shutil.rmtree("runs")
    return ends[training.begun]


class Harmed:
    """Steps, of which one does harm first; each training checkpoints at every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._step, self._number = FullStep.__call__, 0
        self.harm: Callable[[], Any] = lambda: None
        monkeypatch.setattr(FullStep, "__call__", lambda step, *arguments: self._harmed(step, *arguments))
        monkeypatch.setattr("nas.train.full.time", EachSecond())

    def _harmed(self, step: FullStep, *arguments: Any) -> torch.Tensor:
        self._number += 1
        if self._number == HARMED_AT:
            self.harm()
        return self._step(step, *arguments)


class EachSecond:
    """A clock of which every look is 1,000 s after the one before."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1000
        return self.now


@pytest.fixture
def harmed(plain: bytes, monkeypatch: pytest.MonkeyPatch) -> Harmed:
    return Harmed(monkeypatch)


def raises(error: BaseException) -> Callable[[], None]:
    def harm() -> None:
        raise error

    return harm


def no_locks(run: Path) -> None:
    assert not (run / ".owner").exists()
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize("number", [long(signal.SIGINT), long(signal.SIGTERM), signal.SIGHUP])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(
    training: Training, plain: bytes, harmed: Harmed, nas: Nas, number: signal.Signals
) -> None:
    run = Path(training.folder)
    harmed.harm = lambda: signal.raise_signal(number)
    code, error = nas(*training.begun)
    assert code == 130, error
    assert f"stopped after step {HARMED_AT} of" in error
    assert "which is kept; to go on: nas " in error
    no_locks(run)
    code, error = nas(*training.goes_on)
    assert code == 0, error
    assert f"goes on after step {HARMED_AT}" in error
    assert (run / "model.safetensors").read_bytes() == plain


def test_a_second_signal_ends_at_once(training: Training, plain: bytes, harmed: Harmed, nas: Nas) -> None:
    run = Path(training.folder)

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    harmed.harm = twice
    code, error = nas(*training.begun)
    assert code == 130, error
    assert "what the last checkpoint holds is kept; to go on: nas " in error
    no_locks(run)
    code, error = nas(*training.goes_on)
    assert code == 0, error
    assert f"goes on after step {HARMED_AT - 1}" in error
    assert (run / "model.safetensors").read_bytes() == plain


@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), long(MemoryError("no room"))],
    ids=["cuda", "system"],
)
def test_no_memory_is_told_with_what_to_do(
    training: Training, plain: bytes, harmed: Harmed, nas: Nas, error: Exception
) -> None:
    harmed.harm = raises(error)
    code, told = nas(*training.begun)
    assert code == 1
    assert f"out of memory ({error}): give a smaller --batch-size, or --accumulate" in told
    assert "to go on: nas " in told
    assert "Traceback" not in told
    code, told = nas(*training.goes_on)
    assert code == 0, told
    assert Path(training.folder, "model.safetensors").read_bytes() == plain


def test_a_lost_loss_ends_it_with_the_checkpoints_before(
    training: Training, harmed: Harmed, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_backward = harmed._step

    def lost(step: FullStep, *arguments: Any) -> torch.Tensor:
        return plain_backward(step, *arguments) * float("nan")

    harmed.harm = lambda: setattr(harmed, "_step", lost)
    code, told = nas(*training.begun)
    assert code == 1
    assert f"the loss was not finite at step {HARMED_AT}: give a lower learning rate (--lr)" in told
    kept = sorted(path.name for path in Path(training.folder, "checkpoints").iterdir())
    assert f"step-{HARMED_AT - 1}.pt" in kept
    assert f"step-{HARMED_AT}.pt" not in kept
    harmed._step = plain_backward
    assert nas(*training.goes_on)[0] == 0


@pytest.mark.parametrize("damage", [long("0"), long("half"), long("but 10 bytes"), "a flipped bit"])
def test_a_torn_or_rotten_checkpoint_is_passed_over(
    training: Training, plain: bytes, harmed: Harmed, nas: Nas, damage: str
) -> None:
    run = Path(training.folder)
    harmed.harm = lambda: signal.raise_signal(signal.SIGTERM)
    assert nas(*training.begun)[0] == 130
    newest = run / f"checkpoints/step-{HARMED_AT}.pt"
    content = newest.read_bytes()
    with zipfile.ZipFile(newest) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
        place = content.index(archive.read(largest)) + largest.file_size // 2
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    newest.write_bytes(
        {"0": b"", "half": content[: len(content) // 2], "but 10 bytes": content[:-10], "a flipped bit": flipped}[
            damage
        ]
    )
    code, error = nas(*training.goes_on)
    assert code == 0, error
    assert f"step-{HARMED_AT}.pt: is damaged and passed over" in error
    assert f"goes on after step {HARMED_AT - 1}" in error
    assert (run / "model.safetensors").read_bytes() == plain


@pytest.mark.parametrize("what", ["checkpoints", long("metrics.jsonl"), long("model.safetensors")])
def test_a_full_disk_says_which_file_and_how_to_go_on(
    training: Training, plain: bytes, harmed: Harmed, nas: Nas, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """os.write has no room from the harm on for files of this name."""
    write, full = os.write, False

    def refused(descriptor: int, data: Any) -> int:
        name = ""
        with suppress(OSError):
            name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if full and what in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    def fill() -> None:
        nonlocal full
        full = True

    monkeypatch.setattr(os, "write", refused)
    harmed.harm = fill
    code, error = nas(*training.begun)
    assert code == 1, error
    assert what in error
    assert "could not be written: No space left on device" in error
    assert "to go on: nas " in error
    assert "Traceback" not in error
    full = False
    harmed.harm = lambda: None
    code, error = nas(*training.goes_on)
    assert code == 0, error
    assert Path(training.folder, "model.safetensors").read_bytes() == plain


def test_two_in_one_folder(training: Training, harmed: Harmed, nas: Nas) -> None:
    told: list[tuple[int, str]] = []
    harmed.harm = lambda: told.append(nas(*training.goes_on))
    code, _ = nas(*training.begun)
    assert code == 0
    ((code, error),) = told
    assert code == 2
    assert f"{training.folder.split('/')[-1]}: is being written by process {os.getpid()} on" in error


def test_a_copy_goes_on_where_it_was_copied_to(
    training: Training, plain: bytes, harmed: Harmed, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmed.harm = lambda: signal.raise_signal(signal.SIGTERM)
    assert nas(*training.begun)[0] == 130
    Path("elsewhere").mkdir()
    shutil.copytree("runs", "elsewhere/runs")
    shutil.rmtree("runs")
    monkeypatch.chdir("elsewhere")
    goes_on = ("train", "--resume", "runs/a/trained") if training.begun[0] == "scale" else training.goes_on
    code, error = nas(*goes_on)
    assert code == 0, error
    assert f"goes on after step {HARMED_AT}" in error
    assert Path(training.folder, "model.safetensors").read_bytes() == plain


@pytest.mark.parametrize("training", ["train"], indirect=True)
def test_a_training_of_an_older_version_goes_on(training: Training, plain: bytes, harmed: Harmed, nas: Nas) -> None:
    """As the first version that had a trainer wrote config.json and checkpoints."""
    run = Path(training.folder)
    harmed.harm = lambda: signal.raise_signal(signal.SIGTERM)
    assert nas(*training.begun)[0] == 130
    config = json.loads((run / "config.json").read_text())
    for name in ("init", "normalisation", "data_mode", "max_corrupt", "space"):
        del config["job"][name]
    for name in ("cutout", "random_erasing", "bn_momentum", "grow_batch", "sync_bn", "accumulate", "compile"):
        del config["job"]["options"][name]
    del config["job"]["length"]["seconds"]
    (run / "config.json").write_text(json.dumps(config))
    for path in (run / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)
        del state["others"], state["scaler"]
        torch.save(state, path)
    code, error = nas(*training.goes_on)
    assert code == 0, error
    assert f"goes on after step {HARMED_AT}" in error
    assert (run / "model.safetensors").read_bytes() == plain


@pytest.mark.parametrize("jump_s", [1e9, long(-1e9)])
def test_the_wall_clock_may_jump(
    training: Training, plain: bytes, nas: Nas, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    now, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: now() + next(looks) * jump_s)
    code, error = nas(*training.begun)
    assert code == 0, error
    assert Path(training.folder, "model.safetensors").read_bytes() == plain
    assert 0 < json.loads(Path(training.folder, "result.json").read_text())["seconds"] < 3600


def test_no_budget_asks_the_wall_clock() -> None:
    """Other than for a date to show, as TensorBoard's events have one."""
    rooms = [Path(product.__file__).parent / name for name in ("search", "train", "cluster", "measure")]
    asking = {path.name for room in rooms for path in room.rglob("*.py") if "time.time(" in path.read_text()}
    assert asking == {"scalars.py"}


@pytest.mark.parametrize(
    "command",
    [
        ("train", "tiny.json", "--data", "digits", "--device", "cuda:7"),
        ("train", "tiny.json", "--data", "digits", "--device", "cuda", "--workers", "64"),
        ("train", "tiny.json", "--data", "digits", "--workers", "2", "--address", "127.0.0.1:9"),
        ("supernet", "train", "--space", "toy.yaml", "--data", "digits", "--budget", "9st", "--device", "cuda:7"),
        ("train", "tiny.json", "--data", "digits", "--workers", "2", "--address", "127.0.0.1:9", "--budget", "9s"),
    ],
)
def test_what_is_not_there_is_refused_and_leaves_no_folder(nas: Nas, command: tuple[str, ...]) -> None:
    code, error = nas(*command, "--out", "a")
    assert code == 2, error
    assert "device must be cpu or one of" in error or "no Ray cluster was reached at '127.0.0.1:9'" in error
    assert not Path("runs").exists()
