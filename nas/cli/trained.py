"""RUN|FILE and --checkpoint on a command line: which weights of which training are meant."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.runs import find_run
from nas.train.job import MODEL

if TYPE_CHECKING:
    from nas.train.trained import Checkpoint

__all__ = ["find_model"]


def find_model(text: str, checkpoint: str | None) -> "tuple[Path, Checkpoint | None]":
    """The training's folder, and which of its checkpoints; None is the finished model.

    Args:
        text: the folder, its name below runs/, RUN/model.safetensors or RUN/checkpoints/step-N.pt.
        checkpoint: `best`, `latest`, a step, or None.

    Raises:
        ValueError: for no such training, or a value that breaks a rule.
    """
    path = Path(text)
    if path.suffix in (".safetensors", ".pt") and path.is_file():
        if checkpoint is not None:
            raise ValueError("--checkpoint is of a training, and a file is given")
        if path.name == MODEL:
            return find_run(str(path.parent)), None
        step = re.fullmatch(r"step-([0-9]{1,12})\.pt", path.name)
        if step is None:
            raise ValueError(f"a file must be model.safetensors or a checkpoint step-N.pt, got {path.name!r}")
        return find_run(str(path.parent.parent)), int(step[1])
    folder = find_run(text)
    match checkpoint:
        case None | "best" | "latest":
            return folder, checkpoint
        case _ if re.fullmatch(r"[0-9]{1,12}", checkpoint):
            return folder, int(checkpoint)
    raise ValueError(f"--checkpoint must be best, latest or a step, got {checkpoint!r}")
