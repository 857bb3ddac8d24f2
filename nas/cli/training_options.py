"""How a final training steps, on a command line: fields of `FullOptions`, None where the default is not one number."""

from dataclasses import dataclass, fields
from typing import Annotated

from tyro.conf import arg

from nas.train import FullOptions, Growth, OptimizerName, RateSchedule

__all__ = ["TrainingOptions", "full_options"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """A field has its name in `FullOptions`."""

    optimizer: OptimizerName = "rmsprop"
    """rmsprop (TensorFlow's, with the paper's schedule), sgd (one cycle), or adamw (cosine)."""
    lr: Annotated[float | None, arg(metavar="LR")] = None
    """Peak learning rate for 256 images a step; 0.016 for rmsprop, 0.4 for sgd, 0.008 for adamw where not given, with
    --fine-tune a 32nd of that."""
    rate: RateSchedule | None = None
    """How the learning rate goes: up for 1/70 of the training and down in 145 steps of 3 % (staircase) or along a
    cosine, or one cycle. The optimizer's own where not given."""
    momentum: Annotated[float | None, arg(metavar="X")] = None
    """Of rmsprop and sgd; 0.9 where not given."""
    weight_decay: Annotated[float | None, arg(metavar="X")] = None
    """Of weights of convolutions and linear layers; 1e-5 for rmsprop, 5e-4 for sgd, 0.05 for adamw where not given, 0
    with --fine-tune."""
    label_smoothing: Annotated[float | None, arg(metavar="SHARE")] = None
    """Share of a target that is spread over all classes; 0.1 where not given."""
    ema_decay: Annotated[float | None, arg(metavar="X")] = None
    """Of the averaged weights, less in the first steps; 0.9999 where not given, with --fine-tune 0.9996."""
    bn_momentum: Annotated[float | None, arg(metavar="X")] = None
    """Share of the new batch in the batch norms' running statistics; 0.1 where not given, 0.01 in the paper."""
    clip_norm: Annotated[float | None, arg(metavar="X")] = None
    """Cut the gradient's norm to this; it is left where not given."""
    min_crop_area: Annotated[float | None, arg(metavar="SHARE")] = None
    """Least share of an image that a random crop shows; 0.25 where not given, with --fine-tune 1. The released code has
    0.05, for ImageNet."""
    randaugment_layers: Annotated[int | None, arg(metavar="N")] = None
    """Ops of RandAugment on an image; 2 where not given."""
    cutout: Annotated[float | None, arg(metavar="SHARE")] = None
    """Blot out a square of each image, of this share of its side; none where not given, with --fine-tune 0.5."""
    random_erasing: Annotated[float | None, arg(metavar="P")] = None
    """Blot out a box of 2 % to a third of an image with this probability; none where not given."""
    growth: Growth | None = None
    """fixed trains with the recipe's last values from the first step on; progressive where not given."""
    sync_bn: bool = False
    """With --workers: batch norms take their statistics over all of a step's images, not each worker's over its own."""
    grow_batch: bool = False
    """Larger batches while images are small, up to four times, at a learning rate in proportion."""
    accumulate: Annotated[int, arg(metavar="K")] = 1
    """Parts that a batch is computed in, one after the other, to save memory."""
    compile: bool = False
    """Compile the network for each image size (torch.compile): minutes at first, on a CPU with a C++ compiler."""


def full_options(typed: TrainingOptions, *, fine_tuning: bool) -> FullOptions:
    """What was typed, else what the optimizer has by default, for a training from scratch or for fine-tuning.

    Raises:
        ValueError: for a value that breaks a rule or has no effect.
    """
    given = {field.name: getattr(typed, field.name) for field in fields(FullOptions)}
    changes = {name: value for name, value in given.items() if value is not None and name != "optimizer"}
    if typed.optimizer == "adamw" and typed.momentum is not None:
        raise ValueError("--momentum has no effect with adamw")
    return (FullOptions.fine_tuning if fine_tuning else FullOptions.of)(typed.optimizer, **changes)
