"""A supernet in the trainer's loop: it learns, is stopped and goes on, is shared by processes, and is read again."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nas.device import Compute
from nas.train import FullOptions, TrainJob, TrainLength, accuracy, train_full
from nas.train.budget import measured_length
from nas.train.feed import Feed
from nas.train.group import ALONE, Group
from nas.train.state import TrainState
from nas.train.supernets import BETWEEN, calibrated, evaluated_networks, judge, step_of
from nas.train.trained import read_supernet, read_trained
from results import RunError
from scaling import Ramp
from search_space import build_network
from supernet import Supernet, extract, recalibrate, sandwich
from tests.nas.train.processes import run_group
from tests.nas.train.test_full import StopAt, Stopped, assert_same_end, lines


@pytest.fixture(autouse=True)
def _shared_cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def job(supernet_job: TrainJob) -> TrainJob:
    return supernet_job


@pytest.fixture
def trained(finished_supernet: Path) -> Path:
    return finished_supernet


def test_it_learns_and_its_folder_says_what_it_is(job: TrainJob, trained: Path) -> None:
    found = lines(trained)
    assert [line["step"] for line in found] == [20, 42]
    assert found[-1]["accuracy"] > 0.3
    result = train_full(job, trained)
    supernet = read_supernet(trained)
    assert result.params == sum(weight.numel() for weight in supernet.supernet.parameters())
    assert not (trained / "arch.json").exists()
    assert supernet.space == job.space
    assert supernet.config.job == job
    assert (trained / "curves.png").exists() is False, "the command draws it"


@pytest.mark.parametrize("stop", [1, 20, 33])
def test_killed_at_any_step_it_ends_with_the_same_bits(job: TrainJob, trained: Path, tmp_path: Path, stop: int) -> None:
    with pytest.raises(Stopped):
        train_full(job, tmp_path / "a", progress=StopAt(stop), checkpoint_every_s=0)
    train_full(job, tmp_path / "a")
    assert_same_end(tmp_path / "a", trained)


def test_accuracy_is_the_mean_of_networks_that_stand_alone(job: TrainJob, trained: Path) -> None:
    supernet = read_supernet(trained).supernet
    with closing(Feed(job)) as feed:
        networks = evaluated_networks(job, supernet, feed)
        assert len({network.arch.key for network in networks}) == 3  # type: ignore[union-attr]
        shares = [accuracy(network, feed.eval_batches("holdout"), job.compute) for network in networks]
        assert sum(correct for correct, _ in shares) / sum(count for _, count in shares) == pytest.approx(
            lines(trained)[-1]["ema_accuracy"]
        )
        assert judge(job, supernet, networks[1].arch, feed) == shares[1]  # type: ignore[arg-type]


def test_statistics_are_of_the_network_alone(job: TrainJob, trained: Path) -> None:
    """As torch's own update_bn takes them, of the images that the feed gives."""
    assert job.space is not None
    supernet = read_supernet(trained).supernet
    with closing(Feed(job)) as feed:
        found = calibrated(job, supernet, job.space.reference, feed)
        (phase,) = job.phases(1)
        images = [batch for batch, _ in feed.train_batches(phase, start=0, stop=32)]
    assert sum(map(len, images)) == 2048
    wanted = extract(supernet, job.space.reference)
    torch.optim.swa_utils.update_bn(images, wanted)
    for name, tensor in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, msg=name)


def test_a_step_is_the_sandwich_rule_with_distillation(job: TrainJob) -> None:
    """Against the rule written out with torch's own parts."""
    assert job.space is not None
    job = replace(job, options=replace(job.options, clip_norm=None, label_smoothing=0.1))
    ours, theirs = TrainState(job), TrainState(job)
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(12, 3, 8, 8, generator=generator)
    targets = functional.one_hot(torch.randint(10, (12,), generator=generator), 10).float()
    loss = step_of(job, ours)(images, targets, 0.1)
    supernet = theirs.network.train()
    losses = []
    for number, arch in enumerate(sandwich(job.space, job.seed, 0, between=BETWEEN)):
        logits = supernet(images, arch)
        if number == 0:
            losses.append(nn.CrossEntropyLoss(label_smoothing=0.1)(logits, targets))
            teacher = logits.detach().softmax(1)
        else:
            losses.append(-(teacher * logits.log_softmax(1)).sum(1).mean())
    torch.stack(losses).sum().backward()
    for group in theirs.optimizer.param_groups:
        group["lr"] = 0.1
    theirs.optimizer.step()
    assert float(loss) == pytest.approx(float(losses[0].detach()))
    for name, weight in ours.network.named_parameters():
        torch.testing.assert_close(weight, dict(supernet.named_parameters())[name], rtol=1e-4, atol=1e-6, msg=name)


def one_step(job: TrainJob) -> dict[str, Tensor]:
    state = TrainState(job, Group.joined())
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(16, 3, 8, 8, generator=generator)
    targets = functional.one_hot(torch.randint(10, (16,), generator=generator), 10).float()
    group = state.group
    step_of(job, state)(images[group.rank :: group.world], targets[group.rank :: group.world], 0.1)
    return {name: weight.grad.clone() for name, weight in state.network.named_parameters() if weight.grad is not None}


def test_processes_share_their_gradients(job: TrainJob, tmp_path: Path) -> None:
    first, second = run_group(2, tmp_path / "store", one_step, job)
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]), name
    state = TrainState(job)
    assert len(first) < len(list(state.network.parameters())), "the sandwich leaves some banks out"


def test_average_gradients_is_the_mean(tmp_path: Path) -> None:
    found = run_group(2, tmp_path / "store", averaged)
    for gradient, untouched in found:
        assert torch.equal(gradient, torch.full((2, 3, 1, 1), 1.5))
        assert untouched is None


def averaged() -> tuple[Tensor | None, Tensor | None]:
    group = Group.joined()
    used, unused = nn.Parameter(torch.zeros(2, 3, 1, 1)), nn.Parameter(torch.zeros(4))
    used.grad = torch.full_like(used, 1.0 + group.rank, memory_format=torch.channels_last)
    group.average_gradients([used, unused])
    return used.grad, unused.grad


def test_a_budget_of_wall_clock_counts_what_is_evaluated(job: TrainJob, tmp_path: Path) -> None:
    timed = replace(job, length=TrainLength(seconds=30))
    with closing(Feed(timed)) as feed:
        length, told = measured_length(timed, feed, tmp_path, ALONE, lambda: False)
    assert length.steps is not None
    assert length.steps > 1
    assert "an evaluation" in told


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"options": {"compile": True}}, "options.compile must be False for a supernet, got True"),
        ({"options": {"sync_bn": True}}, "options.sync_bn must be False for a supernet"),
        ({"recipe": {"dropout": Ramp(0, 0.5)}}, "recipe.dropout must be"),
        ({"recipe": {"batch_size": 1}}, "recipe.batch_size must be at least 2 for a supernet .* got 1"),
        ({"options": {"accumulate": 33}}, "recipe.batch_size must be at least 66 for a supernet .* got 64"),
        ({"recipe": {"stochastic_depth": 0.1}}, "recipe.stochastic_depth must be 0.0 for a supernet, got 0.1"),
    ],
)
def test_what_a_supernet_cannot_have_is_refused(job: TrainJob, change: dict[str, dict[str, Any]], rule: str) -> None:
    ((owner, values),) = change.items()
    with pytest.raises(ValueError, match=rule):
        replace(job, **{owner: replace(getattr(job, owner), **values)})


def test_its_network_is_the_reference(job: TrainJob, small_job: TrainJob) -> None:
    with pytest.raises(ValueError, match=r"TrainJob\.arch must be the reference of space small"):
        replace(job, arch=small_job.arch)


def test_one_kind_is_not_read_as_the_other(job: TrainJob, trained: Path, finished_run: Path) -> None:
    with pytest.raises(RunError, match="must hold one network, but holds a supernet"):
        read_trained(trained)
    with pytest.raises(RunError, match="must hold a supernet, but holds one network"):
        read_supernet(finished_run)


def test_damaged_weights_are_named(trained: Path, tmp_path: Path, copied: Callable[[Path, Path], Path]) -> None:
    path = copied(trained, tmp_path / "a") / "model.safetensors"
    tensors = load_file(path)
    first = next(name for name in tensors if name.endswith("weight"))
    save_file({**tensors, first: tensors[first] * float("nan")}, path)
    with pytest.raises(RunError, match=rf"model.safetensors: must hold a .* of space small: {first} must be finite"):
        read_supernet(path.parent)
    for changed, fault in (
        ({name: tensor for name, tensor in tensors.items() if name != first}, f"{first} is missing"),
        ({**tensors, first: torch.zeros(2, 3)}, rf"{first} must have shape \(.*\), got \(2, 3\)"),
        ({**tensors, "more": torch.zeros(2)}, "'more' has no place in it"),
        ({**tensors, first: tensors[first].int()}, f"{first} must hold floating-point numbers"),
    ):
        save_file(changed, path)
        with pytest.raises(RunError, match=rf"model.safetensors: must hold a supernet of space small: {fault}"):
            read_supernet(path.parent)
    save_file(build_network(read_supernet(trained).space.reference).state_dict(), path)
    with pytest.raises(RunError, match="must hold a supernet of space small"):
        read_supernet(path.parent)


@pytest.fixture
def copied() -> Callable[[Path, Path], Path]:
    from shutil import copytree

    return lambda source, target: Path(copytree(source, target))


@pytest.mark.parametrize("optimizer", ["rmsprop", "adamw"])
def test_each_optimizer_stands_weights_without_a_gradient(job: TrainJob, optimizer: str, tmp_path: Path) -> None:
    changed = replace(job, options=FullOptions.of(optimizer), length=TrainLength(steps=3))  # type: ignore[arg-type]
    assert train_full(changed, tmp_path / "a").steps == 3


def test_bfloat16_and_accumulation(job: TrainJob, tmp_path: Path) -> None:
    changed = replace(
        job,
        options=replace(job.options, accumulate=2, clip_norm=1.0),
        compute=Compute(dtype="bfloat16"),
        length=TrainLength(steps=3),
    )
    assert train_full(changed, tmp_path / "a").steps == 3


def test_recalibrated_networks_do_not_touch_the_supernet(job: TrainJob, trained: Path) -> None:
    assert job.space is not None
    supernet = read_supernet(trained).supernet
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = extract(supernet, job.space.reference)
    recalibrate(network, [torch.randn(4, 3, 8, 8)])
    assert isinstance(supernet, Supernet)
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(tensor, before[name]), name
