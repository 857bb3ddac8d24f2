"""The live line that commands show on stderr while they work, where that is a terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.live import Live

__all__ = ["begin_live", "stderr_console"]


def stderr_console() -> Console:
    """A console is what a terminal says: FORCE_COLOR, which notebooks set, makes none of a pipe."""
    return Console(file=sys.stderr, highlight=False, force_terminal=sys.stderr.isatty())


def begin_live(shown: Any, console: Console) -> Live | None:
    """Show it from now on, below what is printed; None where the console is no terminal that could.

    stdout is left alone: rich would put back the one that it met, and a search begins its line while Ray's stdout is
    caught.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    live = Live(shown, console=console, refresh_per_second=2, transient=True, redirect_stdout=False)
    live.start()
    return live
