"""`nas scale --train`: the members of a family trained to final models, the smallest first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from nas.cli import train
from nas.cli.console import print_note
from nas.text import printable
from nas.train import OptimizerName, TrainResult
from nas.train.job import MODEL
from results import text_table
from scaling import Family, Member

__all__ = ["NEEDS_TRAIN", "TrainOptions", "Trained", "train_family", "trained_text"]

TRAINED = "trained"
NEEDS_TRAIN = ("data", "data_root", "epochs", "optimizer", "train_batch_size", "seed")
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How --train trains; what is not here is as nas train has it."""

    train: bool = False
    """Train every member to a final model, the smallest first, in DIR/trained/NAME. The same command goes on after an
    interruption; members that are trained stay as they are."""
    data: str = "digits"
    """With --train: digits, cifar10, cifar100, or a folder of images in one folder a class."""
    data_root: Annotated[Path | None, arg(metavar="DIR")] = None
    """With --train: the folder that holds cifar10 or cifar100."""
    epochs: Annotated[int | None, arg(metavar="N")] = None
    """With --train: times that each image is seen, the same for each member. Where not given, the recipe's."""
    optimizer: OptimizerName = "rmsprop"
    """With --train: rmsprop (the paper's), sgd or adamw."""
    train_batch_size: Annotated[int | None, arg(metavar="N")] = None
    """With --train: images in a step. Where not given, the recipe's, which for published networks is 4,096."""
    seed: int = 0
    """With --train: of weights, order, augmentation and dropout."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A member's final model, and where it lies."""

    member: Member
    folder: Path
    result: TrainResult

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.member.name, "folder": str(self.folder), **asdict(self.result)}


def train_family(options: TrainOptions, folder: Path, family: Family) -> list[Trained]:
    """Train each member of the family that lies in `folder`.

    Raises:
        ValueError: for no such data, or a member's folder that holds another training.
        Failed: where a loss was not finite; the members before are kept.
        KeyboardInterrupt: where a signal asked for a stop.
    """
    found = []
    for number, member in enumerate(family.members, start=1):
        place = _folder_of(member, folder)
        print_note(f"training {member.name}, {number} of {len(family.members)}, in {printable(str(place))}")
        config = train.Config(
            arch=f"{folder}:{member.name}",
            data=options.data,
            data_root=options.data_root,
            epochs=options.epochs,
            optimizer=options.optimizer,
            seed=options.seed,
            batch_size=options.train_batch_size,
            out=str(place.absolute()),
        )
        job, place = train.new_job(config)
        result = train.train_job(
            job, place, how_to_go_on="to go on: the same command", checkpoint_every_s=CHECKPOINT_SECONDS
        )
        found.append(Trained(member=member, folder=_folder_of(member, folder), result=result))
    return found


def _folder_of(member: Member, folder: Path) -> Path:
    """A run's name may not begin as an option does: the member -1 is trained in phi-1."""
    return folder / TRAINED / (f"phi{member.name}" if member.name.startswith("-") else member.name)


def trained_text(trained: Sequence[Trained]) -> str:
    """One table of what each member reached."""
    headers = ("", "params", "eval px", "test accuracy", "last weights", "steps", "seconds", "model")
    rows = [
        (
            each.member.name,
            f"{each.result.params:,}",
            str(each.result.eval_size),
            f"{100 * each.result.ema_accuracy:.2f} %",
            f"{100 * each.result.accuracy:.2f} %",
            f"{each.result.steps:,}",
            f"{each.result.seconds:.0f}",
            printable(str(each.folder / MODEL)),
        )
        for each in trained
    ]
    return text_table(headers, rows, left=("", "model"))
