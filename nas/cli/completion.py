"""`nas completion SHELL`: tyro's own completion of a parser that has every command below it, and names of runs and
spaces."""

import contextlib
import inspect
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional, arg

from nas.cli.completed import names
from nas.cli.console import print_json
from nas.cli.usage import options_of
from search_space import SPACES

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
RUNS = ("RUN", "RUN|FILE", "--resume", "--run", "--supernet", "--warm-start", "--init", "--family")
"""Where a run is meant, in whatever command."""
MEANT = dict.fromkeys(RUNS, "runs") | dict.fromkeys(("SPACE", "--space"), "spaces")
COMPLETER = "completions = get_completions("
"""The line of tyro's completer, which is in Python in every shell's script, that asks it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A script that lets a shell complete the commands, options, choices and files of nas, runs by their names below
    runs/, and the named spaces. Make it anew after an update:

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
    asks = f"completions = names(words, current_index, {_known()!r}, {sorted(SPACES)!r}) or get_completions("
    source = f"{inspect.getsource(names)}\n\n"
    source = "from collections.abc import Mapping, Sequence\nfrom typing import Any\n\n\n" + source
    if shell == "fish":  # there the completer stands between double quotes
        asks, source = (re.sub(r'([\\"$])', r"\\\1", part) for part in (asks, source))
    return text.replace(COMPLETER, asks).replace("def main() ->", f"{source}def main() ->")


def _known() -> dict[str, dict[str, Any]]:
    """Of each command, as `names` takes it."""
    from nas.cli.main import COMMANDS

    known = {}
    for name, (module, _) in COMMANDS.items():
        options = list(options_of(import_module(module).Config))
        positional = [option for option in options if option.positional]
        known[name] = {
            "options": {
                one.shown: MEANT.get(one.shown, "") for one in options if not one.positional and one.held is not bool
            },
            "positional": MEANT.get(positional[0].shown, "") if positional else "",
            "many": any(option.many for option in positional),
        }
    return known


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
