"""`nas scale`: one network into a family, each member with its training recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from tyro.conf import Fixed, Suppress, arg

from nas.cli.base import FoundBase, find_base
from nas.cli.console import print_json, print_note
from nas.cli.family_training import NEEDS_TRAIN, TrainOptions, train_scaled, trained_text
from nas.cli.part_times import StepOptions, step_time_table
from nas.cli.runs import RUNS, plain_name, typed_folder
from nas.cli.scaled import family_text, member_document
from nas.measure.family_times import StepTimeTable, places_by_step_time
from nas.text import printable
from results import RunError
from results.durable import make_folder, read_bounded, write_atomically
from scaling import (
    FAMILY_FILE,
    Compound,
    Family,
    Found,
    MemberShape,
    Place,
    Preset,
    Rounding,
    Target,
    TargetBy,
    find_places,
    parse_sizes,
    parse_targets,
)
from search_space.files import MAX_BYTES

__all__ = ["Config", "run"]

BASE, DEFAULT_SIZES = "S", "S,M,L"
STEP_OPTIONS = tuple(field.name for field in fields(StepOptions))


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions, StepOptions):
    """One network becomes a family: wider, deeper and on larger images together, each member with a training recipe.

    Example: nas scale --base S

    This gives the published EfficientNetV2-S, -M and -L. Any network can be the base:

    nas scale --run my-run --target M=2x,L=4x --by step-time

    A folder is written: family.json, and for each member NAME.json (a network that every command takes) and
    NAME.recipe.json (image sizes, RandAugment, mixup, dropout, from the first phase to the last). With --train each
    member is trained to a final model:

    nas scale --run my-run --target M=2x --train --data DIR --budget 100ep
    """

    base: Annotated[str, arg(metavar="BASE")] = "S"
    """S, M, L, XL, B0 to B3 (EfficientNetV2's), a name of the catalog, a JSON file, or RUN:TRIAL."""
    run: Annotated[str | None, arg(metavar="RUN")] = None
    """The winner of this run is the base S."""
    sizes: Annotated[str | None, arg(metavar="S,M,L")] = None
    """Members by size: S, M, L, XL, or numbers (phi: S is 0, M is 1, L is 2.75, XL is 4)."""
    target: Annotated[str | None, arg(metavar="M=2.5x,L=5.5x")] = None
    """Members by what they cost: times the base, or absolutely (54M). The base is in the family as S."""
    by: TargetBy = "params"
    """What a target is of: params, macs (at each member's evaluation size), or step-time (2x; 3 is times the
    reference's)."""
    recipe: Preset = "paper"
    """Image sizes and regularisation: as the paper has them, or as the released code does."""
    rounding: Annotated[str, arg(metavar="8,40:16")] = "8,40:16"
    """Widths are rounded to multiples of the first; of another one from a width on (WIDTH:DIVISOR)."""
    image_size: Annotated[int | None, arg(metavar="N")] = None
    """Largest side in pixels that the base is trained at. Where not given, as published, the run's, or 224."""
    max_image_size: Annotated[int | None, arg(metavar="N")] = None
    """No member is evaluated at more. Where not given, 5/4 of the base's, which for S is the paper's 480."""
    num_classes: Annotated[int | None, arg(metavar="N")] = None
    """Classes of every member. Where not given, the base's."""
    step_times: bool = False
    """Time what the members are made of, so that their step times are predicted; --by step-time does so anyway."""
    out: Annotated[str | None, arg(metavar="DIR")] = None
    """The folder, or its name below runs/. Where not given, runs/family-BASE."""
    json: bool = False
    """One JSON document on stdout."""
    given: Suppress[Fixed[tuple[str, ...]]] = ()
    """Names of the options that were typed."""


def run(config: Config) -> int:
    """Derive the family, write it, print it.

    Raises:
        ValueError: for no such base, a size or target that breaks a rule, a folder that holds another family.
    """
    if config.sizes is not None and config.target is not None:
        raise ValueError("either sizes or target can be given")
    if "by" in config.given and config.target is None:
        raise ValueError("--by says what a --target is of, and none is given")
    typed = [name for name in NEEDS_TRAIN if name in config.given]
    if typed and not config.train:
        raise ValueError(f"--{typed[0].replace('_', '-')} is of a training: it needs --train")
    timed = config.step_times or (config.target is not None and config.by == "step-time")
    typed = [name for name in STEP_OPTIONS if name in config.given]
    if typed and not timed:
        hint = "; a training has --train-batch-size" if typed[0] == "batch_size" else ""
        raise ValueError(
            f"--{typed[0].replace('_', '-')} is of step times: it needs --step-times or --by step-time{hint}"
        )
    found = find_base(config.base, run=config.run, image_size=config.image_size, num_classes=config.num_classes)
    compound = Compound(max_image_size=config.max_image_size, rounding=Rounding.parse(config.rounding))
    targets = parse_targets(config.target) if config.target is not None else []
    if any(target.name == BASE for target in targets):
        raise ValueError(f"a target cannot be called {BASE}: that is the base")
    table = step_time_table(config, found) if timed else None
    reached = _reached(config.by, targets, found, compound, table)
    if targets:
        places = {BASE: Place(0.0, 0.0)} | {name: each.place for name, each in reached.items()}
        places = dict(sorted(places.items(), key=lambda item: item[1]))
    else:
        places = parse_sizes(DEFAULT_SIZES if config.sizes is None else config.sizes)
    family = Family.of(found.base, places, compound, config.recipe)
    if table is not None:
        table.time([found.base.arch, *(member.arch for member in family.members)])
    folder = _folder(config, found)
    _write(folder, family)
    notes = [_missed(target, reached[target.name], config.by) for target in targets if not reached[target.name].reached]
    for note in notes:
        print_note(f"note: {note}")
    if not config.json:
        print(f"base: {found.told}\n")
        print(family_text(family, table))
        print(_where(folder, family))
    trained = train_scaled(config, folder) if config.train else []
    if config.json:
        print_json(
            {
                "base": found.told,
                "folder": str(folder),
                "members": [member_document(member, family, table) for member in family.members],
                "targets": [
                    {"asked": str(target), "by": config.by, "share": reached[target.name].share} for target in targets
                ],
                "trained": [each.to_dict() for each in trained],
                "notes": notes,
            }
        )
    elif trained:
        print(f"\n{trained_text(trained)}")
    return 0


def _where(folder: Path, family: Family) -> str:
    shown, largest = printable(str(folder)), family.members[-1]
    return (
        f"\n{shown}/ holds {FAMILY_FILE}, and of each member its network and its recipe\n"
        f"\n  nas describe {shown}/{largest.name}.json --image-size {largest.recipe.eval_size}"
        f"\n  nas train {shown}/{largest.name}.json --data DIR"
        f"\n  nas train --family {shown} --data DIR"
    )


def _reached(
    by: TargetBy, targets: Sequence[Target], found: FoundBase, compound: Compound, table: StepTimeTable | None
) -> dict[str, Found]:
    """Where each target's member stands."""
    if not targets:
        return {}
    if by == "step-time":
        assert table is not None, "members by step time need step times"
        return places_by_step_time(table, found.base, targets, compound)

    def cost(shape: MemberShape) -> float:
        return shape.arch.params if by == "params" else shape.arch.macs(shape.eval_size)

    return find_places(found.base, targets, cost, compound)


def _missed(target: Target, found: Found, by: TargetBy) -> str:
    return (
        f"no member of this family comes within 3 % of {target} by {by}: the nearest has {100 * found.share:.1f} % of "
        "it"
    )


def _folder(config: Config, found: FoundBase) -> Path:
    if config.out is not None:
        return typed_folder(config.out)
    name = found.run.folder.name if found.run is not None else Path(config.base).stem
    return RUNS / f"family-{plain_name(name) or 'base'}"


def _write(folder: Path, family: Family) -> None:
    """The family's files, where no other family's are; an equal one stays as it is."""
    files = family.files()
    if (folder / FAMILY_FILE).exists() or (folder / FAMILY_FILE).is_symlink():
        if read_bounded(folder / FAMILY_FILE, MAX_BYTES) != files[FAMILY_FILE].encode():
            raise RunError(f"{folder}: holds another family already: choose another folder with --out")
    elif folder.exists() and (not folder.is_dir() or any(path.name not in files for path in folder.iterdir())):
        # An interrupted writing of the same family may be gone on with.
        raise RunError(f"{folder}: is there already and holds no family: choose another folder with --out")
    make_folder(folder)
    # Last what says that the rest is there.
    for name, text in sorted(files.items(), key=lambda item: item[0] == FAMILY_FILE):
        write_atomically(folder / name, text)
