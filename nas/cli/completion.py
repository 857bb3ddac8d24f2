"""`nas completion SHELL`: tyro's own completion of a parser that has every command below it."""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional, arg

from nas.cli.console import print_json

__all__ = ["Config", "run", "script"]

Shell = Literal["bash", "zsh", "fish"]
FILES = "__TYRO_COMPLETE_FILES__"
# tyro completes commands, options and choices, and files after options that take one. Where it knows nothing, as of
# a RUN, files are what is meant; and bash itself completes them better than tyro's list of them.
MENDED: Mapping[Shell, Mapping[str, str]] = {
    "bash": {
        f'[[ "$completions" == "{FILES}" ]]': f'[[ -z "$completions" || "$completions" == "{FILES}" ]]',
        'COMPREPLY=($(compgen -f -- "$cur"))': "COMPREPLY=()",
        "complete -F ": "complete -o default -F ",
    },
    "zsh": {f'[[ "$completions" == "{FILES}" ]]': f'[[ -z "$completions" || "$completions" == "{FILES}" ]]'},
    "fish": {
        "set -l current (count $words)": "set -l current (count $words)\n    set -a words (commandline -ct)",
        f'test "$results" = {FILES}': f'test -z "$results" -o "$results" = {FILES}',
    },
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A script that lets a shell complete the commands, options, choices and files of nas. Make it anew after an
    update:

    nas completion bash > ~/.local/share/bash-completion/completions/nas

    nas completion zsh > DIR/_nas, where DIR is one of $fpath

    nas completion fish > ~/.config/fish/completions/nas.fish

    Example: nas completion bash > nas.bash && source nas.bash
    """

    shell: Annotated[Positional[Shell], arg(metavar="bash|zsh|fish")]
    """The shell."""
    json: bool = False
    """The script in one JSON document on stdout."""


def script(shell: Shell) -> str:
    """The script for `shell`, of all commands as they are now."""
    from nas.cli.main import COMMANDS

    tree: dict[str, Any] = {}
    for name, (module, _) in COMMANDS.items():
        *groups, last = name.split()
        level = tree
        for group in groups:
            level = level.setdefault(group, {})
        level[last] = import_module(module).Config
    written = io.StringIO()
    asked = ["--tyro-write-completion", shell, "-"]
    try:
        with contextlib.redirect_stdout(written):
            tyro.cli(_commands(tree), prog="nas", args=asked, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as ended:
        if ended.code:
            raise
    text = written.getvalue()
    for found, mended in MENDED[shell].items():
        text = text.replace(found, mended)
    return text


def _commands(tree: Mapping[str, Any]) -> Any:
    """The type whose parser has these commands."""
    kinds = [
        Annotated[Any, tyro.conf.subcommand(name, constructor=_commands(kind) if isinstance(kind, dict) else kind)]
        for name, kind in tree.items()
    ]
    # A union has two members at least.
    return Union[(*kinds, Annotated[None, tyro.conf.Suppress])]


def run(config: Config) -> int:
    """Print the script."""
    text = script(config.shell)
    if config.json:
        print_json({"shell": config.shell, "script": text})
    else:
        print(text, end="")
    return 0
