"""The training loop: it learns, it is the same twice, it ends at once where the loss is lost."""

import math
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from nas.device import Compute
from nas.train import OptimizerName, Recipe, TrainingStep, TrainOutcome, accuracy, make_optimizer, train
from nas.train import loop as loop_module
from search_space import ArchSpec, build_network

Batches = Iterator[tuple[Tensor, Tensor]]
MakeBatches = Callable[..., Batches]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
LEARNING_RATES = {"sgd": 0.2, "adamw": 0.01, "rmsprop": 0.01}
CPU = Compute()


def linear() -> nn.Module:
    """Of 2x2 images, 3 classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def fresh(arch: ArchSpec, seed: int = 0) -> nn.Module:
    return CPU.place(build_network(arch, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_decay_but_norms_and_biases_do_not(optimizer: OptimizerName, tiny_arch: ArchSpec) -> None:
    network = fresh(tiny_arch)
    decayed, spared = make_optimizer(network, Recipe(optimizer=optimizer, peak_lr=0.1, weight_decay=0.01)).param_groups
    assert decayed["weight_decay"] == 0.01
    assert spared["weight_decay"] == 0
    expected_spared = {
        id(parameter)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, nn.BatchNorm2d) or name == "bias"
    }
    assert expected_spared
    assert {id(parameter) for parameter in spared["params"]} == expected_spared
    assert {id(parameter) for parameter in decayed["params"]} == {
        id(parameter) for parameter in network.parameters() if id(parameter) not in expected_spared
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_steps(optimizer: OptimizerName, momentum: float, random_batches: MakeBatches) -> None:
    network = linear()
    before = [parameter.clone() for parameter in network.parameters()]
    recipe = Recipe(optimizer=optimizer, peak_lr=0.01, momentum=momentum)
    assert train(network, random_batches(3), steps=3, recipe=recipe, compute=CPU).steps == 3
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.isfinite(new).all()
        assert not torch.equal(old, new)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_learns(
    optimizer: OptimizerName, tiny_arch: ArchSpec, digit_batches: MakeBatches, held_out: MakeBatches
) -> None:
    network = fresh(tiny_arch)
    recipe = Recipe(optimizer=optimizer, peak_lr=LEARNING_RATES[optimizer])
    start = train(fresh(tiny_arch), digit_batches(1), steps=1, recipe=recipe, compute=CPU)
    outcome = train(network, digit_batches(40), steps=40, recipe=recipe, compute=CPU)
    correct, count = accuracy(network, held_out(), CPU)
    assert (outcome.steps, outcome.diverged) == (40, False)
    assert outcome.loss < start.loss - 0.3
    assert correct / count > 0.3, "chance is 0.1"


def test_the_same_seed_is_the_same_training(
    tiny_arch: ArchSpec, digit_batches: MakeBatches, held_out: MakeBatches
) -> None:
    def run(seed: int) -> tuple[list[Tensor], TrainOutcome, tuple[int, int]]:
        network = fresh(tiny_arch, seed)
        outcome = train(network, digit_batches(10, seed=seed), steps=10, recipe=Recipe(), compute=CPU)
        return list(network.state_dict().values()), outcome, accuracy(network, held_out(), CPU)

    weights, outcome, score = run(0)
    weights_again, outcome_again, score_again = run(0)
    assert (outcome, score) == (outcome_again, score_again)
    assert all(torch.equal(one, other) for one, other in zip(weights, weights_again, strict=True))
    other_weights, other_outcome, _ = run(1)
    assert other_outcome.loss != outcome.loss
    assert not torch.equal(weights[0], other_weights[0])


def test_bfloat16_keeps_weights_in_float32(tiny_arch: ArchSpec, digit_batches: MakeBatches) -> None:
    network = fresh(tiny_arch)
    outcome = train(network, digit_batches(3), steps=3, recipe=Recipe(), compute=Compute(dtype="bfloat16"))
    assert math.isfinite(outcome.loss)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_the_loss_told_is_the_mean_of_the_last_tenth(random_batches: MakeBatches) -> None:
    class Recorded(TrainingStep):
        losses: list[float] = []  # noqa: RUF012

        def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
            loss = super().__call__(images, labels)
            self.losses.append(float(loss))
            return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "TrainingStep", Recorded)
        outcome = train(linear(), random_batches(30), steps=30, recipe=Recipe(), compute=CPU)
    assert outcome.loss == pytest.approx(sum(Recorded.losses[-3:]) / 3, rel=1e-6)


def test_a_step_smooths_labels(random_batches: MakeBatches) -> None:
    network, (images, labels) = linear(), next(random_batches(1))
    recipe = Recipe(label_smoothing=0.1)
    expected = nn.functional.cross_entropy(network(images), labels, label_smoothing=0.1)
    loss = TrainingStep(network, make_optimizer(network, recipe), recipe, CPU)(images, labels)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected.detach())


def rates_of(recipe: Recipe, steps: int, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate that each step of a training was taken with."""
    made: list[torch.optim.Optimizer] = []

    def make(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        made.append(make_optimizer(network, recipe))
        return made[0]

    rates: list[float] = []

    def watched() -> Batches:
        for batch in batches:
            rates.extend({group["lr"] for group in made[0].param_groups})
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "make_optimizer", make)
        train(linear(), watched(), steps=steps, recipe=recipe, compute=CPU)
    assert len(rates) == steps, "one rate a step, the same for both groups"
    return rates


@pytest.mark.parametrize(("steps", "warmup"), [(20, 0.2), (20, 0.0), (30, 0.5), (7, 0.9), (1, 0.2)])
def test_the_learning_rate_is_torchs_one_cycle(
    steps: int, warmup: float, random_batches: MakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(peak_lr=0.4, warmup=warmup)
    optimizer = torch.optim.SGD(linear().parameters(), lr=1.0)
    schedule = OneCycleLR(optimizer, max_lr=0.4, total_steps=steps + 1, pct_start=warmup, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates_of(recipe, steps, random_batches(steps), monkeypatch) == pytest.approx(expected)


def test_the_one_cycle_goes_up_and_then_down(random_batches: MakeBatches, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = rates_of(Recipe(peak_lr=0.5, warmup=0.25), 39, random_batches(39), monkeypatch)
    peak = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.5 / 25)
    assert (peak, rates[peak]) == (9, pytest.approx(0.5))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.5 / 100


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.2, 0.25, 0.5])
def test_every_number_of_steps_can_be_trained(warmup: float, random_batches: MakeBatches) -> None:
    # With 4 steps and a warm-up of 0.2 torch's schedule divides by zero.
    for steps in range(1, 21):
        outcome = train(linear(), random_batches(steps), steps=steps, recipe=Recipe(warmup=warmup), compute=CPU)
        assert outcome.steps == steps
        assert not outcome.diverged


def test_a_diverged_training_ends_at_once(tiny_arch: ArchSpec, digit_batches: MakeBatches) -> None:
    outcome = train(fresh(tiny_arch), digit_batches(50), steps=50, recipe=Recipe(peak_lr=1e30), compute=CPU)
    assert outcome.diverged
    assert outcome.steps < 10
    assert math.isnan(outcome.loss)


def lost_at(step: int, batches: Batches, drawn: list[int]) -> Batches:
    """The batches, the one of `step` (from 1) with an image that is not finite."""
    for number, (images, labels) in enumerate(batches, start=1):
        drawn.append(number)
        yield (torch.full_like(images, math.nan) if number == step else images), labels


@pytest.mark.parametrize("step", [1, 4, 10])
def test_the_step_of_the_loss_that_is_not_finite_is_told(step: int, random_batches: MakeBatches) -> None:
    drawn: list[int] = []
    outcome = train(linear(), lost_at(step, random_batches(10), drawn), steps=10, recipe=Recipe(), compute=CPU)
    assert (outcome.steps, outcome.diverged) == (step, True)
    assert drawn[-1] == step, "not one batch more is drawn"


@pytest.mark.parametrize(("step", "seen_at"), [(2, 25), (25, 25), (26, 30), (30, 30)])
def test_on_cuda_the_loss_is_looked_at_now_and_then(step: int, seen_at: int, random_batches: MakeBatches) -> None:
    # Nothing is sent to the device by the loop itself, so that this runs without one.
    batches = lost_at(step, random_batches(30), [])
    outcome = train(linear(), batches, steps=30, recipe=Recipe(), compute=Compute(device="cuda"))
    assert (outcome.steps, outcome.diverged) == (seen_at, True)


def test_too_few_batches_are_refused(random_batches: MakeBatches) -> None:
    with pytest.raises(ValueError, match="train needs 5 batches, got 3"):
        train(linear(), random_batches(3), steps=5, recipe=Recipe(), compute=CPU)


def test_more_batches_are_left_where_they_are(random_batches: MakeBatches) -> None:
    batches = random_batches(5)
    train(linear(), batches, steps=3, recipe=Recipe(), compute=CPU)
    assert len(list(batches)) == 2


def test_accuracy_counts_over_batches_of_any_length() -> None:
    one_hot = torch.eye(4)[torch.tensor([0, 1, 2, 3, 0])]
    batches = [(one_hot[:3], torch.tensor([0, 1, 3])), (one_hot[3:], torch.tensor([3, 1]))]
    assert accuracy(nn.Identity(), batches, CPU) == (3, 5)
    assert accuracy(nn.Identity(), [], CPU) == (0, 0)


def test_accuracy_is_taken_in_evaluation_mode(tiny_arch: ArchSpec, held_out: MakeBatches) -> None:
    network = fresh(tiny_arch).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert accuracy(network, held_out(7), CPU) == accuracy(network, held_out(1000), CPU)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_between_two_steps_others_may_come_in(tiny_arch: ArchSpec) -> None:
    called: list[int] = []
    network = build_network(tiny_arch, generator=torch.Generator().manual_seed(0))
    images, labels = torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    before = [parameter.clone() for parameter in network.parameters()]

    def at_step_boundary() -> None:
        called.append(sum(not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)))

    train(
        network, [(images, labels)] * 3, steps=3, recipe=Recipe(), compute=Compute(), at_step_boundary=at_step_boundary
    )
    assert len(called) == 3
    assert called[0] > 0, "a whole step was taken before"
