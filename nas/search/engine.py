"""Ray Tune carries a loop's candidates to workers and their results back. All that is known of Ray Tune stands here.

Ray's own stores (its result folders, its experiment state) are never read: the run's record is the driver's. Ray runs
quiet, on the loopback, without a dashboard, in a temporary folder of its own that goes with it.
"""

import contextlib
import io
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from nas.search.loop import SearchLoop
from nas.search.samplers import Candidate
from nas.search.task import Probe
from nas.search.worker import TrialCall, run_trial

if TYPE_CHECKING:
    from nas.search.tune_searcher import LoopSearcher

__all__ = ["Cluster", "EngineError", "Node", "Resources", "ray_session", "run_search"]

MAX_ENGINE_FAILURES = 2
_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_TEMPORARY_PREFIX = "nas-ray-"
_LONGEST_PARENT = 24
_OBJECT_STORE_BYTES = 128 << 20

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray's memory monitor ends the whole search where it kills one worker; each trial has a limit of its own.
    "RAY_memory_monitor_refresh_ms": "0",
    # A trial runs at the priority that the user gave the command, as its step time is read under it.
    "RAY_worker_niceness": "0",
}


class EngineError(RuntimeError):
    """The machines under a search failed, not a candidate."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial holds, and how many run at once."""

    cpus: int
    gpus: float
    workers: int


class Node(NamedTuple):
    """A machine of a Ray cluster."""

    cpus: float
    gpus: float

    def fits(self, cpus: int, gpus: float) -> int:
        """How many trials of so many processors and such a share of a GPU it holds at once."""
        by_cpus = int(self.cpus // cpus)
        return min(by_cpus, int(self.gpus) * int(1 / gpus + 1e-9)) if gpus else by_cpus


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a Ray cluster has. `scratch` is a folder of this driver's that goes with the session."""

    scratch: Path
    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> float:
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        return sum(node.gpus for node in self.nodes)


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[Cluster]:
    """A Ray of our own on this machine, or the user's at `address`.

    Raises:
        ValueError: where no cluster answers at `address`.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    if address is None:
        # One secret for this session, in this process and its children only; nothing is written to the home folder.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
        # On Linux this makes every part of Ray bind to 127.0.0.1; a test looks at the sockets.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        _check_address(address)
    import ray

    scratch = _make_scratch()
    try:
        # Ray puts the working folder on its workers' path, where a results.py of the user's would shadow ours.
        with _signals_later(), contextlib.chdir(scratch), _sessions_of_their_own():
            if address is None:
                ray.init(
                    address="local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _temp_dir=str(scratch),
                )
            else:
                try:
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
                except (ConnectionError, ValueError, RuntimeError) as error:
                    raise ValueError(f"address: no Ray cluster was reached at {address!r}: {error}") from None
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield Cluster(scratch=scratch, nodes=tuple(Node(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in alive))
    finally:
        with _handling(dict.fromkeys(_STOPPING, signal.SIG_IGN)):
            ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def _check_address(address: str) -> None:
    """Ray itself would wait for minutes for a host that does not answer."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"address: no Ray cluster was reached at {address!r}: {error}") from None


def _make_scratch() -> Path:
    """A folder that is this process's; those of drivers that were killed are removed."""
    # Ray's sockets lie in it, and the path of a socket may have 107 characters.
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]
    parent = next((parent for parent in parents if len(str(parent)) <= _LONGEST_PARENT), parents[0])
    for folder in parent.glob(f"{_TEMPORARY_PREFIX}*"):
        pid = folder.name.removeprefix(_TEMPORARY_PREFIX).split("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY_PREFIX}{os.getpid()}-", dir=parent))


@contextlib.contextmanager
def _sessions_of_their_own() -> Iterator[None]:
    """What Ray starts meanwhile stands in no process group of ours: a terminal's Ctrl-C and a batch system's SIGTERM
    reach the whole group, and it is the driver that decides what becomes of the running trials."""
    services: Any = import_module("ray._private.services")
    plain = services.ConsolePopen

    def start(*arguments: Any, preexec_fn: Callable[[], None], **options: Any) -> Any:
        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
            preexec_fn()

        return plain(*arguments, preexec_fn=prepare, start_new_session=True, **options)

    services.ConsolePopen = start
    try:
        yield
    finally:
        services.ConsolePopen = plain


@contextlib.contextmanager
def _handling(handlers: Mapping[signal.Signals, _Handler]) -> Iterator[None]:
    """Signal handlers for a while; as they were where this is not the main thread, which alone may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Keep signals waiting while Ray starts, which sets handlers of its own (of C++ too: they abort), and take those
    back before the signals come."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        with _handling({number: signal.getsignal(number) for number in _STOPPING}):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_search(
    loop: SearchLoop,
    *,
    make_call: Callable[[Candidate], TrialCall],
    probe_call: TrialCall,
    on_probe: Callable[[Probe], None],
    resources: Resources,
    scratch: Path,
    on_tick: Callable[[], None],
) -> None:
    """Run trials until the loop is over. A first signal (Ctrl-C, SIGTERM) lets what runs finish; a second one raises.

    Args:
        make_call: what to send to a worker for a candidate.
        probe_call: sent before the first trial; `on_probe` is told what it found.
        scratch: a folder for what Tune insists on writing.
        on_tick: called several times a second.

    Raises:
        EngineError: where Ray fails again and again, or the probe fails.
        KeyboardInterrupt: on the second signal.
    """
    from nas.search.tune_searcher import LoopSearcher, ProbeFailed

    to_probe: TrialCall | None = probe_call

    def on_probed(probe: Probe) -> None:
        nonlocal to_probe
        to_probe = None
        on_probe(probe)

    failures = 0
    with _graceful_signals(loop):
        while not loop.over:
            searcher = LoopSearcher(loop, make_call, probe_call=to_probe, on_probe=on_probed, on_tick=on_tick)
            problem = _fit(searcher, resources, scratch)
            if isinstance(searcher.error, ProbeFailed):
                raise EngineError(f"the reference network could not be run on a worker: {searcher.error}")
            if searcher.error is not None:
                raise searcher.error
            if loop.over:
                break
            failures += 1
            loop.run_again()
            if failures > MAX_ENGINE_FAILURES:
                raise EngineError(f"Ray ended {failures} times before the search did: {problem}")


def _fit(searcher: "LoopSearcher", resources: Resources, scratch: Path) -> str | None:
    """One Tune experiment; what it died of, if it did."""
    from ray import tune

    storage = tempfile.mkdtemp(prefix="tune-", dir=scratch)
    tuner = tune.Tuner(
        tune.with_resources(_trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            metric="seconds",
            mode="min",
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(name="search", storage_path=storage, verbose=0, log_to_file=False),
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tuner.fit()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _trainable(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report(run_trial(config["call"]))


def _graceful_signals(loop: SearchLoop) -> AbstractContextManager[None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if loop.interrupted:
            raise KeyboardInterrupt
        loop.interrupt()

    return _handling({signal.SIGINT: on_signal, signal.SIGTERM: on_signal})
