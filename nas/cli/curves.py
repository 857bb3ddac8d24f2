"""`nas curves RUN [RUN ...]`: learning curves of trainings as a picture, over each other."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from nas.cli.console import print_json
from nas.cli.runs import find_run
from nas.text import printable
from nas.train.curves import Axis, Curves
from results import text_table

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Learning curves of trainings as a picture, ended or not: of one, its loss and held-out accuracy with its phases;
    of several, the same over each other, and how long each took to the accuracy that all of them reach.

    Example: nas curves runs/progressive runs/fixed --out compared.png
    """

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN")]
    """Folders of trainings, or their names below runs/."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("curves.png")
    """The picture: .png, .svg or .pdf."""
    x: Axis = "minutes"
    """What several are drawn against: minutes of wall-clock time, or epochs. One is drawn against both."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Draw them, and print where each stands.

    Raises:
        ValueError: for no such training, one without an evaluation, or a file of another kind.
    """
    from nas.train.picture import FORMATS, compare, draw, save

    if not config.runs:
        raise ValueError("at least one RUN must be given")
    if config.out.suffix not in FORMATS:
        raise ValueError(f"out must end in {', '.join(FORMATS)}, got {str(config.out)!r}")
    if not config.out.absolute().parent.is_dir():
        raise ValueError(f"out must be in a folder that exists, got {str(config.out)!r}")
    trainings = _named_apart([Curves.of(find_run(name)) for name in config.runs], config.runs)
    level = min(curves.best.ema_accuracy for curves in trainings)
    named = {curves.name: curves for curves in trainings}
    save(draw(trainings[0]) if len(trainings) == 1 else compare(named, config.x, level), config.out)
    if config.json:
        print_json(_document(config.out, trainings, level))
    else:
        print(_text(config.out, trainings, level))
    return 0


def _named_apart(trainings: Sequence[Curves], typed: Sequence[str]) -> list[Curves]:
    """Folders of one name are called as they were typed."""
    count = Counter(curves.name for curves in trainings)
    return [
        replace(curves, name=text) if count[curves.name] > 1 else curves
        for curves, text in zip(trainings, typed, strict=True)
    ]


def _document(picture: Path, trainings: Sequence[Curves], level: float) -> dict[str, Any]:
    rows = []
    for curves in trainings:
        reached = curves.first_at(level)
        rows.append(
            {
                "run": curves.name,
                "ended": curves.result is not None,
                "num_evaluations": len(curves.evaluations),
                "best": asdict(curves.best),
                "reached": reached and asdict(reached),
                "last": asdict(curves.evaluations[-1]),
            }
        )
    return {"picture": str(picture), "level": level, "trainings": rows}


def _text(picture: Path, trainings: Sequence[Curves], level: float) -> str:
    headers = ["", "best accuracy", "at epoch", "min", f"min to {100 * level:.2f} %", "now at epoch", "min in all"]
    rows = []
    for curves in trainings:
        best, last, reached = curves.best, curves.evaluations[-1], curves.first_at(level)
        assert reached is not None, "the level is the lowest best"
        row = [printable(curves.name), f"{100 * best.ema_accuracy:.2f} %", f"{best.epoch:.1f}"]
        row += [f"{each.seconds / 60:.2f}" for each in (best, reached)]
        row += [f"{last.epoch:.1f}", f"{last.seconds / 60:.2f}"]
        rows.append(row)
    table = text_table(headers, rows, left=("",))
    return f"{table}\n\nheld-out accuracy of the averaged weights; drawn in {printable(str(picture))}"
