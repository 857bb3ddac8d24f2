"""What to type next for a network of a run."""

import shlex
from typing import Any, NamedTuple

from results.store import Run
from results.tables import plain

__all__ = ["Command", "commands"]


class Command(NamedTuple):
    """A command for any trial: `before`, the trial's number, `after`; and what it is for."""

    told: str
    before: str
    after: str


def commands(run: Run, shown_as: str) -> list[Command]:
    """Commands of a network, `shown_as` being what is typed for the run."""
    # The number is quoted together with the run's name, as a shell reads both as one word.
    before, _, after = shlex.quote(f"{plain(shown_as)}:0").rpartition("0")
    training = f" {_data(run.config)}{_image_size(run.config)} --budget 30ep"
    return [
        Command("every stage with its exact cost", f"nas describe {before}", after),
        Command("train it to a final model", f"nas train {before}", f"{after}{training}"),
        Command(
            "scale it to a family, here of twice and four times its parameters",
            f"nas scale --base {before}",
            f"{after} --target M=2x,L=4x",
        ),
    ]


def _data(config: dict[str, Any]) -> str:
    """--data and --data-root as the search was given them, where they can be typed."""
    search = config.get("search")
    search = search if isinstance(search, dict) else {}
    data, root = (_typed(search.get(name)) for name in ("data", "data_root"))
    return f"--data {data or 'DIR'}" + (f" --data-root {root}" if data and root else "")


def _typed(text: object) -> str | None:
    return shlex.quote(text) if isinstance(text, str) and text and plain(text) == text else None


def _image_size(config: dict[str, Any]) -> str:
    size = config.get("image_size")
    return f" --image-size {size}" if isinstance(size, int) and not isinstance(size, bool) else ""
