"""A Ray of our own, or the user's: started quiet and private, and ended without leaving anything.

Ray runs on the loopback, without a dashboard, in a temporary folder of its own that goes with it; each of its processes
has a session of its own, so that signals are the driver's to handle.
"""

import contextlib
import hashlib
import logging
import os
import platform
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

from nas.cluster.own_ray import EngineError, end, processes, shut_down
from nas.signals import STOPPING, handling, ignoring
from results.durable import first_line

__all__ = ["Cluster", "Node", "check_address", "ray_session"]

_TEMPORARY_PREFIX = "nas-ray-"
_LONGEST_PARENT = 17
_OBJECT_STORE_BYTES = 128 << 20
OPEN = (
    "note: this Ray cluster was reached without a token: whoever reaches its ports can run code on its machines; "
    "docs/security.md tells how to close it"
)

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray imports mlflow, where that is installed.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # A trial that failed is a row with its reason.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ray's memory monitor ends a whole search where it kills one worker; each trial has a limit of its own.
    "RAY_memory_monitor_refresh_ms": "0",
    # What is left of a Ray whose driver was killed looks five times, so many seconds apart, before it ends.
    "RAY_DASHBOARD_AGENT_CHECK_PARENT_INTERVAL_S": "1",
    # A trial runs at the priority that the user gave the command, as its step time is read under it.
    "RAY_worker_niceness": "0",
}


class Node(NamedTuple):
    """A machine of a Ray cluster."""

    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Self:
        """By what Ray says of it."""
        return cls(resources.get("CPU", 0.0), resources.get("GPU", 0.0))

    def fits(self, cpus: int, gpus: float) -> int:
        """How many trials, or workers, of so many processors and such a share of a GPU it holds at once."""
        by_cpus = int(self.cpus // cpus)
        return min(by_cpus, int(self.gpus) * int(1 / gpus + 1e-9)) if gpus else by_cpus


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a Ray cluster has. `scratch` is a folder of this driver's that goes with the session; `notes` are for the
    user."""

    scratch: Path
    nodes: tuple[Node, ...]
    notes: tuple[str, ...] = ()

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
        EngineError: where a Ray of our own does not start.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    if address is None:
        # In this process and its children only; nothing is written to the home folder.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", _secret()
        # On Linux this makes every part of Ray bind to 127.0.0.1; a test looks at the sockets.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        check_address(address)
        if has_token():
            # To a cluster that asks for none it makes no difference.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    scratch = _make_scratch()
    try:
        # Ray puts the working folder on its workers' path, where a results.py of the user's would shadow ours.
        with _own_handlers_again(wait=address is None), contextlib.chdir(scratch), _sessions_of_their_own():
            if address is None:
                try:
                    ray.init(
                        address="local",
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        object_store_memory=_OBJECT_STORE_BYTES,
                        _temp_dir=str(scratch),
                    )
                # A plain Exception is what Ray raises where its parts are not up within its own time limit.
                except Exception as error:
                    raise EngineError(f"Ray did not start on this machine: {first_line(error)}") from error
            else:
                try:
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
                except (ConnectionError, ValueError, RuntimeError) as error:
                    raise ValueError(
                        f"address: no Ray cluster was reached at {address!r} (does it ask for another token than "
                        f"RAY_AUTH_TOKEN or ~/.ray/auth_token has?): {error}"
                    ) from None
        nodes = tuple(Node.of(node["Resources"]) for node in ray.nodes() if node["Alive"])
        is_open = address is not None and os.environ.get("RAY_AUTH_MODE") != "token"
        yield Cluster(scratch=scratch, nodes=nodes, notes=(OPEN,) if is_open else ())
    finally:
        with ignoring():
            started = processes()
            shut_down()
            end(started)
        shutil.rmtree(scratch, ignore_errors=True)


@lru_cache
def _secret() -> str:
    """One for all sessions of this process, since Ray reads it once."""
    return secrets.token_hex(32)


def has_token() -> bool:
    """Whether Ray finds a token for the user's cluster, where it looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token").is_file()


def check_address(address: str) -> None:
    """Raise ValueError where nothing answers at a cluster's address. Ray itself waits for minutes for a host that does
    not answer, and by `local` starts one that all can reach."""
    if address.startswith("local"):
        raise ValueError(f"address must be auto or HOST:PORT of a Ray cluster that runs, got {address!r}")
    services: Any = import_module("ray._private.services")
    # What it finds may be gone, or another's that is not to be reached; of the loopback it makes this machine's own.
    try:
        place = services.canonicalize_bootstrap_address(address) or ""
    except (ConnectionError, ValueError) as error:
        raise ValueError(f"address: no Ray cluster was reached at {address!r}: {error}") from None
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        found = "" if place == address else f" ({place})"
        raise ValueError(f"address: no Ray cluster was reached at {address!r}{found}: {error}") from None


def _make_scratch() -> Path:
    """A folder that is this process's; those of drivers that were killed are removed, as far as their numbers say
    something here: another machine, or a container, may use the same disk."""
    # Ray's sockets lie in it, and the path of a socket may have 107 characters.
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]
    parent = next((parent for parent in parents if len(str(parent)) <= _LONGEST_PARENT), parents[0])
    place = _place()
    for folder in parent.glob(f"{_TEMPORARY_PREFIX}*-{place}-*"):
        pid = folder.name.removeprefix(_TEMPORARY_PREFIX).split("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY_PREFIX}{os.getpid()}-{place}-", dir=parent))


def _place() -> str:
    """Where a process's number is its alone: six hexadecimal digits."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:6]


@contextlib.contextmanager
def _sessions_of_their_own() -> Iterator[None]:
    """What Ray starts meanwhile stands in no process group of ours: a terminal's Ctrl-C and a batch system's SIGTERM
    reach the whole group, and it is the driver that decides what becomes of the running trials."""
    services: Any = import_module("ray._private.services")
    plain = services.ConsolePopen

    def start(*arguments: Any, preexec_fn: Callable[[], None], **options: Any) -> Any:
        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            preexec_fn()

        return plain(*arguments, preexec_fn=prepare, start_new_session=True, **options)

    services.ConsolePopen = start
    try:
        yield
    finally:
        services.ConsolePopen = plain


@contextlib.contextmanager
def _own_handlers_again(*, wait: bool) -> Iterator[None]:
    """Take back the handlers that Ray sets while it starts (of C++ too: they abort). With `wait`, signals stay pending
    until then; not where a cluster may keep us waiting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING if wait else ())
    try:
        with handling({number: signal.getsignal(number) or signal.SIG_DFL for number in STOPPING}):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
