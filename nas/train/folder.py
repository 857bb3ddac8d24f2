"""The folder of one final training: config.json, metrics.jsonl, checkpoints/, and what is there at its end."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout
from torch import nn

from nas.train.checkpoint import Checkpoints
from nas.train.job import CONFIG, MODEL, RESULT, TrainConfig, TrainJob, TrainResult, read_config
from nas.train.length import TrainLength
from nas.train.model_data import MODEL_DATA, ModelData
from nas.train.report import MAX_METRICS_BYTES, METRICS, Metrics
from results import RunError, RunWriteError, check_run_name
from results.durable import AppendFile, make_folder, read_bounded, replace_atomically, sync_folder, write_atomically
from results.lock import lock_folder, unlock_folder
from results.state import LOCK, OWNER
from search_space.files import load_json

__all__ = ["TrainFolder"]

CHECKPOINTS, ARCH, WRITER = "checkpoints", "arch.json", ".writer"
SKIPPED = "skipped.jsonl"
TIMED = ".timed"
OURS = {LOCK, OWNER, WRITER, METRICS, TIMED, f".{CONFIG}.tmp", f".{OWNER}.tmp"}
"""What an interrupted beginning may leave."""
WRITER_GONE_S = 60.0


class TrainFolder:
    """A context manager that holds the folder's lock: one training writes it at a time.

    Attributes:
        length: the job's, or where a budget of wall clock was measured here before, what was found then.
    """

    def __init__(
        self, path: Path, job: TrainJob, data: tuple[str, str], *, holds_lock: bool = True, begins: bool = True
    ) -> None:
        """Begin `job` in a new or empty folder, or go on with it in its own; `data` as in `TrainConfig`.
        Where the budget is still to be measured, or not `begins`, nothing is written before `begin`, and of a new
        folder nothing stays without it. A worker does not hold the lock: the process that started it does.

        Raises:
            RunError: where the folder holds anything else, the data have changed, or another process is writing.
            RunWriteError: where it cannot be written.
        """
        self.path, self.length = path, job.length
        self._job, self._data = job, data
        self.checkpoints = Checkpoints(path / CHECKPOINTS)
        self._metrics: AppendFile | None = None
        check_run_name(path.name)
        self._is_new = holds_lock and not path.exists()
        make_folder(path)
        self._writer = FileLock(path / WRITER, timeout=WRITER_GONE_S, thread_local=False)
        self._lock = lock_folder(path) if holds_lock else None
        try:
            self._open(job, data, begins)
        except BaseException:
            self._unlock()
            raise

    def _unlock(self) -> None:
        if self._lock is not None:
            unlock_folder(self.path, self._lock)

    def _open(self, job: TrainJob, data: tuple[str, str], begins: bool) -> None:
        if (self.path / CONFIG).exists():
            config = read_config(self.path)
            known = config.job.length
            if not job.length.is_known and job.length.seconds == known.seconds:
                job = replace(job, length=known)
            if config.job != job.with_data(config.job.data.data, config.job.data.root):
                raise RunError(f"{self.path}: holds another training already: choose another name, or resume it")
            if config.data != data:
                raise RunError(f"{self.path}: the data are not those that it began with, so that it cannot go on")
            self.length = known
            return
        if others := sorted({path.name for path in self.path.iterdir()} - OURS):
            raise RunError(f"{self.path}: must be a new or an empty folder, but holds {others[0]!r}")
        if begins and job.length.is_known:
            self.begin(job.length)

    def begin(self, length: TrainLength) -> None:
        """Write config.json, the job's length being this."""
        self.length = length
        config = TrainConfig(job=replace(self._job, length=length), data=self._data)
        write_atomically(self.path / CONFIG, config.to_json())
        sync_folder(self.path.absolute().parent)

    def begin_writing(self) -> None:
        """By the process that writes checkpoints, before it looks at what is there: wait until an earlier one is gone.
        A worker outlives the killed command that held the folder's lock by some seconds.

        Raises:
            RunError: where it does not go.
        """
        try:
            self._writer.acquire()
        except Timeout:
            raise RunError(f"{self.path}: a worker of an earlier training still writes here; end it") from None
        except OSError as error:
            raise RunWriteError(f"{self.path / WRITER}: could not be locked: {error.strerror}") from error
        self.checkpoints.tidy()

    def open_metrics(self, step: int) -> None:
        """Open metrics.jsonl for lines after `step`; later ones, of steps that will be done again, are cut away, and
        so is a half-written end.

        Raises:
            RunError: for a damaged line, naming it.
        """
        path, keep = self.path / METRICS, 0
        if path.exists() or path.is_symlink():
            for number, line in enumerate(read_bounded(path, MAX_METRICS_BYTES).splitlines(keepends=True), start=1):
                if not line.endswith(b"\n") or _step_of(line, path, number) > step:
                    break
                keep += len(line)
        self._metrics = AppendFile(path, keep=keep)

    def append(self, metrics: Metrics) -> None:
        assert self._metrics is not None, "metrics are opened before the first step"
        self._metrics.append(metrics.to_json() + "\n")

    def finish(self, network: nn.Module, job: TrainJob, result: TrainResult, data: ModelData) -> None:
        """Write the model and what is known of it; last of all result.json, which says that the training has ended."""
        from safetensors.torch import save

        weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
        content = save(weights, metadata={"format": "pt"})
        replace_atomically(self.path / MODEL, lambda file: file.write(content))
        if job.space is None:
            write_atomically(self.path / ARCH, job.arch.to_json() + "\n")
        write_atomically(self.path / MODEL_DATA, data.to_json())
        write_atomically(self.path / RESULT, result.to_json())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is not None:
            self._metrics.close()
        self._writer.release()
        if self._is_new and not (self.path / CONFIG).exists():
            for name in (LOCK, OWNER, WRITER):
                (self.path / name).unlink(missing_ok=True)
            with suppress(OSError):
                self.path.rmdir()
        self._unlock()


def _step_of(line: bytes, path: Path, number: int) -> int:
    try:
        record = load_json(line)
        step = record.get("step") if isinstance(record, dict) else None
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"step must be an integer, got {step!r}")
    except ValueError as error:
        raise RunError(f"{path}: line {number} is damaged: {error}") from None
    return step
