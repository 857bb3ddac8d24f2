"""What a trial does to itself is a row of the record, and the search goes on to its end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Search, asked, rows

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.long]

Start = Callable[..., Search]
FAULTS = """
import os, resource, signal, sys

_plain = evaluate


def _refused_memory():
    held = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + (256 << 20),) * 2)
    torch.zeros(1 << 34)


def _refused_device_memory():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def _raises():
    raise KeyError("a fault of the product")


_HARM = {
    1: _raises,
    2: lambda: sys.exit(3),
    3: lambda: os.kill(os.getpid(), signal.SIGSEGV),
    4: _refused_memory,
    5: _refused_device_memory,
    6: lambda: time.sleep(1e6),
}


def evaluate(task):
    index = task.seed - 3 * 1_000_003
    if index in _HARM:
        _HARM[index]()
    if index == 7:
        task = replace(task, recipe=replace(task.recipe, peak_lr=1e30))
    found = _plain(task)
    return replace(found, train_loss=float("inf")) if index == 8 else found
"""


def test_each_way_to_fail_is_a_row_of_its_status(search: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs/a"
    options = ("--space", "toy.yaml", "--train-length", "20", "--seed", "3", "--sampler", "random")
    code, out, error = search(
        *options, "--budget", "10", "--workers", "2", "--deadline", "20", "--out", "a", "--dtype", "float32",
        faults={"nas.search.evaluate": FAULTS},
    ).wait()  # fmt: skip
    assert code == 0, error
    by_index = {row["index"]: row for row in rows(run)}
    assert sorted(by_index) == list(range(10))
    assert len(rows(run)) == len(asked(run)) == 10
    expected = {
        0: ("ok", None),
        1: ("failed", "KeyError: 'a fault of the product'"),
        2: ("failed", "its process ended without a result, exit code 3"),
        3: ("failed", "its process died of SIGSEGV"),
        4: ("out_of_memory", "can't allocate memory"),
        5: ("out_of_memory", "CUDA out of memory"),
        6: ("timed_out", "took longer than its deadline of 20 s"),
        7: ("diverged", "the loss was not finite at step"),
        8: ("failed", "what was measured cannot be recorded"),
        9: ("ok", None),
    }
    for index, (status, reason) in expected.items():
        assert by_index[index]["status"] == status, by_index[index]
        assert (by_index[index]["reason"] is None) == (reason is None)
        assert reason is None or reason in by_index[index]["reason"]
    assert {row["index"] for row in rows(run) if row["accuracy"] is not None} == {0, 9}
    assert "Traceback" not in out


def test_a_network_that_always_crashes_costs_one_trial_and_the_search_tells_that_nothing_was_found(
    search: Start, tmp_path: Path
) -> None:
    run = tmp_path / "runs/a"
    crash = """
import os, signal

_plain = evaluate

def evaluate(task):
    if task.seed >= 1_000_003:
        os.kill(os.getpid(), signal.SIGSEGV)
    return _plain(task)
"""
    options = ("--space", "toy.yaml", "--train-length", "20", "--seed", "3", "--budget", "6", "--out", "a")
    code, out, error = search(*options, faults={"nas.search.evaluate": crash}).wait()
    assert code == 1, error
    assert [row["status"] for row in rows(run)] == ["failed"] * 6
    assert len({row["key"] for row in rows(run)}) == 6, "none was tried twice"
    assert "6 trials, 0 measured in full" in out
    code, _, error = search("--resume", "a", "--budget", "8").wait()
    assert code == 0, error
    assert [row["status"] for row in rows(run)] == ["failed"] * 6 + ["ok"] * 2
    assert len({row["key"] for row in rows(run)}) == 8
