"""The commands that train one final thing, each as it is begun, where its folder is, and how it goes on."""

from dataclasses import dataclass
from pathlib import Path

COMMON = ("--data", "digits", "--seed", "5")
CHECKPOINTS = ("--checkpoint-seconds", "0")


@dataclass(frozen=True, kw_only=True)
class Training:
    """Below runs/a; toy.yaml and tiny.json lie in the working folder."""

    begun: tuple[str, ...]
    goes_on: tuple[str, ...]
    folder: str = "runs/a"
    each_step: tuple[str, ...] = CHECKPOINTS
    """What makes it write a checkpoint at each step."""

    def run(self, working: Path) -> Path:
        return working / self.folder


def trainings(steps: int) -> dict[str, Training]:
    """By command, of about so many steps."""
    length = ("--budget", f"{steps}st")
    scale = (
        "scale", "--base", "tiny.json", "--image-size", "16", "--sizes", "S", "--out", "a", "--train", *COMMON, *length,
        "--optimizer", "sgd", "--train-batch-size", "64",
    )  # fmt: skip
    return {
        "train": Training(
            begun=("train", "tiny.json", *COMMON, *length, "--image-size", "16", "--batch-size", "64", "--out", "a"),
            goes_on=("train", "--resume", "a"),
        ),
        "supernet train": Training(
            begun=("supernet", "train", "--space", "toy.yaml", *COMMON, *length, "--batch-size", "64", "--out", "a"),
            goes_on=("supernet", "train", "--resume", "a"),
        ),
        "scale --train": Training(begun=scale, goes_on=scale, folder="runs/a/trained/S", each_step=()),
    }


COMMANDS = tuple(trainings(1))
