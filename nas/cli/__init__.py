"""The command line: `nas COMMAND`. One small file a command; nothing heavy is imported before a command is known."""

from nas.cli.main import main

__all__ = ["main"]
