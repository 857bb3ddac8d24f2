"""A step in parts, compiled, and in float16."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from nas.device import Compute
from nas.train import TrainJob, phases
from nas.train.state import TrainState
from nas.train.step import FullStep
from search_space import StageSpec

LR = 0.05


def batch(seed: int, size: int = 12, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(64, 10, generator=generator).softmax(1)
    return torch.randn(64, 3, size, size, generator=generator).to(device), targets.to(device)


@pytest.mark.parametrize("parts", [3, 64])
def test_accumulation_steps_as_the_whole_batch_does(small_job: TrainJob, parts: int) -> None:
    """With batch norm as in evaluation, since its statistics are each part's own; neither are dropout's draws one."""
    ends, losses = [], []
    for accumulate in (1, parts):
        job = replace(small_job, options=replace(small_job.options, accumulate=accumulate, clip_norm=0.5))
        state = TrainState(job)
        step = FullStep(job, state)
        state.network.eval()
        losses.append([float(step(*batch(seed), LR)) for seed in range(3)])
        ends.append(state.network.state_dict())
    begin = TrainState(small_job).network.state_dict()
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, weight in ends[0].items():
        assert torch.allclose(ends[1][name], weight, rtol=1e-4, atol=1e-6), name
    assert not torch.equal(ends[0]["classifier.weight"], begin["classifier.weight"])


def test_parts_are_no_more_than_images(small_job: TrainJob) -> None:
    with pytest.raises(ValueError, match="accumulate must be at most the batch size 64, got 65"):
        replace(small_job, options=replace(small_job.options, accumulate=65))


def test_each_phase_is_compiled_once_and_computes_the_same(
    small_job: TrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One graph a phase, whole, and the network's own tensors keep their names."""
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    recipe = replace(small_job.recipe, stochastic_depth=0.0)
    losses, ends = [], []
    for compiled in (False, True):
        options = replace(small_job.options, compile=compiled)
        job = replace(small_job, recipe=recipe, options=options)
        state = TrainState(job)
        step = FullStep(job, state)
        for phase in phases(recipe, 6):
            step.begin(replace(phase, dropout=0.0))
            losses.append([float(step(*batch(seed, phase.image_size), LR)) for seed in range(2)])
        ends.append(state.network.state_dict())
    assert counter.frame_count == 3
    assert losses[3:] == [pytest.approx(loss, rel=1e-4) for loss in losses[:3]]
    assert ends[0].keys() == ends[1].keys()


@pytest.mark.slow
def test_the_cpus_compiler_computes_the_same(small_job: TrainJob) -> None:
    """Of a network that is small enough for g++: a stem and a convolution."""
    stage = StageSpec(op="conv", width=8, depth=1, stride=1)
    arch = replace(small_job.arch, stages=(stage,), head=replace(small_job.arch.head, width=0))
    losses = []
    for compiled in (False, True):
        job = replace(small_job, arch=arch, options=replace(small_job.options, compile=compiled))
        step = FullStep(job, TrainState(job))
        step.begin(replace(phases(job.recipe, 3)[-1], dropout=0.0))
        losses.append([float(step(*batch(seed), LR)) for seed in range(3)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_float16_scales_its_losses_and_keeps_the_scale(small_job: TrainJob) -> None:
    job = replace(small_job, compute=Compute(device="cuda", dtype="float16"))
    state = TrainState(job)
    step = FullStep(job, state)
    images, targets = batch(0, device="cuda")
    for _ in range(3):
        loss = step(images, targets, LR)
    assert torch.isfinite(loss)
    state.scaler.update(1024.0)
    later = TrainState(job)
    later.load({**state.to_dict(0.0), "step": state.step})
    assert later.scaler.get_scale() == 1024.0
