"""Two processes train as one does: the same batch norm, the same steps, the same end after a stop."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn import functional

from nas.data import part
from nas.train import TrainingDiverged, TrainingInterrupted, TrainJob, TrainLength, TrainResult, train_full
from nas.train import full as full_module
from nas.train.feed import Feed
from nas.train.folder import TrainFolder
from nas.train.full import train_in
from nas.train.group import Group
from nas.train.report import Metrics, Silent
from nas.train.state import TrainState
from nas.train.step import FullStep
from nas.train.sync_norm import synchronise_norms
from scaling import Ramp
from tests.nas.train.processes import run_group
from tests.nas.train.test_full import assert_same_end, lines

SHAPE = (16, 6, 5, 4)


@pytest.fixture(autouse=True)
def _shared_cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture(scope="module")
def without_chance(small_job: TrainJob) -> TrainJob:
    """7 steps in 2 phases in which nothing depends on what a process draws, mixed and augmented."""
    recipe = replace(
        small_job.recipe, dropout=Ramp(0, 0), stochastic_depth=0.0, mixup=Ramp(0.2, 0.3), phases=2, batch_size=64
    )
    options = replace(small_job.options, sync_bn=True, clip_norm=1.0)
    return replace(small_job, recipe=recipe, options=options, length=TrainLength(steps=7))


class Listening(Silent):
    """Remembers the notes; asks to stop after an evaluation or a step."""

    def __init__(self, stop_at: int | None) -> None:
        self.notes: list[str] = []
        self.stop_at, self.at = stop_at, 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, now: Any) -> None:
        self.at = now.step

    def evaluated(self, metrics: Metrics) -> None:
        assert metrics.loss > 0

    def __call__(self) -> bool:
        return self.stop_at is not None and self.at >= self.stop_at


def part_of_training(
    job: TrainJob, folder: Path, stop_at: int | None, every_s: float, lost_in: int | None
) -> tuple[str, list[str]]:
    """How a process's part of a training ends, and its notes. The first asks to stop; `lost_in` has no loss."""
    group = Group.joined()
    feed, listening = Feed(job), Listening(stop_at if group.is_first else None)
    if lost_in == group.rank:
        full_module._Training._is_lost = lambda self, loss: True  # type: ignore[method-assign]
    with TrainFolder(folder, job, feed.fingerprints, holds_lock=False) as place:
        try:
            train_in(
                place,
                job,
                feed,
                progress=listening,
                checkpoint_every_s=every_s,
                asks_to_stop=listening,
                group=group,
            )
        except (TrainingDiverged, TrainingInterrupted) as error:
            return f"{type(error).__name__}: {error}", listening.notes
    return "done", listening.notes


Two = Callable[..., list[tuple[str, list[str]]]]


@pytest.fixture
def in_two(tmp_path: Path) -> Two:
    """Train in two processes that this one, which holds the folder's lock, has started."""
    count = 0

    def train(
        job: TrainJob, folder: Path, *, stop_at: int | None = None, every_s: float = 1e9, lost_in: int | None = None
    ) -> list[tuple[str, list[str]]]:
        nonlocal count
        count += 1
        job = job.anchored()
        with TrainFolder(folder, job, Feed(job).fingerprints):
            store = tmp_path / f"store-{count}"
            return run_group(2, store, part_of_training, job, folder, stop_at, every_s, lost_in)

    return train


def normed(images: Tensor, targets: Tensor, synchronised: bool, world: int) -> dict[str, Tensor]:
    """What a batch norm makes of this process's part of the images, and the gradients of a loss of all of them."""
    rank = Group.joined().rank if world > 1 else 0
    mine = torch.from_numpy(part.part_of_batch(len(images), rank=rank, world=world))
    network = nn.Sequential(nn.BatchNorm2d(SHAPE[1], eps=1e-3, momentum=0.3), nn.SiLU(inplace=True))
    nn.init.uniform_(network[0].weight, generator=torch.Generator().manual_seed(2))  # type: ignore[arg-type]
    if synchronised:
        synchronise_norms(network)
        assert type(network[0]) is not nn.BatchNorm2d
    taken = images[mine].requires_grad_()
    out = network(taken)
    functional.mse_loss(out, targets[mine], reduction="sum").backward()
    assert taken.grad is not None
    norm: Any = network[0]
    trained = {"out": out.detach(), "grad": taken.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    later = network.eval()(images[mine]).detach()
    return {**trained, "later": later, "mean": norm.running_mean, "var": norm.running_var}


@pytest.mark.parametrize("channels_last", [True, False])
def test_batch_norm_over_two_processes_is_that_of_torch_over_the_batch(tmp_path: Path, channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(SHAPE, generator=generator) * torch.arange(1, 7).view(1, -1, 1, 1) + 5
    images[:8] += 5
    targets = torch.randn(SHAPE, generator=generator)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    alone = normed(images, targets, False, 1)
    found = run_group(2, tmp_path / "store", normed, images, targets, True, 2)
    places = [torch.from_numpy(part.part_of_batch(16, rank=rank, world=2)) for rank in range(2)]
    back = torch.cat(places).argsort()
    for name in ("out", "grad", "later"):
        joined = torch.cat([each[name] for each in found])[back]
        torch.testing.assert_close(
            joined, alone[name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    for name in ("weight", "bias"):
        torch.testing.assert_close(
            found[0][name] + found[1][name],
            alone[name],
            rtol=1e-5,
            atol=1e-4,
            msg=lambda text, name=name: f"{name}: {text}",
        )
    for name in ("mean", "var"):
        assert torch.equal(found[0][name], found[1][name])
        torch.testing.assert_close(
            found[0][name], alone[name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_two_processes_train_as_one(without_chance: TrainJob, in_two: Two, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train_full(without_chance, one)
    assert [how for how, _ in in_two(without_chance, two)] == ["done", "done"]
    (alone,), (together,) = lines(one), lines(two)
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    expected, found = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name in expected:
        torch.testing.assert_close(
            found[name], expected[name], rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    results = [TrainResult(**json.loads((folder / "result.json").read_text())) for folder in (one, two)]
    assert results[0].num_test == results[1].num_test == 359
    assert results[1].accuracy == pytest.approx(results[0].accuracy, abs=2 / 359)


def stepped(job: TrainJob, images: Tensor, targets: Tensor) -> tuple[int, dict[str, Tensor]]:
    """How often gradients are reduced in 3 steps on this process's part of a batch, and the weights then. Batch norms
    are as in evaluation: else their statistics are each part's own."""
    group = Group.joined()
    state = TrainState(job, group)
    step, count = FullStep(job, state), 0
    mine = torch.from_numpy(part.part_of_batch(len(images), rank=group.rank, world=group.world))

    def reduce(store: None, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
        nonlocal count
        count += 1
        return default_hooks.allreduce_hook(store, bucket)  # type: ignore[arg-type]

    step._forward.register_comm_hook(None, reduce)  # type: ignore[attr-defined]
    state.network.eval()
    for _ in range(3):
        step(images[mine], targets[mine], 0.05)
    return count, state.network.state_dict()


def test_gradients_of_a_batch_in_parts_are_reduced_once(without_chance: TrainJob, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 3, 12, 12, generator=generator).contiguous(memory_format=torch.channels_last)
    targets = torch.randn(64, 10, generator=generator).softmax(1)
    state = TrainState(without_chance)
    alone = FullStep(without_chance, state)
    state.network.eval()
    for _ in range(3):
        alone(images, targets, 0.05)
    in_parts = replace(without_chance, options=replace(without_chance.options, accumulate=3))
    for count, found in run_group(2, tmp_path / "store", stepped, in_parts, images, targets):
        assert count == 3
        for name, expected in state.network.state_dict().items():
            torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)


def test_a_stop_of_one_is_a_stop_of_both_and_changes_nothing(small_job: TrainJob, in_two: Two, tmp_path: Path) -> None:
    plain, stopped = tmp_path / "plain", tmp_path / "stopped"
    assert [how for how, _ in in_two(small_job, plain)] == ["done", "done"]
    ends = in_two(small_job, stopped, stop_at=23, every_s=0)
    assert {how for how, _ in ends} == {"TrainingInterrupted: stopped after step 23 of 33"}
    assert in_two(small_job, stopped) == [("done", ["goes on after step 23"])] * 2
    assert_same_end(stopped, plain)


def test_one_goes_on_with_what_two_began(small_job: TrainJob, in_two: Two, tmp_path: Path) -> None:
    folder, listening = tmp_path / "fewer", Listening(None)
    in_two(small_job, folder, stop_at=22)
    assert train_full(small_job, folder, progress=listening).steps == 33
    assert listening.notes == ["goes on after step 22", "was trained by 2 before, by 1 now: dropout draws anew"]
    (first, last), shown = lines(folder), [line["step"] for line in lines(folder)]
    assert shown == [20, 33]
    assert last["loss"] == pytest.approx(first["loss"], rel=0.2), "the sum of both processes' losses is gone on with"


def test_a_loss_that_one_has_lost_ends_both(small_job: TrainJob, in_two: Two, tmp_path: Path) -> None:
    ends = in_two(small_job, tmp_path / "lost", lost_in=1)
    assert {how for how, _ in ends} == {
        "TrainingDiverged: the loss was not finite at step 1: give a lower learning rate (--lr)"
    }
