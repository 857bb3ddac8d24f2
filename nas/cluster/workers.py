"""How many workers train one network, and what each of them gets. No torch and no Ray here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nas.cluster.session import Node
from nas.data import check_parts
from nas.device import Compute
from nas.train import FullOptions

__all__ = ["Workers"]

MAX_WORKERS = 4096


@dataclass(frozen=True, kw_only=True)
class Workers:
    """`most` workers, and at least `least`, where machines are lost."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MAX_WORKERS:
            raise ValueError(f"workers must be from 1 to {MAX_WORKERS}, the least before the most, got {self}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`4` is four workers, `2:4` four, or down to two where there are no more."""
        match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,9}))?", text)
        if match is None:
            raise ValueError(f"workers must be a number (4) or MIN:MAX (2:4), got {text!r}")
        return cls(least=int(match[1]), most=int(match[2] or match[1]))

    @property
    def here(self) -> bool:
        """Whether it is one that needs no cluster: this process."""
        return self.most == 1

    @property
    def asked(self) -> int | tuple[int, int]:
        """As Ray Train has it."""
        return self.most if self.least == self.most else (self.least, self.most)

    def check(self, batch_size: int, compute: Compute, options: FullOptions) -> None:
        """Raise ValueError where so many cannot share a batch, or have to name one GPU or to compile."""
        if self.here:
            return
        for count in range(self.least, self.most + 1):
            check_parts(batch_size, count)
        if options.accumulate > batch_size // self.most:
            raise ValueError(
                f"accumulate must be at most {batch_size // self.most}, the images of a step that each of {self.most} "
                f"workers has, got {options.accumulate}"
            )
        if compute.device not in ("cpu", "cuda"):
            raise ValueError(f"device must be cpu or cuda with several workers, got {compute.device!r}")
        if options.compile:
            raise ValueError("--compile must be left out with several workers")

    def check_room(self, nodes: Sequence[Node], compute: Compute) -> None:
        """Raise ValueError where the machines do not hold the least number of workers."""
        gpus = 1.0 if compute.is_cuda else 0.0
        fit = sum(node.fits(compute.threads, gpus) for node in nodes)
        if fit < self.least:
            cpus, all_gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
            raise ValueError(
                f"workers must be at most {fit} (of {cpus:g} processors at {compute.threads} a worker"
                + (f", {all_gpus:g} GPUs at 1" if gpus else "")
                + f"), got {self}"
            )

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}:{self.most}"
