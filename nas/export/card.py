"""The model card of an export: README.md, with what Hugging Face reads of one at its head."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from nas.data import is_folder
from nas.export.forms import FORMS
from nas.export.report import ExportedFile
from nas.export.source import Source
from nas.text import printable
from nas.train import TrainJob
from nas.train.curves import Curves
from nas.train.trained import TrainedModel
from results import RunError
from results.intervals import wilson_interval
from scaling import Ramp, SizeRamp
from search_space.stage_costs import HEADERS, parts

__all__ = ["model_card"]


def model_card(source: Source, files: Sequence[ExportedFile]) -> str:
    """The card of a trained model: its network, data, recipe, accuracy and costs, and how to load each file."""
    model, arch = source.model, source.network.arch
    data = model.data
    size, cost = data.eval_size, arch.cost(data.eval_size)
    name = printable(model.folder.absolute().name)
    normalisation = data.normalisation
    return "\n".join(
        [
            "---",
            "license: unknown",
            "pipeline_tag: image-classification",
            "tags: [image-classification, trainaware-nas]",
            "---",
            "",
            f"# {name}",
            "",
            f"An image classifier of {len(data.classes)} classes, trained with trainaware-nas. License: unknown.",
            "",
            "## Accuracy",
            "",
            _accuracy(model),
            "",
            "## Input and output",
            "",
            f"In: float32 of shape (N, 3, {size}, {size}), RGB. An image's centre square is resized to {size}x{size} "
            "(bilinear, antialiased); its values, from 0 to 1, are normalised: (value - mean) / std, with mean "
            f"{_numbers(normalisation.mean)} and std {_numbers(normalisation.std)}. N may be any number.",
            "",
            "Out: logits of shape (N, classes), before softmax. The classes, in the order of the logits:",
            "",
            *(f"    {printable(name)}" for name in data.classes),
            "",
            "## Files",
            "",
            *_table(
                ("file", "what", "bytes", "logits differ by", "sha256"),
                [
                    (each.file, FORMS[each.form].what, f"{each.num_bytes:,}", f"{each.difference:.1e}", each.sha256)
                    for each in files
                ],
            ),
            "",
            "Each was read again and compared with the network that was trained: the largest difference of a logit, "
            "as a share of the largest logit, on 4 random images. Each holds architecture, classes, mean, std and the "
            "image size as metadata too.",
            *(line for each in files for line in _usage(source, each)),
            "",
            "## Network",
            "",
            f"{cost.params:,} parameters, {cost.macs:,} multiply-adds at {size}x{size}. Key `{arch.key}`.",
            "",
            *_table(HEADERS, [row.cells() for row in parts(arch, size)]),
            "",
            f"{arch.activation}, {arch.padding} padding, epsilon of batch norm {arch.norm_eps:g}.",
            "",
            "## Training",
            "",
            *_table(
                ("", ""),
                [*_training(model), *_step_times(model.folder), *_made_with(model.config.environment)],
            ),
            "",
        ]
    )


def _accuracy(model: TrainedModel) -> str:
    result, data = model.result, _data_name(model.config.job)
    if result is None:
        return (
            f"Not measured on test images: these are the averaged weights after step {model.step:,}, of a checkpoint "
            f"(`nas evaluate RUN --checkpoint {model.step}` does)."
        )
    low, high = wilson_interval(result.ema_accuracy, result.num_test)
    return (
        f"{100 * result.ema_accuracy:.2f} % top-1 on the test images of {data} (95 % interval {100 * low:.2f} to "
        f"{100 * high:.2f} %, Wilson's; n = {result.num_test:,} images at {result.eval_size}x{result.eval_size}). The "
        "interval covers the choice of the images; another seed may differ by more. The weights are averages over the "
        f"training's steps; those of the last step have {100 * result.accuracy:.2f} %. On the held-out images, which "
        f"the training was watched on: {100 * result.ema_holdout_accuracy:.2f} %."
    )


def _data_name(job: TrainJob) -> str:
    """Without the folders above: they are nobody else's business."""
    data = job.data.data
    return printable(Path(data).name if is_folder(data) else data)


def _usage(source: Source, exported: ExportedFile) -> Iterable[str]:
    return ["", f"`{exported.file}`:", "", "```python", *FORMS[exported.form].usage(source), "```"]


def _training(model: TrainedModel) -> list[tuple[str, str]]:
    job, result = model.config.job, model.result
    counts = ", ".join(f"{count:,} {split}" for split, count in model.data.num_images.items())
    start = "fresh weights" if job.init is None else f"{Path(job.init.path).name} (sha256 {job.init.sha256})"
    settings = {**asdict(job.recipe), **asdict(job.options)}
    del settings["epochs"]
    return [
        ("data", _data_name(job)),
        ("images", counts),
        ("started from", start),
        ("epochs", _value(job.length.epochs)),
        ("steps", f"{model.step if result is None else result.steps:,}"),
        *((name.replace("_", " "), _value(value)) for name, value in settings.items()),
        ("seed", str(job.seed)),
        ("computed on", f"{job.compute.device}, {job.compute.dtype}, {job.compute.threads} threads"),
        *([] if result is None else [("time", f"{result.seconds:,.0f} s, with evaluation")]),
    ]


def _step_times(folder: Path) -> Iterable[tuple[str, str]]:
    """At each image size that an evaluation found: the median of them, with the waiting for images in it."""
    try:
        curves = Curves.of(folder)
    except RunError as error:
        return [("step time", printable(f"not on record: {error}"))]
    batch_sizes = {phase.index: phase.batch_size for *_, phase in curves.phases("epochs")}
    by_size: dict[tuple[int, int], list[float]] = {}
    for each in curves.evaluations:
        batch_size = batch_sizes[each.phase]
        by_size.setdefault((each.image_size, batch_size), []).append(batch_size / each.images_per_s)
    return [
        (
            f"step of {batch_size} images of {image_size}x{image_size}",
            f"{1000 * median(seconds):,.1f} ms with its data, n = {len(seconds)} evaluations",
        )
        for (image_size, batch_size), seconds in by_size.items()
    ]


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.7g}" for value in values)


def _value(value: Any) -> str:
    if isinstance(value, Ramp | SizeRamp):
        return f"{value.first:g}" if value.first == value.last else f"{value.first:g} to {value.last:g}"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _made_with(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What config.json says, which a careless hand may have changed."""
    versions, git = environment.get("versions"), environment.get("git")
    found = [("processor", str(environment.get("cpu", "unknown")))]
    if isinstance(versions, dict):
        names = ("trainaware-nas", "python", "torch", "torchvision")
        found.append(("versions", ", ".join(f"{name} {versions.get(name)}" for name in names)))
    if isinstance(git, dict):
        found.append(("commit", f"{git.get('commit')}{', with changes' if git.get('changed') else ''}"))
    return found


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(printable(cell).replace('|', '/') for cell in cells)} |"

    return [line(headers), line("---" for _ in headers), *map(line, rows)]
