"""`nas evaluate`: a trained model's accuracy on images."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from nas.cli.console import print_json
from nas.cli.setting import check_threads
from nas.cli.trained import find_model
from nas.data import DataConfig
from nas.device import Compute, DType
from nas.text import printable
from nas.train import TrainJob, read_job

if TYPE_CHECKING:
    from nas.train.evaluate import Evaluation, Share
    from nas.train.trained import TrainedModel

__all__ = ["Config", "run"]

WORST = 5


@dataclass(frozen=True, kw_only=True)
class Config:
    """How good a trained model is on images, with Wilson's 95 % interval, and on which classes (--json has all).

    Example: nas evaluate my-training --data DIR --eval-size 384

    The averaged weights are evaluated, with the mean and the spread of pixels that they were trained with. The interval
    covers the choice of the images; another seed of the training may differ by more.
    """

    model: Annotated[Positional[str], arg(metavar="RUN|FILE")]
    """A training that has ended (its folder, or its name below runs/), or a file of one: RUN/model.safetensors or
    RUN/checkpoints/step-N.pt."""
    checkpoint: Annotated[str | None, arg(metavar="best|latest|N")] = None
    """A checkpoint in place of the finished model: the best on the held-out images, the last one, or that of a step."""
    data: Annotated[str | None, arg(metavar="DATA")] = None
    """digits, cifar10, cifar100, or a folder of images in one folder a class; the training's own where not given. They
    are split as nas train splits them."""
    data_root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder that holds cifar10 or cifar100."""
    split: Literal["test", "holdout"] = "test"
    """The images that a training never sees, or those that it is watched on."""
    eval_size: Annotated[int | None, arg(metavar="N")] = None
    """Side of the images in pixels; the training's evaluation size where not given."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Auto is cuda where there is a GPU."""
    dtype: DType = "float32"
    """bfloat16 is autocast."""
    threads: Annotated[int, arg(metavar="N")] = 1
    """Threads that are computed with on a CPU."""
    json: bool = False
    """One JSON document on stdout, with each class."""


def run(config: Config) -> int:
    """Evaluate, and print what was found.

    Raises:
        ValueError: for no such model or data, data of other classes, or a value that breaks a rule.
    """
    folder, checkpoint = find_model(config.model, config.checkpoint)
    data = _data(config, read_job(folder))
    check_threads(config.threads)
    from nas.device import set_up_process
    from nas.train.evaluate import evaluate
    from nas.train.trained import read_trained

    compute = Compute(device=_device(config.device), dtype=config.dtype, threads=config.threads)
    set_up_process(compute)
    model = read_trained(folder, checkpoint)
    found = evaluate(model, split=config.split, data=data, eval_size=config.eval_size, compute=compute)
    if config.json:
        print_json(_document(model, data, compute, found))
    else:
        print(_text(model, data, found))
    return 0


def _data(config: Config, job: TrainJob) -> DataConfig | None:
    """The images that were asked for, None for the training's own."""
    if config.data is None:
        return None if config.data_root is None else replace(job.data, root=config.data_root)
    return replace(job.data, data=config.data, root=config.data_root, max_images=None)


def _device(choice: str) -> str:
    from nas.measure.report import find_device

    found = find_device(choice)
    if found is None:
        raise ValueError("device must be cpu or auto where torch finds no GPU, got 'cuda'")
    return found[0]


def _document(model: "TrainedModel", data: DataConfig | None, compute: Compute, found: "Evaluation") -> dict[str, Any]:
    def interval(share: "Share | None") -> dict[str, float] | None:
        return share and share._asdict()

    return {
        "run": str(model.folder),
        "step": model.step,
        "key": model.network.arch.key,
        "data": (data or model.config.job.data).data,
        **asdict(found),
        "top1": interval(found.top1),
        "top5": interval(found.top5),
        "dtype": compute.dtype,
        "threads": compute.threads,
    }


def _text(model: "TrainedModel", data: DataConfig | None, found: "Evaluation") -> str:
    which = "finished model" if model.step is None else f"checkpoint of step {model.step}"
    size = found.eval_size
    images = f"{found.num_images:,} {found.split} images of {printable((data or model.config.job.data).data)}"
    lines = [
        f"{printable(str(model.folder))}, {which} (averaged weights): {images} at {size}x{size}",
        _share("top-1", found.top1),
    ]
    if found.top5 is not None:
        lines.append(_share("top-5", found.top5))
    known = [(each.accuracy, each.name) for each in found.per_class if each.accuracy is not None]
    worst = ", ".join(f"{printable(name)} {100 * share:.1f} %" for share, name in sorted(known)[:WORST])
    lines += [f"worst classes: {worst}", f"{found.images_per_s:,.0f} images/s on {found.device}"]
    return "\n".join(lines)


def _share(name: str, share: "Share") -> str:
    return f"{name} {100 * share.share:.2f} % (95 % interval {100 * share.low:.2f} to {100 * share.high:.2f} %)"
