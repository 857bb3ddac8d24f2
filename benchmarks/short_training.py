"""How long must a short training be? Networks of a space trained to several lengths, looked at on the way.

    python benchmarks/short_training.py collect DIR FILE --networks 40      (about 60 s a network on one core)
    python benchmarks/short_training.py show FILE

DIR is a folder with train/CLASS and test/CLASS. Each random network is trained for 100 and 300 steps, each
training with a schedule of its own; the held-out accuracy is taken at its end and, in the longer ones, at the shorter
lengths too: there a trial would be stopped that is resumed later. `collect` goes on where FILE ends.
"""

import argparse
import json
import random
import sys
from pathlib import Path

import torch

from nas.data import DataConfig, DeviceImages, eval_batches, prepare, train_batches
from nas.device import Compute, set_up_process
from nas.measure import Precision, measure_step_time
from nas.train import Recipe, accuracy, train
from search_space import ArchSpec, build_network, load_space

LENGTHS = (100, 300)
ROUNDS = 30


def accuracies(arch: ArchSpec, data: DataConfig, *, seed: int, steps: int, batch_size: int) -> dict[int, float]:
    """Held-out accuracy of one training of `steps` by the step at which it was taken."""
    compute, prepared = Compute(), prepare(data)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = build_network(arch, generator=generator)
    compute.place(network)
    train_images, held_out = (
        DeviceImages(prepared.split(split), device="cpu", mean=prepared.mean, std=prepared.std)
        for split in ("train", "holdout")
    )
    found: dict[int, float] = {}
    done = 0

    def look() -> None:
        nonlocal done
        done += 1
        if done in LENGTHS:
            batches = eval_batches(held_out, batch_size=512, channels_last=compute.channels_last)
            correct, count = accuracy(network, batches, compute)
            found[done] = correct / count
            network.train()

    batches = train_batches(
        train_images, batch_size=batch_size, steps=steps, generator=generator, channels_last=compute.channels_last
    )
    train(network, batches, steps=steps, recipe=Recipe(), compute=compute, at_step_boundary=look)
    return found


def collect(arguments: argparse.Namespace) -> None:
    space = load_space(arguments.space)
    set_up_process(Compute())
    rng = random.Random(7)
    archs = [space.sample(rng) for _ in range(arguments.networks)]
    lines = arguments.file.read_text().splitlines() if arguments.file.exists() else []
    data = DataConfig(data=str(arguments.data.absolute()), image_size=space.image_size)
    conditions = {"batch_size": space.batch_size, "image_size": space.image_size, "compute": Compute()}
    for index, arch in enumerate(archs[len(lines) :], start=len(lines)):
        step_time = measure_step_time(
            arch, space.reference, recipe=Recipe(), precision=Precision(max_rounds=ROUNDS), **conditions
        )
        trained = {
            steps: accuracies(arch, data, seed=1000 * index + steps, steps=steps, batch_size=space.batch_size)
            for steps in LENGTHS
        }
        record = {
            "arch": json.loads(arch.to_json()),
            "decisions": space.encode(arch),
            "params": arch.params,
            "step_time_ratio": step_time.ratio,
            "trained": trained,
        }
        with arguments.file.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(index, trained, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("data", type=Path)
    collecting.add_argument("file", type=Path)
    collecting.add_argument("--space", default="efficientnetv2-tiny")
    collecting.add_argument("--networks", type=int, default=40)
    collecting.set_defaults(do=collect)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
