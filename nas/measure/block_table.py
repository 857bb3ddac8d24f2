"""The block table: what one training step of each part of a space takes, timed by itself.

build every part of the space and the reference network
each round: every part once, in a new order, a step of the reference before and after each few of them
a part's time = median over rounds of (its seconds / the mean of the two reference steps around it)
"""

import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from nas.device import Compute, StepClock
from nas.measure.calibration import Calibration, PartTime, load_calibration, save_calibration
from nas.measure.networks import conditions_here, random_state_kept, training_step_call
from nas.measure.parts import HEAD, STEM, Part, space_parts
from nas.train import Recipe, make_optimizer
from results import RunWriteError
from results.provenance import versions
from search_space import ArchSpec, HeadSpec, Space, StageSpec, StemSpec, build_network

__all__ = ["calibrate", "kept_calibration", "versions_here"]

PARTS_BETWEEN_REFERENCES = 8
MIN_ROUNDS, MAX_ROUNDS = 4, 24
DEFAULT_SECONDS = 45.0
# A part's gradient is random and always the same: at a real rate its weights reach infinity within a few rounds, and
# numbers that are denormal on the way, which a CPU computes with slowly.
LEARNING_RATE = 1e-9

Forward = Callable[[Tensor], Tensor]


def _build(part: Part, like: ArchSpec, recipe: Recipe, generator: torch.Generator) -> tuple[nn.Module, Forward]:
    """The part as a network of `like`'s kind holds it: the module whose parameters it trains, and its forward pass."""
    layer = part.layer
    stem, head = StemSpec(width=layer.in_channels), HeadSpec(width=0, num_classes=1)
    stage = StageSpec(op="conv", width=layer.in_channels, depth=1)
    if layer.op == STEM:
        stem = StemSpec(width=layer.width, kernel=layer.kernel, stride=layer.stride)
    elif layer.op == HEAD:
        head = HeadSpec(width=layer.width, num_classes=part.num_classes)
    else:
        stage = StageSpec(
            op=layer.op,
            width=layer.width,
            depth=1,
            stride=layer.stride,
            kernel=layer.kernel,
            expansion=layer.expansion,
            se_ratio=layer.se_ratio,
        )
    arch = ArchSpec(
        stem=stem, stages=(stage,), head=head, activation=like.activation, norm_eps=like.norm_eps, padding=like.padding
    )
    network = build_network(arch, dropout=recipe.dropout, generator=generator)
    if layer.op == STEM:
        return network.stem, network.stem
    if layer.op == HEAD:
        trained = (network.head, network.classifier)
        return nn.ModuleList([module for module in trained if module is not None]), network.forward_head
    # In a network of one layer no sample would skip it.
    for module in network.stages.modules():
        if isinstance(module, StochasticDepth):
            module.p = recipe.drop_path
    return network.stages, network.stages


class _Tensors:
    """Inputs and gradients, shared by the parts that have the same shapes."""

    def __init__(self, compute: Compute, batch_size: int, generator: torch.Generator) -> None:
        self._compute = compute
        self._batch_size = batch_size
        self._generator = generator
        self._made: dict[tuple[tuple[int, ...], torch.dtype, bool], Tensor] = {}

    def of(self, *shape: int, dtype: torch.dtype, requires_grad: bool = False) -> Tensor:
        key = (shape, dtype, requires_grad)
        if key not in self._made:
            drawn = torch.randn(self._batch_size, *shape, generator=self._generator).to(dtype)
            placed = self._compute.place_images(drawn) if len(shape) == 3 else drawn.to(self._compute.device)
            self._made[key] = placed.requires_grad_(requires_grad)
        return self._made[key]


def _part_call(
    part: Part, like: ArchSpec, tensors: _Tensors, recipe: Recipe, compute: Compute, generator: torch.Generator
) -> Callable[[], None]:
    """Forward, backward (to the input too, but for the stem's) and optimizer step of one part, as a call."""
    module, forward = _build(part, like, recipe, generator)
    compute.place(module.train())
    optimizer = make_optimizer(module, replace(recipe, peak_lr=LEARNING_RATE))
    is_stem = part.layer.op == STEM
    # Under autocast a layer's output, and so the next one's input, has the lower precision; the images have not.
    dtype = torch.float32 if is_stem or compute.dtype == "float32" else torch.bfloat16
    images = tensors.of(part.layer.in_channels, part.size, part.size, dtype=dtype, requires_grad=not is_stem)
    with torch.no_grad(), compute.autocast():
        out = forward(images)
    gradient = tensors.of(*out.shape[1:], dtype=out.dtype)

    def call() -> None:
        with compute.autocast():
            out = forward(images)
        out.backward(gradient)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        images.grad = None

    return call


def versions_here() -> dict[str, str]:
    """Versions that a step time depends on, with the instruction set that torch computes with."""
    found = {name: version for name, version in versions().items() if version and name in ("torch", "trainaware-nas")}
    return found | {"instructions": torch.backends.cpu.get_cpu_capability()}


def kept_calibration(
    space: Space, *, recipe: Recipe, compute: Compute, batch_size: int, image_size: int
) -> Calibration | None:
    """A calibration that was kept and holds here, for every network of `space`; None where there is none."""
    conditions = conditions_here(recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size)
    found = load_calibration(conditions, versions_here(), space.reference)
    return found if found and found.has(space_parts(space, image_size)) else None


def calibrate(
    space: Space,
    *,
    recipe: Recipe,
    compute: Compute,
    batch_size: int,
    image_size: int,
    parts: Sequence[Part] | None = None,
    seconds: float = DEFAULT_SECONDS,
    seed: int = 0,
) -> Calibration:
    """Time `parts` (None: every part of the space's networks), for about `seconds` of wall clock, and keep the result
    beside what was kept for the same reference network, and give back both.

    A first round does not count; then there are from 4 to 24, so a space whose steps are long takes longer.

    Where the result cannot be kept it is given back with a warning.

    Raises:
        ValueError: for a batch of one image, of which batch norm can take no statistics.
    """
    start = time.monotonic()
    parts = space_parts(space, image_size) if parts is None else parts
    generator = torch.Generator().manual_seed(seed)
    tensors = _Tensors(compute, batch_size, generator)
    step = training_step_call(
        space.reference,
        recipe=recipe,
        compute=compute,
        batch_size=batch_size,
        image_size=image_size,
        generator=generator,
    )
    with random_state_kept(compute):
        calls = [_part_call(part, space.reference, tensors, recipe, compute, generator) for part in parts]
        rounds = _rounds(calls, step, compute, ends=start + seconds, rng=random.Random(seed))
    conditions = conditions_here(recipe=recipe, compute=compute, batch_size=batch_size, image_size=image_size)
    # Of another space with the same reference network: its parts stay known.
    kept = load_calibration(conditions, versions_here(), space.reference)
    calibration = Calibration(
        conditions=conditions,
        versions=versions_here(),
        reference=space.reference,
        reference_s=median(taken for found in rounds for taken in found.reference_s),
        parts=(kept.parts if kept else {})
        | {
            part.name: PartTime(ratio=median(found.ratios[index] for found in rounds), num_rounds=len(rounds))
            for index, part in enumerate(parts)
        },
        seconds=time.monotonic() - start,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        save_calibration(calibration)
    except (OSError, RunWriteError) as error:
        warnings.warn(f"the calibration holds for now, but could not be kept: {error}", stacklevel=2)
    return calibration


class _Round(NamedTuple):
    """Each part's seconds over the mean of the two reference steps around it, and the reference's own."""

    ratios: dict[int, float]
    reference_s: list[float]


def _rounds(
    calls: Sequence[Callable[[], None]],
    step: Callable[[], None],
    compute: Compute,
    *,
    ends: float,
    rng: random.Random,
) -> list[_Round]:
    order = list(range(len(calls)))
    found: list[_Round] = []
    for number in range(MAX_ROUNDS + 1):
        start = time.monotonic()
        rng.shuffle(order)
        found.append(_one_round(order, calls, step, compute.clock()))
        now = time.monotonic()
        if number >= MIN_ROUNDS and now + (now - start) > ends:
            break
    return found[1:]


def _one_round(
    order: Sequence[int], calls: Sequence[Callable[[], None]], step: Callable[[], None], clock: StepClock
) -> _Round:
    chunks = [
        order[start : start + PARTS_BETWEEN_REFERENCES] for start in range(0, len(order), PARTS_BETWEEN_REFERENCES)
    ]
    clock.time(step)
    for chunk in chunks:
        for index in chunk:
            clock.time(calls[index])
        clock.time(step)
    taken = iter(clock.seconds())
    references = [next(taken)]
    ratios: dict[int, float] = {}
    for chunk in chunks:
        own = [next(taken) for _ in chunk]
        references.append(next(taken))
        around = (references[-2] + references[-1]) / 2
        ratios |= {index: seconds / around for index, seconds in zip(chunk, own, strict=True)}
    return _Round(ratios, references)
