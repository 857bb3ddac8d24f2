"""ARCH on a command line: a name of the catalog, a JSON file, or RUN:TRIAL."""

import re
from dataclasses import dataclass
from pathlib import Path

from nas.cli.runs import open_run
from results import Run
from search_space import ARCHITECTURES, Published, published
from search_space.files import read_text, unknown_name
from search_space.spec import ArchSpec

__all__ = ["NamedArch", "arch_of_trial", "find_arch"]

FILE_IMAGE_SIZE = 224


@dataclass(frozen=True, kw_only=True)
class NamedArch:
    """A network with the name that it was asked by, the side in pixels that its MACs are usually told at, and the run
    or the published table that it comes from."""

    name: str
    arch: ArchSpec
    image_size: int
    run: Run | None = None
    published: Published | None = None


def arch_of_trial(run: Run, index: int, *, name: str) -> NamedArch:
    """The network of a run's trial. Raises RunError where there is no such trial."""
    trial = run.trial(index)
    image_size = run.config.get("image_size")
    if not isinstance(image_size, int) or isinstance(image_size, bool) or image_size < 1:
        image_size = FILE_IMAGE_SIZE
    return NamedArch(name=name, arch=trial.arch, image_size=image_size, run=run)


def find_arch(text: str) -> NamedArch:
    """The network that `text` means: its size is the evaluation size of a published one, the train size of a run's
    trial, and 224 px for a file.

    Raises:
        ValueError: for an unknown name, a missing or wrong file, no such run or trial.
    """
    if text in ARCHITECTURES:
        found = published(text)
        return NamedArch(name=text, arch=found.arch, image_size=found.eval_size, published=found)
    path = Path(text)
    if path.suffix.lower() == ".json":
        try:
            return NamedArch(name=text, arch=ArchSpec.from_json(read_text(path)), image_size=FILE_IMAGE_SIZE)
        except ValueError as error:
            message = str(error)
            raise ValueError(message if message.startswith(text) else f"{text}: {message}") from None
    if of_run := re.fullmatch(r"(.+):([0-9]{1,9})", text):
        return arch_of_trial(open_run(of_run[1]), int(of_run[2]), name=f"{of_run[1]}:{int(of_run[2])}")
    raise ValueError(
        f"{unknown_name('network', text, ARCHITECTURES)} (or give a file that ends in .json, or RUN:TRIAL)"
    )
