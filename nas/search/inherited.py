"""The supernet that a search judges its candidates by, as its run has it on record. No torch here."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from nas.train import TrainJob, read_job
from nas.train.feed_data import FeedData
from nas.train.job import MODEL, RESULT, read_config, read_result
from nas.train.weight_file import read_weight_file
from results import RunError
from search_space import Space

__all__ = ["SupernetRef"]


@dataclass(frozen=True, kw_only=True)
class SupernetRef:
    """A finished supernet: the folder of its training, the sha256 of its weights, and the steps that they took."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    folder: str
    sha256: str
    steps: int

    @classmethod
    def find(cls, folder: Path) -> Self:
        """The one in this folder.

        Raises:
            RunError: where there is none, its training has not ended, or its weights are damaged.
        """
        if read_job(folder).space is None:
            raise RunError(f"{folder}: must hold a supernet, as nas supernet train makes it, but holds one network")
        result = read_result(folder)
        if result is None:
            raise RunError(f"{folder / RESULT}: is not there: the supernet's training has not ended")
        return cls(folder=str(folder), sha256=_checked(folder / MODEL), steps=result.steps)

    def job(self, data: str, root: Path | None) -> tuple[TrainJob, Space]:
        """How it was trained, the data being where they lie now; and its space, for the data's classes."""
        job = read_job(Path(self.folder)).with_data(data, root)
        assert job.space is not None, "found as a supernet"
        return job, job.space

    def check_unchanged(self) -> None:
        """Raise RunError where it is gone, or another by now."""
        if SupernetRef.find(Path(self.folder)) != self:
            raise RunError(f"{self.folder}: must hold the supernet that the search began with, got another")

    def check_data(self, data: FeedData) -> None:
        """Raise RunError where these are not the images that it was trained on."""
        if (data.train.fingerprint, data.evaluated.fingerprint) != read_config(Path(self.folder)).data:
            raise RunError(f"{self.folder}: the data must be those that the supernet was trained on, got others")

    def for_record(self) -> dict[str, Any]:
        return asdict(self)


def _checked(path: Path) -> str:
    """sha256 of a file of weights, which holds finite numbers; whether they are the supernet's a worker sees."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_weight_file(path)
    try:
        tensors = load(content)
    except (SafetensorError, KeyError) as error:
        raise RunError(f"{path}: is no safetensors file, or is damaged: {error}") from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise RunError(f"{path}: {name} must be finite, but holds NaN or infinity")
    return hashlib.sha256(content).hexdigest()
