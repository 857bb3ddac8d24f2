"""`nas replay RUN`: does the record lead to the same proposals again?"""

from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from nas.cli.console import Failed, print_json
from nas.cli.runs import open_run
from nas.text import printable

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Ask a run's sampler again for what it proposed, telling it what the record says, without any training.

    A run whose proposals are the same again was what its config says; where one differs, the exit code is 1.

    Example: nas replay my-run
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, or its name below runs/."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Replay, and say what came of it.

    Raises:
        ValueError: for no such run, or a damaged one.
        Failed: where a proposal differs.
    """
    opened = open_run(config.run)
    from nas.search.replay import replay

    found = replay(opened)
    if config.json:
        print_json(asdict(found) | {"run": opened.folder.absolute().name})
        return 1 if found.differs else 0
    untold = f"; {found.num_untold} of an older version taken as they are" if found.num_untold else ""
    if found.differs:
        raise Failed(f"{config.run}: {found.num_same} proposals as on record, then {found.differs}")
    print(f"{printable(config.run)}: all {found.num_same} proposals as on record{untold}")
    return 0
