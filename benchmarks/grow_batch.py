"""Do batches that grow while images are small save time, and at what price?

    taskset -c 0 python benchmarks/grow_batch.py DIR

DIR is a folder of images in one folder a class. The tiny space's reference is trained progressively, images of half the
side first, with batches of one size and with growing ones, as many images in both; seed by seed in turn, one thread.

Seen (CIFAR-10, 450 steps of 64, two seeds, 2026-11-26): 0.87 of the time, and 0.350 in place of 0.413 of the test
images right: so short a training misses the steps more than it gains by the time. It is not the default.
"""

import tempfile
import time
from pathlib import Path
from statistics import mean

from short_training_job import job_of, parser_of

from nas.train import FullOptions, train_full
from scaling import Ramp


def main() -> None:
    arguments = parser_of(__doc__, steps=900, seeds=2).parse_args()
    first_size = arguments.image_size // 2
    print("| optimizer | batches | seed | CPU s | test accuracy | averaged |")
    print("| --- | --- | --- | --- | --- | --- |")
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(arguments.seeds):
        for grows in (False, True):
            options = FullOptions.of("sgd", grow_batch=grows)
            job = job_of(arguments, options, seed, first_size=first_size, randaugment=Ramp(1, 2), phases=3)
            sizes = " ".join(f"{phase.steps}x{phase.batch_size}" for phase in job.phases(arguments.steps))
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                result = train_full(job, Path(folder) / "run")
            seconds[grows].append(time.process_time() - start)
            print(
                f"| sgd | {sizes} | {seed} | {seconds[grows][-1]:.0f} | {result.accuracy:.4f} | "
                f"{result.ema_accuracy:.4f} |",
                flush=True,
            )
    print(f"time with growing batches: x{mean(seconds[True]) / mean(seconds[False]):.2f}")


if __name__ == "__main__":
    main()
