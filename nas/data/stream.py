"""Batches decoded as they are needed, in worker processes, from data that need not fit into any memory.

An item of the dataset is a whole batch: all of it follows from the seed and the step, its images' order and their crops
as in nas/data/batches.py. So the batches do not depend on how many workers there are, and a training goes on at any
step without any state. Unlike there a crop is of the image in its own resolution and shape, not of a square of one
size.

The workers are started once: the size and the strength of a phase come with each request.
"""

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from nas.data.augment import Augment, Part
from nas.data.batches import Order, augmentation
from nas.data.crop import draw_crops
from nas.data.pixels import Crop, bombs_refused, decode_crop, decode_square, fault_of
from nas.data.skipped import Fault
from nas.data.source import Split
from nas.data.survey import Selection
from nas.isolate import check_room_for_sockets, main_module_hidden
from nas.signals import held_back

__all__ = [
    "PREFETCH",
    "EvalRequest",
    "EvalStream",
    "Loaded",
    "TrainRequest",
    "TrainStream",
    "WorkerLost",
    "Workers",
]

PREFETCH = 2
"""Batches that each worker has ready or in work."""

_OF_A_GROUP = (signal.SIGINT, signal.SIGHUP)
"""A Ctrl-C or a closed terminal reaches all processes of a group; the training decides what becomes of it."""


class WorkerLost(Exception):
    """A process that decodes images ended by itself, or could not hand them over."""


class Loaded(NamedTuple):
    """uint8 images (B, 3, S, S), their labels int64 (B,), and the images that could not be read."""

    images: Tensor
    labels: Tensor
    faults: tuple[Fault, ...]


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """The batch, or a part of it, of a step. `place` is that of its first image in the order; `augment` is applied to
    the crops in the worker."""

    step: int
    place: int
    part: Part
    image_size: int
    augment: Augment | None = None


class TrainStream(Dataset[Loaded]):
    """Random crops of a split's images.

    An image that cannot be read is replaced by the next in the order that can.

    Args:
        min_area: least share of an image that a crop shows.
        flip: mirror every other image.
        max_faults: unreadable images after which a batch is given up: more of them end the training anyway.
        draft: decode JPEGs at a part of their size where a crop allows it.
    """

    def __init__(
        self, chosen: Selection, *, seed: int, min_area: float, flip: bool, max_faults: int, draft: bool = True
    ) -> None:
        self._chosen, self._seed, self._draft = chosen, seed, draft
        self._min_area, self._flip, self._max_faults = min_area, flip, max_faults
        self._order = Order(len(chosen), seed)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, request: TrainRequest) -> Loaded:
        part, size = request.part, request.image_size
        generator = augmentation(self._seed, request.step)
        draw, mirrored = (drawn.tolist() for drawn in draw_crops(generator, part))
        images = torch.empty((len(part), 3, size, size), dtype=torch.uint8)
        labels = torch.empty(len(part), dtype=torch.int64)
        faults: dict[str, Fault] = {}
        with bombs_refused():
            for index, (area, stretch, top, left) in enumerate(zip(*draw, strict=True)):
                crop = Crop(
                    area=self._min_area + (1 - self._min_area) * area,
                    stretch=stretch,
                    top=top,
                    left=left,
                    mirrored=mirrored[index] and self._flip,
                )
                place = request.place + part.places[index]
                labels[index] = self._fill(images[index].numpy(), place, crop, faults)
        if request.augment is not None:
            images = request.augment(images, generator, part)
        return Loaded(images, labels, tuple(faults.values()))

    def _fill(self, pixels: "np.ndarray[Any, Any]", place: int, crop: Crop, faults: dict[str, Fault]) -> int:
        """Decode the image at `place` of the order, or the next after it that can be, into `pixels`; its label."""
        chosen = self._chosen
        while len(faults) <= self._max_faults:
            position = int(self._order.between(place, place + 1))
            row = int(chosen.rows[position])
            try:
                pixels[:] = decode_crop(chosen.images.content(row), pixels.shape[-1], crop, draft=self._draft)
                return int(chosen.labels[position])
            # A damaged file makes Pillow's parsers raise nearly anything.
            except Exception as error:
                fault = fault_of(chosen.images.name(row), error)
                faults[fault.name] = fault
                place += 1
        pixels[:] = 0
        return 0


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """Images `first` to `stop` - 1 of a split at a size."""

    split: Split
    first: int
    stop: int
    image_size: int


class EvalStream(Dataset[Loaded]):
    """Centre squares of the splits' images, in order; those that cannot be read are left out."""

    def __init__(self, splits: Mapping[Split, Selection]) -> None:
        self._splits = splits

    def __len__(self) -> int:
        return sum(map(len, self._splits.values()))

    def __getitem__(self, request: EvalRequest) -> Loaded:
        chosen, size = self._splits[request.split], request.image_size
        images = np.empty((request.stop - request.first, 3, size, size), np.uint8)
        kept: list[int] = []
        faults: list[Fault] = []
        with bombs_refused():
            for position in range(request.first, request.stop):
                row = int(chosen.rows[position])
                try:
                    images[len(kept)] = decode_square(chosen.images.content(row), size)
                    kept.append(position)
                # A damaged file makes Pillow's parsers raise nearly anything.
                except Exception as error:
                    faults.append(fault_of(chosen.images.name(row), error))
        return Loaded(torch.from_numpy(images[: len(kept)]), torch.from_numpy(chosen.labels[kept]), tuple(faults))


class Workers:
    """Processes that load batches of a dataset, started with the first request and kept until `close`."""

    def __init__(self, dataset: Dataset[Loaded], count: int, *, pin_memory: bool = False) -> None:
        """`count` processes; 0 loads in this one. `pin_memory` is for copies to a CUDA device."""
        self._requests = _Requests()
        self._running: Generator[Loaded] | None = None
        settings: dict[str, Any] = {}
        if count:
            check_room_for_sockets()
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["nas.data.stream"])
            settings = {
                "multiprocessing_context": context,
                "persistent_workers": True,
                "prefetch_factor": PREFETCH,
                "worker_init_fn": _begin,
            }
        self._loader: DataLoader[Loaded] | None = DataLoader(
            dataset,
            batch_size=None,
            sampler=self._requests,
            num_workers=count,
            collate_fn=_shared,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # else each pass would draw from the generator that dropout draws from
            **settings,
        )

    def load(self, requests: Iterable[Any]) -> Iterator[Loaded]:
        """The batches asked for, in order. An earlier pass is over then.

        Raises:
            WorkerLost: where a worker is killed, as by the kernel for want of memory, or shared memory is full.
        """
        if self._running is not None:
            self._running.close()
        self._running = self._load(requests)
        return self._running

    def _load(self, requests: Iterable[Any]) -> Generator[Loaded]:
        assert self._loader is not None, "not closed yet"
        self._requests.of = requests
        try:
            if self._loader.num_workers:
                resource_tracker.ensure_running()  # started within, it would let the signals through again
            with main_module_hidden(), held_back(*_OF_A_GROUP):
                batches = iter(self._loader)
            yield from batches
        # The loader's own word for it, what a broken connection gives, or shared memory that is full; a dataset's
        # errors never come here.
        except (RuntimeError, EOFError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[-1]
            raise WorkerLost(
                f"a worker that decodes images has ended ({reason}): memory, or shared memory (/dev/shm), may be too "
                "small; use fewer workers (--loader-workers)"
            ) from error

    def close(self) -> None:
        """End the processes."""
        if self._running is not None:
            self._running.close()
        self._running = self._loader = None


class _Requests:
    """The sampler of a `Workers`, whose requests are others for each pass."""

    def __init__(self) -> None:
        self.of: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.of)


def _shared(batch: Any) -> Any:
    """A `Loaded` as it is, in a worker in shared memory. Where there is not enough of it that is an error here; left
    to the thread that sends, the batch would be lost and waited for without end."""
    if get_worker_info() is not None:
        for tensor in (batch.images, batch.labels):
            if tensor.untyped_storage().nbytes():
                tensor.share_memory_()
    return batch


def _begin(number: int) -> None:
    """In a worker of a server of processes that was started by others."""
    for ignored in _OF_A_GROUP:
        signal.signal(ignored, signal.SIG_IGN)
