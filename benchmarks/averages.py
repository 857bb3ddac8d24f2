"""Over how much of a training should weights be averaged?

    taskset -c 0 python benchmarks/averages.py DIR

DIR is a folder of images in one folder a class. The tiny space's reference is trained by nas train's own step; beside
the average that grows with the steps alone, (1 + t) / (10 + t), others never reach back further than a share of the
whole training. All are tested on the 10 % held out, halfway and at the end, with the last weights beside them.
"""

from statistics import mean, stdev

from short_training_job import job_of, parser_of, steps
from torch import nn

from nas.device import Compute, set_up_process
from nas.train import FullOptions, accuracy
from nas.train.ema import Average
from nas.train.feed import Feed
from nas.train.state import TrainState
from scaling import Ramp

SHARES = (0.05, 0.02, 0.01, 0.005)
RATES = {"sgd": 0.4, "adamw": 0.008, "rmsprop": 0.032}


def main() -> None:
    arguments = parser_of(__doc__, steps=1500, seeds=3).parse_args()
    set_up_process(Compute())
    total = arguments.steps
    found: dict[tuple[str, int, str], list[float]] = {}
    for seed in range(arguments.seeds):
        for optimizer, lr in RATES.items():
            options = FullOptions.of(optimizer, lr=lr)  # type: ignore[arg-type]
            job = job_of(arguments, options, seed, first_size=arguments.image_size, randaugment=Ramp(2, 2), phases=1)
            feed, state = Feed(job), TrainState(job)
            averages = {f"{share:.1%}": Average(state.network, 1 - 1 / (share * total)) for share in SHARES}
            for step in steps(job, feed, state):
                for average in averages.values():
                    average.update(step - 1)
                if step in (total // 2, total):
                    networks: dict[str, nn.Module] = {"last": state.network, "as it is": state.average.network}
                    networks |= {name: average.network for name, average in averages.items()}
                    for name, network in networks.items():
                        correct, count = accuracy(network, feed.eval_batches("holdout"), job.compute)
                        found.setdefault((optimizer, step, name), []).append(100 * correct / count)
                    state.network.train()
    print("| optimizer | after steps | averaged over | held-out accuracy, % | minus last | n |\n" + "| --- " * 6 + "|")
    for (optimizer, step, name), shares in found.items():
        gains = [one - last for one, last in zip(shares, found[optimizer, step, "last"], strict=True)]
        spread = f" ± {stdev(shares):.1f}" if len(shares) > 1 else ""
        print(f"| {optimizer} | {step} | {name} | {mean(shares):.1f}{spread} | {mean(gains):+.2f} | {len(shares)} |")


if __name__ == "__main__":
    main()
