"""`nas train --family` and `nas scale --train`: the members of a family trained to final models, the smallest first.

The run's config.json holds the options that all members are trained with; each member's folder is a training's.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tyro.conf import arg

from nas.cli.console import print_json, print_note
from nas.cli.families import find_family
from nas.cli.runs import RUNS, find_run, typed_folder
from nas.cli.train_config import OF_THE_COMMAND, Config
from nas.cli.train_job import new_job, train_job
from nas.data import is_folder
from nas.text import printable
from nas.train import OptimizerName, TrainResult
from nas.train.job import CONFIG, FAMILY_KIND, MAX_BYTES, MODEL
from results import RunError, check_run_name, text_table
from results.durable import make_folder, read_bounded, write_atomically
from scaling import FAMILY_FILE, Member
from search_space.files import load_json, nearest, parse_json

__all__ = ["NEEDS_TRAIN", "TrainOptions", "Trained", "resumed", "run", "train_family", "train_scaled", "trained_text"]

TRAINED = "trained"
NEEDS_TRAIN = ("data", "data_root", "budget", "optimizer", "train_batch_size", "seed")
OF_ONE_NETWORK = ("recipe", "init", "init_origin", "fine_tune")
NOT_RECORDED = {"family", "out", "given", "workers", "address", *OF_THE_COMMAND}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How --train trains; what is not here is as nas train has it."""

    train: bool = False
    """Train every member to a final model, as nas train --family DIR does, in DIR/trained/NAME. The same command goes
    on after an interruption; members that are trained stay as they are."""
    data: str = "digits"
    """With --train: digits, cifar10, cifar100, or a folder of images in one folder a class."""
    data_root: Annotated[Path | None, arg(metavar="DIR")] = None
    """With --train: the folder that holds cifar10 or cifar100."""
    budget: Annotated[str | None, arg(metavar="BUDGET")] = None
    """With --train: epochs (30ep), steps (5000st) or wall clock (90m, 2h) of each member. Where not given, the
    recipe's."""
    optimizer: OptimizerName = "rmsprop"
    """With --train: rmsprop (the paper's), sgd or adamw."""
    train_batch_size: Annotated[int | None, arg(metavar="N")] = None
    """With --train: images in a step. Where not given, the recipe's, which for published networks is 4,096."""
    seed: int = 0
    """With --train: of weights, order, augmentation and dropout."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A member's final model, and where it lies."""

    member: Member
    folder: Path
    result: TrainResult

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.member.name, "folder": str(self.folder), **asdict(self.result)}


@dataclass(frozen=True, kw_only=True)
class _Record:
    """config.json of a family's trainings. `options` are fields of `Config`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    schema_version: int = 1
    kind: str = FAMILY_KIND
    family: str
    options: dict[str, Any]

    @classmethod
    def of(cls, config: Config, family: Path) -> "_Record":
        root = config.data_root and config.data_root.expanduser().absolute()
        data = str(Path(config.data).expanduser().absolute()) if is_folder(config.data) else config.data
        options = asdict(replace(config, data=data, data_root=root))
        kept = {name: value for name, value in options.items() if name not in NOT_RECORDED}
        return cls(family=str(family.absolute()), options=json.loads(json.dumps(kept, default=str)))

    def is_of_same(self, other: "_Record") -> bool:
        """Whether both ask for the same trainings; data may have been moved, as each member's training knows."""
        mine, theirs = ({**each.options, "data": None, "data_root": None} for each in (self, other))
        return mine == theirs


def run(config: Config) -> int:
    """Train the family that `config` names, and print what came of it."""
    folder, trained = train_family(config)
    if config.json:
        print_json({"run": str(folder), "trained": [each.to_dict() for each in trained]})
    else:
        print(trained_text(trained))
    return 0


def resumed(config: Config) -> Config:
    """What --resume goes on with, where that is a family's trainings; else `config` as it is.

    Raises:
        ValueError: for no such run, or a damaged config.json.
    """
    folder = find_run(config.resume or "")
    record = _read(folder)
    if record is None:
        return config
    try:
        before = parse_json(Config, json.dumps(record.options))
    except ValueError as error:
        raise RunError(f"{folder / CONFIG}: {error}") from None
    of_now: dict[str, Any] = {name: getattr(config, name) for name in (*OF_THE_COMMAND, "workers", "address")}
    moved: dict[str, Any] = {name: getattr(config, name) for name in ("data", "data_root") if name in config.given}
    # A family that was moved or copied took its trainings along.
    family = str(folder.absolute().parent) if (folder.absolute().parent / FAMILY_FILE).exists() else record.family
    there = {"family": family, "out": str(folder.absolute()), "resume": None}
    return replace(before, **{**of_now, **moved, **there})


def train_scaled(options: TrainOptions, folder: Path) -> list[Trained]:
    """Train each member of the family that lies in `folder`; as `train_family`."""
    _, trained = train_family(
        Config(
            family=str(folder),
            data=options.data,
            data_root=options.data_root,
            budget=options.budget,
            optimizer=options.optimizer,
            seed=options.seed,
            batch_size=options.train_batch_size,
        )
    )
    return trained


def _hint(text: str) -> str:
    near = nearest(text, [path.parent.name for path in RUNS.glob(f"*/{FAMILY_FILE}")])
    return f" (did you mean {near!r}?)" if near else ""


def train_family(config: Config) -> tuple[Path, list[Trained]]:
    """Train each member of the family that `config` names, with its other options; the run's folder, and what came of
    it.

    Raises:
        ValueError: for no such family or data, an option that no family can have, or a folder that holds another
            training.
        Failed: where a loss was not finite; the members before are kept.
        KeyboardInterrupt: where a signal asked for a stop.
    """
    if config.arch is not None:
        raise ValueError(f"either an ARCH or a --family can be given, got both: {config.arch!r}, {config.family!r}")
    for name in OF_ONE_NETWORK:
        if getattr(config, name):
            raise ValueError(f"--{name.replace('_', '-')} cannot be given with --family: it is of one network")
    found = find_family(config.family or "")
    if found is None:
        raise ValueError(
            f"no family {config.family!r}: neither a folder with a family.json, as nas scale writes it, nor a name "
            f"below runs/{_hint(config.family or '')}"
        )
    members = sorted(found.family.members, key=lambda member: (member.params, member.macs))
    for member in members:
        check_run_name(_run_name(member))
        found.check(member)
    folder = found.folder / TRAINED if config.out is None else typed_folder(config.out)
    trained = []
    for number, member in enumerate(members, start=1):
        place = folder / _run_name(member)
        print_note(f"training {member.name}, {number} of {len(members)}, in {printable(str(place))}")
        own = replace(config, arch=f"{found.folder}:{member.name}", family=None, out=str(place.absolute()))
        job, _ = new_job(own)
        if number == 1:
            _begin(folder, _Record.of(config, found.folder), members)
        try:
            result = train_job(job, place, own, resumed_by=folder)
        except ValueError:
            _take_back(folder, members)
            raise
        trained.append(Trained(member=member, folder=place, result=result))
    return folder, trained


def _begin(folder: Path, record: _Record, members: Sequence[Member]) -> None:
    """Write the run's config.json, or find that it holds this one already."""
    check_run_name(folder.name)
    names = {_run_name(member) for member in members}
    before = _read(folder) if (folder / CONFIG).exists() else None
    if any((folder / name / CONFIG).exists() for name in names) and before is not None:
        if not before.is_of_same(record):
            raise RunError(f"{folder}: holds other trainings of a family already: choose another name, or resume them")
        return
    others = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    others = [name for name in others if name not in {*names, f".{CONFIG}.tmp"} and (name != CONFIG or before is None)]
    if others:
        raise RunError(f"{folder}: must be a new or an empty folder, but holds {others[0]!r}")
    make_folder(folder)
    write_atomically(folder / CONFIG, json.dumps(asdict(record), indent=1, allow_nan=False) + "\n")


def _take_back(folder: Path, members: Sequence[Member]) -> None:
    """Leave no run of a command that was refused before any member's training had begun."""
    if not any((folder / _run_name(member) / CONFIG).exists() for member in members):
        (folder / CONFIG).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _read(folder: Path) -> _Record | None:
    """The record of a family's trainings; None for a run of another kind."""
    path = folder / CONFIG
    try:
        text = read_bounded(path, MAX_BYTES).decode()
        record = load_json(text)
        if not isinstance(record, Mapping) or record.get("kind") != FAMILY_KIND:
            return None
        return parse_json(_Record, text)
    except ValueError as error:
        message = str(error)
        raise RunError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _run_name(member: Member) -> str:
    """It may not begin as an option does: the member -1 is trained in phi-1."""
    return f"phi{member.name}" if member.name.startswith("-") else member.name


def trained_text(trained: Sequence[Trained]) -> str:
    """One table of what each member reached."""
    headers = ("", "params", "eval px", "test accuracy", "last weights", "steps", "seconds", "model")
    rows = [
        (
            each.member.name,
            f"{each.result.params:,}",
            str(each.result.eval_size),
            f"{100 * each.result.ema_accuracy:.2f} %",
            f"{100 * each.result.accuracy:.2f} %",
            f"{each.result.steps:,}",
            f"{each.result.seconds:.0f}",
            printable(str(each.folder / MODEL)),
        )
        for each in trained
    ]
    return text_table(headers, rows, left=("", "model"))
