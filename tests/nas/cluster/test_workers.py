"""How many workers there may be; without Ray."""

import pytest

from nas.cluster import Node, Workers
from nas.device import Compute
from nas.train import FullOptions

LAPTOP = (Node(4, 0),)
CLUSTER = (Node(16, 2), Node(7, 1))


@pytest.mark.parametrize(
    ("text", "asked", "here"), [("1", 1, True), ("4", 4, False), ("2:4", (2, 4), False), ("1:2", (1, 2), False)]
)
def test_they_are_typed(text: str, asked: object, here: bool) -> None:
    workers = Workers.parse(text)
    assert (workers.asked, workers.here, str(workers)) == (asked, here, text)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1:", "2:1", "0", "0:2", "99999", "9" * 30])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="workers must be"):
        Workers.parse(text)


def test_the_batch_must_be_shared_by_any_number_that_may_be_left() -> None:
    Workers.parse("1:2").check(8, Compute(), FullOptions())
    with pytest.raises(ValueError, match="multiple of 12 with 3 workers"):
        Workers.parse("2:4").check(16, Compute(), FullOptions())
    with pytest.raises(ValueError, match="cpu or cuda with several workers, got 'cuda:1'"):
        Workers.parse("2").check(8, Compute(device="cuda:1"), FullOptions())
    with pytest.raises(ValueError, match="--compile must be left out"):
        Workers.parse("2").check(8, Compute(), FullOptions(compile=True))
    with pytest.raises(ValueError, match=r"accumulate must be at most 4, .* each of 2 workers has, got 5"):
        Workers.parse("1:2").check(8, Compute(), FullOptions(accumulate=5))
    Workers.parse("1").check(7, Compute(device="cuda:1"), FullOptions(compile=True))


@pytest.mark.parametrize(
    ("nodes", "text", "compute"),
    [
        (LAPTOP, "4", Compute()),
        (LAPTOP, "2", Compute(threads=2)),
        (LAPTOP, "2:99", Compute(threads=2)),
        (CLUSTER, "23", Compute()),
        (CLUSTER, "3", Compute(device="cuda", threads=4)),
    ],
)
def test_there_is_room(nodes: tuple[Node, ...], text: str, compute: Compute) -> None:
    Workers.parse(text).check_room(nodes, compute)


@pytest.mark.parametrize(
    ("nodes", "text", "compute", "fit"),
    [
        (LAPTOP, "5", Compute(), 4),
        (LAPTOP, "3", Compute(threads=2), 2),
        (LAPTOP, "2", Compute(device="cuda"), 0),
        (CLUSTER, "4:8", Compute(device="cuda", threads=8), 2),
    ],
)
def test_there_is_no_room(nodes: tuple[Node, ...], text: str, compute: Compute, fit: int) -> None:
    with pytest.raises(ValueError, match=f"workers must be at most {fit} .*, got {text}"):
        Workers.parse(text).check_room(nodes, compute)
