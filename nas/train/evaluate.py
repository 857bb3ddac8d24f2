"""How good a trained model is on images, and how sure that is."""

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch

from nas.data import DataConfig
from nas.data.config import MAX_IMAGE_SIZE
from nas.device import Compute, describe_device
from nas.train.feed import Feed
from nas.train.options import FullOptions
from nas.train.trained import TrainedModel
from results.intervals import wilson_interval
from scaling import SizeRamp
from search_space.spec import check_integer

__all__ = ["ClassAccuracy", "EvalSplit", "Evaluation", "Share", "evaluate"]

TOP = 5

EvalSplit = Literal["test", "holdout"]


class Share(NamedTuple):
    """A share of images with Wilson's 95 % interval, which covers the choice of the images, not that of the seed."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> "Share":
        return cls(count / total, *wilson_interval(count / total, total))


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """Of the images of one class; `accuracy` is None where there is none."""

    name: str
    num_images: int
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model on a split of images.

    Args:
        top1: images whose class has the highest logit.
        top5: images whose class is among the 5 highest; None for 5 classes or fewer.
        per_class: in the order of the logits.
        images_per_s: from the first image to the last, loading them included.
        device: its name.
    """

    split: str
    eval_size: int
    num_images: int
    top1: Share
    top5: Share | None
    per_class: tuple[ClassAccuracy, ...]
    images_per_s: float
    device: str


def evaluate(
    model: TrainedModel,
    *,
    split: EvalSplit = "test",
    data: DataConfig | None = None,
    eval_size: int | None = None,
    compute: Compute | None = None,
) -> Evaluation:
    """Classify each image of a split once, normalised as in the training.

    Args:
        split: of `data`; split as a training splits them.
        data: the training's own where not given. Their `image_size` is not used.
        eval_size: side in pixels; the training's where not given.

    Raises:
        ValueError: for data whose classes are not the model's, or that cannot be had.
    """
    compute, classes = compute or Compute(), model.data.classes
    size = model.data.eval_size if eval_size is None else eval_size
    check_integer("evaluate", "eval_size", size, 8, MAX_IMAGE_SIZE)
    with closing(_feed(model, data, size, compute)) as feed:
        return _evaluate(model, feed, split, size, compute)


def _evaluate(model: TrainedModel, feed: Feed, split: EvalSplit, size: int, compute: Compute) -> Evaluation:
    classes = model.data.classes
    if feed.classes != classes:
        at = next(i for i, (ours, theirs) in enumerate(zip(classes, feed.classes, strict=True)) if ours != theirs)
        raise ValueError(f"class {at} of the data must be the model's {classes[at]!r}, got {feed.classes[at]!r}")
    network = compute.place(model.network).eval()
    hits = {k: torch.zeros(len(classes), dtype=torch.int64, device=compute.device) for k in (1, TOP)}
    totals = torch.zeros_like(hits[1])
    started = time.perf_counter()
    with torch.inference_mode():
        for images, labels in feed.eval_batches(split):
            with compute.autocast():
                logits = network(images)
            totals += torch.bincount(labels, minlength=len(classes))
            hits[1] += torch.bincount(labels[logits.argmax(1) == labels], minlength=len(classes))
            if len(classes) > TOP:
                among = (logits.topk(TOP, dim=1).indices == labels[:, None]).any(1)
                hits[TOP] += torch.bincount(labels[among], minlength=len(classes))
    counts, correct = totals.tolist(), hits[1].tolist()
    seconds, total = time.perf_counter() - started, sum(counts)
    return Evaluation(
        split=split,
        eval_size=size,
        num_images=total,
        top1=Share.of(sum(correct), total),
        top5=Share.of(int(hits[TOP].sum()), total) if len(classes) > TOP else None,
        per_class=tuple(
            ClassAccuracy(name=name, num_images=count, accuracy=right / count if count else None)
            for name, count, right in zip(classes, counts, correct, strict=True)
        ),
        images_per_s=total / seconds,
        device=describe_device(compute),
    )


def _feed(model: TrainedModel, data: DataConfig | None, size: int, compute: Compute) -> Feed:
    """Of images at one size; the training's images at other sizes are not needed."""
    job = model.config.job
    recipe = replace(job.recipe, train_size=SizeRamp(size, size), eval_size=size, batch_size=1)
    return Feed(
        replace(
            job,
            recipe=recipe,
            options=FullOptions(),
            data=replace(data or job.data, image_size=size),
            compute=compute,
            normalisation=model.data.normalisation,
            data_mode=job.data_mode if data is None else "cache",
        )
    )
