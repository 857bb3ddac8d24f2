"""The full training's parts: RMSProp is timm's RMSpropTF, rates are the paper's, the average is by the formula."""

import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.optim import RMSpropTF as TimmRMSpropTF
from torch import nn

from nas.train import FINE_TUNE_STEPS, FullOptions, OptimizerName, RateSchedule, TrainJob, learning_rate
from nas.train.ema import Average
from nas.train.rmsprop import RMSpropTF
from nas.train.state import TrainState, full_optimizer


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def backward(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    net.zero_grad()
    net(torch.randn(8, 3, 4, 4, generator=generator)).square().mean().backward()


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("foreach", [None, True])
def test_rmsprop_is_timms(weight_decay: float, momentum: float, foreach: bool | None) -> None:
    mine, theirs = network(), network()
    shared: dict[str, Any] = {"lr": 0.02, "momentum": momentum, "eps": 1e-3, "weight_decay": weight_decay}
    one = RMSpropTF(mine.parameters(), decay=0.9, foreach=foreach, **shared)
    other = TimmRMSpropTF(theirs.parameters(), alpha=0.9, **shared)
    for step in range(20):
        for net, optimizer in ((mine, one), (theirs, other)):
            backward(net, step)
            for group in optimizer.param_groups:
                group["lr"] = 0.02 / (1 + step)
            optimizer.step()
        for weight, expected in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(weight, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_norms_and_biases_do_not_decay(optimizer: OptimizerName) -> None:
    net = network()
    decayed, spared = full_optimizer(net, FullOptions.of(optimizer)).param_groups
    assert [tuple(weight.shape) for weight in decayed["params"]] == [(4, 3, 3, 3), (3, 16)]
    assert [weight.ndim for weight in spared["params"]] == [1] * 4
    assert decayed["weight_decay"] > 0
    assert spared["weight_decay"] == 0


def rates(options: FullOptions, total_steps: int, batch_size: int = 256) -> list[float]:
    return [learning_rate(options, n, total_steps=total_steps, batch_size=batch_size) for n in range(total_steps)]


def test_the_papers_rate() -> None:
    """350 epochs of 10 steps, in batches of 4,096."""
    found = rates(FullOptions(), 3500, 4096)
    assert found[0] == pytest.approx(0.256 / 50)
    assert found[48] == pytest.approx(0.256 * 49 / 50)
    assert found[49] == pytest.approx(0.256 * 0.97**2), "counted from the start: 2 stairs are passed in the warm-up"
    assert found[71] == pytest.approx(0.256 * 0.97**2)
    assert found[72] == pytest.approx(0.256 * 0.97**3)
    assert found[3499] == pytest.approx(0.256 * 0.97**145)


def test_the_papers_rate_shrinks_with_the_training() -> None:
    long, short = rates(FullOptions(), 3500), rates(FullOptions(), 350)
    assert max(short) == pytest.approx(max(long), rel=0.03)
    assert short[100:] == pytest.approx(long[1000::10])


@pytest.mark.parametrize("rate", get_args(RateSchedule))
@given(total_steps=st.integers(1, 300))
def test_rates_rise_then_fall(rate: RateSchedule, total_steps: int) -> None:
    found = rates(FullOptions(rate=rate, lr=0.1), total_steps)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert min(found) > 0
    assert max(found) <= 0.1
    assert all(map(math.isfinite, found))


@pytest.mark.parametrize("decay", [0.5, 0.9999])
def test_the_average_follows_by_the_formula(decay: float) -> None:
    net = network()
    average = Average(net, decay)
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    for updates in range(12):
        net(torch.randn(8, 3, 4, 4))
        with torch.no_grad():
            for weight in net.parameters():
                weight.add_(torch.randn_like(weight))
        average.update(updates)
        kept = min(decay, (1 + updates) / (10 + updates))
        for name, value in net.state_dict().items():
            expected[name] = kept * expected[name] + (1 - kept) * value if value.is_floating_point() else value.clone()
    found = average.network.state_dict()
    assert "1.running_mean" in found
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-5), name
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.network.parameters())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of sgd, adamw, rmsprop, got 'lion'"),
        ({"rate": "flat"}, "rate must be one of staircase, cosine, one-cycle, got 'flat'"),
        ({"lr": 0.0}, r"lr must be above 0 and at most 1e\+30, got 0.0"),
        ({"lr": float("nan")}, r"lr must be above 0 and at most 1e\+30, got nan"),
        ({"lr": 1e31}, r"lr must be above 0 and at most 1e\+30, got 1e\+31"),
        ({"clip_norm": -1.0}, "clip_norm must be above 0"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1"),
        ({"min_crop_area": 0.0}, "min_crop_area must be above 0"),
        ({"randaugment_layers": -1}, "randaugment_layers must be from 0 to 16"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"grow_batch": True, "growth": "fixed"}, "grow_batch must be False where growth is fixed"),
        ({"growth": "random"}, "growth must be one of progressive, fixed"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(FullOptions(), **changes)
    with pytest.raises(ValueError, match=rule):
        FullOptions.of(changes.get("optimizer", "sgd"), **{k: v for k, v in changes.items() if k != "optimizer"})


def test_fine_tuning_is_the_papers() -> None:
    """Section 5.3: a learning rate of 0.001 for batches of 512, along a cosine to 0, and no weight decay."""
    options = FullOptions.fine_tuning("rmsprop")
    found = rates(options, FINE_TUNE_STEPS, 512)
    assert max(found) == pytest.approx(0.001)
    assert found[-1] < 1e-9
    assert (options.weight_decay, options.momentum, options.label_smoothing) == (0.0, 0.9, 0.1)
    for optimizer in get_args(OptimizerName):
        assert FullOptions.fine_tuning(optimizer).lr == pytest.approx(FullOptions.of(optimizer).lr / 32)
    assert FullOptions.fine_tuning("sgd", lr=0.5, weight_decay=1e-4).weight_decay == 1e-4


def test_batch_norms_have_the_momentum_that_was_asked_for(small_job: TrainJob) -> None:
    job = replace(small_job, options=replace(small_job.options, bn_momentum=0.01))
    norms = [module for module in TrainState(job).network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 3
    assert {norm.momentum for norm in norms} == {0.01}
