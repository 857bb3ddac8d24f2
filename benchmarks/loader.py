"""How many images a second a final training can be given, and how long its step waits for them.

    python benchmarks/loader.py DIR [--repeats 5]     # about 20 minutes

DIR is a folder of JPEGs in one folder a class. It is read as it is, and once more as 1,000 of its images enlarged to
500x375 pixels (ImageNet's usual size) in a temporary folder, where decoding costs more. Each figure is the median over
the repeats, the range behind it; a repeat goes through all settings in a random order and times 320 crops (batches of
64) after the first batch. `cache` is what a crop out of the cache takes in the step's own process.

Then a small network is trained on one thread at 128 pixels, RandAugment being done by the workers or beside the step:
images a second, and the share of the time in which the step waits.

Seen (2 cores of an AMD EPYC shared with other trainings, load 5 to 8, 2026-11-26, 45 minutes, n = 5), images/s at
64, 128 and 224 pixels; the neighbours make the ranges wide, so that only large differences say anything:

    Imagenette at 128x128   cache 279, 134, 62      one worker 294, 211, 143    two 547, 410, 274
    without draft                                   one worker 280, 221, 122    two 626, 396, 301
    enlarged to 500x375     cache 279, 104, 76      one worker 141, 106, 91     two 261, 262, 136
    without draft                                   one worker 184, 80, 85      two 164, 165, 172

The step waits 44 % of its time (42-45) with the cache, whose crops and RandAugment it makes itself; 22 to 25 % (22-28)
where workers crop and it augments; 1 to 2 % (1-2) where workers do both, which is why they do on a CPU.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch import Tensor

from nas.data import DataConfig, DeviceImages, Part, RandAugment, ResizedCrop, in_turn, prepare, survey, train_batches
from nas.data.batches import Normalise, augmentation
from nas.data.crop import draw_crops
from nas.data.stream import TrainRequest, TrainStream, Workers
from nas.device import Compute, set_up_process
from nas.train.waiting import DataWatch
from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network

SIZES = (64, 128, 224)
WORKERS = (1, 2)
BATCH, TIMED = 64, 5
LARGE, NUM_LARGE = (500, 375), 1000
STEPS = 25
MIN_AREA, SEED = 0.25, 0
AUGMENT = RandAugment(magnitude=10)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def enlarge(source: Path, target: Path) -> None:
    """Some of the images of `source` at another size, in its layout."""
    paths = sorted(source.rglob("*.JPEG")) + sorted(source.rglob("*.jpg"))
    for path in paths[:: max(1, len(paths) // NUM_LARGE)]:
        place = (target / path.relative_to(source)).with_suffix(".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC).save(place, quality=90)


def rate(batches: Iterator[object]) -> float:
    """Images a second from the first batch on."""
    next(batches)
    start = time.perf_counter()
    for _ in range(TIMED):
        next(batches)
    return BATCH * TIMED / (time.perf_counter() - start)


def stream(folder: Path, draft: bool) -> TrainStream:
    chosen = survey(DataConfig(data=str(folder), image_size=SIZES[-1])).splits["train"]
    return TrainStream(chosen, seed=SEED, min_area=MIN_AREA, flip=True, max_faults=0, draft=draft)


def requests(size: int, augment: RandAugment | None = None) -> Iterator[TrainRequest]:
    part = Part.of(BATCH)
    return (
        TrainRequest(step=step, place=step * part.whole, part=part, image_size=size, augment=augment)
        for step in range(TIMED + 1 + STEPS)
    )


def cached(folder: Path, cache: Path, size: int, augment: bool) -> Iterator[tuple[Tensor, Tensor]]:
    data = prepare(DataConfig(data=str(folder), image_size=SIZES[-1]), splits=("train",), cache=cache)
    crop = ResizedCrop(size=size, min_area=MIN_AREA, flip=True)
    return train_batches(
        DeviceImages(data.split("train"), mean=MEAN, std=STD),
        batch_size=BATCH,
        steps=TIMED + 1 + STEPS,
        generator=torch.Generator().manual_seed(SEED),
        augment=in_turn(crop, AUGMENT) if augment else crop,
    )


def loading(folder: Path, cache: Path, repeats: int) -> None:
    pools = {(count, draft): Workers(stream(folder, draft), count) for count in WORKERS for draft in (True, False)}
    found: dict[tuple[str, int], list[float]] = {}
    settings = [(pool, size) for pool in [None, *pools] for size in SIZES]
    for _ in range(repeats):
        for pool, size in random.sample(settings, len(settings)):
            if pool is None:
                name, batches = "cache", cached(folder, cache, size, augment=False)
            else:
                name = f"stream, {pool[0]} workers, draft {'on' if pool[1] else 'off'}"
                batches = pools[pool].load(requests(size))
            found.setdefault((name, size), []).append(rate(batches))
    for workers in pools.values():
        workers.close()
    for name in dict.fromkeys(name for name, _ in found):
        cells = [found[name, size] for size in SIZES]
        print(f"  {name:30s}", *(f"{median(cell):6.0f} ({min(cell):.0f}-{max(cell):.0f})" for cell in cells), sep="  ")


def training_step() -> "torch.nn.Module":
    arch = ArchSpec(
        stem=StemSpec(width=16, stride=2),
        stages=(
            StageSpec(op="fused_mbconv", width=16, depth=1, stride=2),
            StageSpec(op="mbconv", width=32, depth=2, stride=2, expansion=4, se_ratio=0.25),
        ),
        head=HeadSpec(width=128, num_classes=10),
    )
    return build_network(arch).to(memory_format=torch.channels_last)


def augmented_here(workers: Workers, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for step, loaded in enumerate(workers.load(requests(size))):
        generator = augmentation(SEED, step)
        draw_crops(generator, Part.of(BATCH))
        yield AUGMENT(loaded.images, generator), loaded.labels


def waiting(folder: Path, cache: Path, repeats: int, size: int = 128) -> None:
    network, normalise = training_step(), Normalise(mean=MEAN, std=STD)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    pools = {count: Workers(stream(folder, draft=True), count) for count in WORKERS}
    found: dict[str, list[tuple[float, float]]] = {}
    settings = [("cache", 0), *((where, count) for where in ("worker", "step") for count in WORKERS)]
    for _ in range(repeats):
        for where, count in random.sample(settings, len(settings)):
            name = "cache" if where == "cache" else f"stream, {count} workers, RandAugment in the {where}'s process"
            batches: Iterator[tuple[Tensor, Tensor]]
            if where == "cache":
                batches = cached(folder, cache, size, augment=True)
            elif where == "worker":
                batches = ((loaded.images, loaded.labels) for loaded in pools[count].load(requests(size, AUGMENT)))
            else:
                batches = augmented_here(pools[count], size)
            watch = DataWatch(Compute(), batch_size=BATCH, note=lambda text: None, advice="")
            start = 0.0
            for seen, (images, labels) in enumerate(watch.timed(batches), start=1):
                pixels = images if where == "cache" else normalise(images)
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(pixels), labels).backward()
                optimizer.step()
                if seen == 5:
                    start = time.perf_counter()
                if seen == STEPS:
                    break
            speed = BATCH * (STEPS - 5) / (time.perf_counter() - start)
            found.setdefault(name, []).append((speed, watch.share()))
    for workers in pools.values():
        workers.close()
    for name, results in found.items():
        speeds, shares = zip(*results, strict=True)
        print(
            f"  {name:55s}  {median(speeds):5.0f} images/s ({min(speeds):.0f}-{max(speeds):.0f}), waits "
            f"{100 * median(shares):3.0f} % ({100 * min(shares):.0f}-{100 * max(shares):.0f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    set_up_process(Compute())
    random.seed(0)
    with tempfile.TemporaryDirectory() as place:
        cache, large = Path(place) / "cache", Path(place) / "large"
        enlarge(options.folder, large)
        for folder, what in ((options.folder, "as it is"), (large, f"enlarged to {LARGE[0]}x{LARGE[1]}")):
            print(f"{options.folder.name} {what}: images/s at {', '.join(map(str, SIZES))} px, n = {options.repeats}")
            loading(folder, cache, options.repeats)
            print(f"{options.folder.name} {what}: training at 128 px, n = {options.repeats}")
            waiting(folder, cache, options.repeats)


if __name__ == "__main__":
    main()
