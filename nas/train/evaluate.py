"""How good a trained model is on images, and how sure that is."""

import time
from collections.abc import Iterable
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nas.data import DataConfig, DeviceImages, Split, choose_mode, eval_batches, prepare, survey
from nas.data.config import MAX_IMAGE_SIZE
from nas.device import Compute, describe_device
from nas.train.feed import Feed
from nas.train.loop import eval_batch_size
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
    compute = compute or Compute()
    size = model.data.eval_size if eval_size is None else eval_size
    check_integer("evaluate", "eval_size", size, 8, MAX_IMAGE_SIZE)
    with closing(_Images(model, data, split, size, compute)) as images:
        return _evaluate(model, images.batches, split, size, compute)


def _evaluate(
    model: TrainedModel, batches: Iterable[tuple[Tensor, Tensor]], split: EvalSplit, size: int, compute: Compute
) -> Evaluation:
    classes = model.data.classes
    network = compute.place(deepcopy(model.network)).eval()
    hits = {k: torch.zeros(len(classes), dtype=torch.int64, device=compute.device) for k in (1, TOP)}
    totals = torch.zeros_like(hits[1])
    started = time.perf_counter()
    with torch.inference_mode():
        for images, labels in batches:
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


class _Images:
    """Images of one split and size, from the cache or streamed; of others nothing is decoded."""

    def __init__(
        self, model: TrainedModel, data: DataConfig | None, split: EvalSplit, size: int, compute: Compute
    ) -> None:
        job, normalisation = model.config.job, model.data.normalisation
        config = replace(data or job.data, image_size=size)
        found = survey(config)
        _check_classes(found.classes, model.data.classes)
        trained_with = data is None and size == model.data.eval_size
        sizes: dict[Split, int] = {"train": 0, "holdout": size, "test": size}
        mode = job.data_mode if trained_with else choose_mode(found, sizes)[0]
        self._feed: Feed | None = None
        if mode == "cache":
            prepared = prepare(config, splits=("holdout", "test"), max_corrupt=job.max_corrupt)
            images = DeviceImages(
                prepared.split(split), device=compute.device, mean=normalisation.mean, std=normalisation.std
            )
            self.batches = eval_batches(images, batch_size=eval_batch_size(size), channels_last=compute.channels_last)
        else:
            recipe = replace(job.recipe, train_size=SizeRamp(size, size), eval_size=size, batch_size=1)
            self._feed = Feed(
                replace(
                    job,
                    recipe=recipe,
                    options=FullOptions(),
                    data=config,
                    compute=compute,
                    normalisation=normalisation,
                    data_mode=mode,
                )
            )
            self.batches = self._feed.eval_batches(split)

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()


def _check_classes(found: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    if len(found) != len(wanted):
        raise ValueError(f"the data must have the model's {len(wanted)} classes, got {len(found)}")
    for at, (theirs, ours) in enumerate(zip(found, wanted, strict=True)):
        if theirs != ours:
            raise ValueError(f"class {at} of the data must be the model's {ours!r}, got {theirs!r}")
