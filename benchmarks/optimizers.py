"""Which optimizer, at which learning rate, takes a small network furthest in a short training.

    taskset -c 0 python benchmarks/optimizers.py DIR

DIR is a folder of images in one folder a class. The tiny space's reference is trained by nas train's own step on its
train images (flips, crops of at least 0.25, RandAugment 2, label smoothing), and its last weights are tested on the
10 % held out. Each learning rate (for 256 images) is tried with seed 0; each optimizer's best with the other seeds too.
Muon is timm's (convolutions as matrices, AdamW for norms and biases), under sgd's one cycle: no choice of nas train.

Seen (CIFAR-10, 300 steps of 64, 3 seeds, 2026-11-26), held-out accuracy at the best rate: rmsprop 0.408 (0.032; sd
0.008), sgd 0.414 (0.4; 0.010), adamw 0.418 (0.016, the highest tried; 0.005), Muon 0.448 (0.05; 0.007) in 1.4 times the
CPU time; in as much time, 450 steps, sgd reaches 0.439 (0.003): Muon is not clearly worth a fourth optimizer.
"""

import argparse
import time
from statistics import mean, stdev

import torch
from short_training_job import job_of, parser_of, steps
from timm.optim import create_optimizer_v2

from nas.device import Compute, set_up_process
from nas.train import FullOptions, TrainJob, accuracy
from nas.train.feed import Feed
from nas.train.state import TrainState
from scaling import Ramp

RATES = {
    "rmsprop": (0.008, 0.016, 0.032, 0.064),
    "sgd": (0.1, 0.2, 0.4, 0.8),
    "adamw": (0.002, 0.004, 0.008, 0.016),
    "muon": (0.008, 0.02, 0.05, 0.1),
}


def job_for(arguments: argparse.Namespace, optimizer: str, lr: float, seed: int) -> TrainJob:
    options = FullOptions.of("sgd" if optimizer == "muon" else optimizer, lr=lr)  # type: ignore[arg-type]
    return job_of(arguments, options, seed, first_size=arguments.image_size, randaugment=Ramp(2, 2), phases=1)


def train(job: TrainJob, optimizer: str) -> tuple[float, float]:
    """Held-out accuracy of the last weights, and CPU seconds."""
    feed = Feed(job)
    state = TrainState(job)
    if optimizer == "muon":
        # Momentum, Nesterov and weight decay are Muon's own.
        state.optimizer = create_optimizer_v2(state.network, "muon", lr=job.options.lr, weight_decay=0.0)
    start = time.process_time()
    for _ in steps(job, feed, state):
        pass
    seconds = time.process_time() - start
    correct, count = accuracy(state.network, feed.eval_batches("holdout"), job.compute)
    return correct / count, seconds


def main() -> None:
    arguments = parser_of(__doc__, steps=300, seeds=3).parse_args()
    set_up_process(Compute())
    torch.manual_seed(0)
    print("| optimizer | lr for 256 | seed 0 | best: mean of all seeds | sd | CPU s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for optimizer, rates in RATES.items():
        found = {}
        for lr in rates:
            found[lr], seconds = train(job_for(arguments, optimizer, lr, 0), optimizer)
            print(f"| {optimizer} | {lr:g} | {found[lr]:.4f} | | | {seconds:.0f} |", flush=True)
        best = max(rates, key=found.__getitem__)
        others = [train(job_for(arguments, optimizer, best, seed), optimizer)[0] for seed in range(1, arguments.seeds)]
        of_all = [found[best], *others]
        print(f"| {optimizer} | {best:g} | | **{mean(of_all):.4f}** | {stdev(of_all):.4f} | |", flush=True)


if __name__ == "__main__":
    main()
