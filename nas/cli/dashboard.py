"""`nas dashboard RUN`."""

import shlex
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from tyro.conf import Positional, arg

from nas.cli.console import print_json, print_note
from nas.cli.runs import find_run
from nas.text import printable

__all__ = ["Config", "run"]

HOST = "127.0.0.1"
POLL_S = 3.0
IDLE_TIMES = 20
"""How much longer than its last reading the record is left alone: the search has the processors."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Look at a run in a browser, with optuna-dashboard: its history, parameters and importances, and the front.

    Served to this machine alone, until Ctrl-C; of a run that goes on, new trials appear. Nothing is written to the run.

    Example: nas dashboard my-run --port 0
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, or its name below runs/."""
    port: Annotated[int, arg(metavar="N")] = 8080
    """Of 127.0.0.1; 0 takes one that is free."""
    device: Annotated[str | None, arg(metavar="NAME")] = None
    """Show the trials of one device; must be given where the run has several."""
    json: bool = False
    """The address as one JSON document on stdout."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests in threads, and calls `now_and_then` in its own."""

    daemon_threads = True
    now_and_then: Callable[[], object]
    _next_s = 0.0

    def service_actions(self) -> None:
        super().service_actions()
        begun_s = time.monotonic()
        if begun_s > self._next_s:
            self.now_and_then()
            ended_s = time.monotonic()
            self._next_s = ended_s + max(POLL_S, IDLE_TIMES * (ended_s - begun_s))


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests that were answered are not told of."""


def _listen(port: int) -> _Server:
    """Raises ValueError for a port that cannot be had."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, got {port}")
    try:
        return _Server((HOST, port), _Quiet)
    except OSError as error:
        raise ValueError(f"port must be one that is free (0 takes one), got {port}: {error.strerror}") from None


def _told_once(update: Callable[[], object]) -> Callable[[], None]:
    """`update`, what is wrong with the record being told on stderr when it changes; what is served stays."""
    told = ""

    def call() -> None:
        nonlocal told
        try:
            update()
            now = ""
        except (ValueError, OSError) as error:
            now = str(error)
        if now and now != told:
            print_note(f"note: {now}")
        told = now

    return call


def run(config: Config) -> int:
    """Serve the run until Ctrl-C, which is how it is meant to end: 0.

    Raises:
        ValueError: for no such run, a damaged one, one without a trial, or a port that cannot be had.
    """
    folder = find_run(config.run)
    from nas.search.dashboard import RunDashboard

    dashboard = RunDashboard(folder, device=config.device)
    with _listen(config.port) as server:
        server.set_app(dashboard)
        server.now_and_then = _told_once(dashboard.update)
        url = f"http://{HOST}:{server.server_port}/"
        if config.json:
            print_json({"run": str(folder), "url": url})
        else:
            shown = printable(shlex.quote(str(folder)))
            print(f"{printable(folder)}: {url} (Ctrl-C ends it)\n\n  tensorboard --logdir {shown}")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt), warnings.catch_warnings():
            # Optuna's, of plots of few trials.
            warnings.simplefilter("ignore")
            server.serve_forever()
    return 0
