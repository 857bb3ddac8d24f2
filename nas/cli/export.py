"""`nas export`: a trained model in forms that others can load."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, arg

from nas.cli.console import Failed, print_json, print_note
from nas.cli.runs import typed_folder
from nas.cli.trained import find_model
from nas.export import CARD, Exported, FormName, WrongLogits
from nas.text import printable
from results import text_table

__all__ = ["Config", "run"]

FOLDER = "export"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a trained model in forms that others can load, each read again and compared with the network, and a model
    card that says how.

    Example: nas export my-training --format onnx torch-export

    safetensors holds the weights and needs this project to be loaded; torch-export is a program that torch alone runs
    (model.pt2), onnx one for ONNX runtimes, both for batches of any size; torchvision the weights for torchvision's
    efficientnet_v2_s, _m or _l, where the network is one of them. Images go in normalised; the card and each file's
    metadata have the numbers. All is written, or nothing.
    """

    run: Annotated[Positional[str], arg(metavar="RUN|FILE")]
    """A training that has ended (its folder, or its name below runs/), or a file of one: RUN/model.safetensors or
    RUN/checkpoints/step-N.pt."""
    checkpoint: Annotated[str | None, arg(metavar="best|latest|N")] = None
    """A checkpoint in place of the finished model: the best on the held-out images, the last one, or that of a step."""
    format: tuple[FormName | Literal["all"], ...] = ("all",)
    """One or more. With all, what cannot be had is left out, and why is told."""
    out: Annotated[str | None, arg(metavar="DIR")] = None
    """A new folder, or its name below runs/. Where not given, export in the training's folder, or export-step-N."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Export, and print what was written.

    Raises:
        ValueError: for no such training, one that has not ended, a form that the network cannot be had in, or a folder
            that is there already.
        Failed: where what was written computes something else.
    """
    folder, checkpoint = find_model(config.run, config.checkpoint)
    out = None if config.out is None else typed_folder(config.out)
    takes_all = "all" in config.format
    forms = [name for name in get_args(FormName) if takes_all or name in config.format]
    if not forms:
        raise ValueError("--format must name at least one form")
    from nas.export import export
    from nas.train.trained import read_trained

    model = read_trained(folder, checkpoint)
    if out is None:
        out = folder / (FOLDER if model.step is None else f"{FOLDER}-step-{model.step}")
    try:
        exported = export(model, out, forms, may_leave_out=takes_all)
    except WrongLogits as error:
        raise Failed(str(error)) from error
    for name, reason in exported.left_out.items():
        print_note(f"left out: {name}: {reason}")
    if config.json:
        print_json(
            {
                "folder": str(out),
                "card": str(out / CARD),
                "files": [asdict(each) for each in exported.files],
                "left_out": exported.left_out,
            }
        )
    else:
        print(_text(exported))
    return 0


def _text(exported: Exported) -> str:
    shown = printable(str(exported.folder))
    rows = [(each.form, each.file, f"{each.num_bytes:,}", f"{each.difference:.1e}") for each in exported.files]
    headers = ("form", "file", "bytes", "logits differ by")
    return f"{shown}/{CARD} says how to load these\n\n{text_table(headers, rows, left=('form', 'file'))}"
