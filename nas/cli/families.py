"""A family on a command line: its folder as nas scale writes it, and its members as networks to train."""

from dataclasses import dataclass
from pathlib import Path

from nas.cli.arch import find_arch
from nas.cli.runs import RUNS
from scaling import FAMILY_FILE, Family, Member, ProgressiveRecipe
from search_space import ArchSpec, parse_json
from search_space.files import read_text

__all__ = ["FoundFamily", "find_family", "find_member", "read_recipe"]


@dataclass(frozen=True, kw_only=True)
class FoundFamily:
    """A family and the folder that it lies in."""

    folder: Path
    family: Family

    def check(self, member: Member) -> None:
        """Raise ValueError where a file of the member's says something else than family.json, which is what counts."""
        for path, own in ((self._file(member, ".json"), member.arch), (self._file(member, ".recipe.json"), None)):
            if not path.exists():
                continue
            found = read_recipe(path) if own is None else find_arch(str(path)).arch
            if found != (own or member.recipe):
                raise ValueError(
                    f"{path}: must be as {FAMILY_FILE} beside it says, and has been changed: to train with it, give "
                    f"{self._file(member, '.json')}"
                )

    def _file(self, member: Member, ending: str) -> Path:
        return self.folder / f"{member.name}{ending}"


def find_family(text: str) -> FoundFamily | None:
    """The family in the folder `text`, or in that of this name below runs/; None where there is none.

    Raises:
        ValueError: for a damaged family.json.
    """
    for folder in (Path(text), RUNS / text) if text else ():
        path = folder / FAMILY_FILE
        if path.is_file():
            try:
                return FoundFamily(folder=folder, family=Family.from_json(read_text(path)))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
    return None


def find_member(text: str) -> tuple[str, ArchSpec, ProgressiveRecipe | None] | None:
    """What FAMILYDIR:MEMBER or FAMILYDIR/MEMBER.json is called, its network and its recipe, as family.json or
    MEMBER.recipe.json has it; None where `text` is neither. There is no recipe where a member's file has lost it.

    Raises:
        ValueError: for a family without that member, or a damaged file.
    """
    path = Path(text)
    if path.suffix.lower() == ".json":
        recipe_file = path.with_suffix(".recipe.json")
        if not recipe_file.is_file() and not (path.parent / FAMILY_FILE).is_file():
            return None
        recipe = read_recipe(recipe_file) if recipe_file.is_file() else None
        return f"{path.absolute().parent.name}-{path.stem}", find_arch(text).arch, recipe
    folder, _, name = text.rpartition(":")
    found = find_family(folder)
    if found is None:
        return None
    member = found.family.member(name)
    found.check(member)
    return f"{found.folder.name}-{name}", member.arch, member.recipe


def read_recipe(path: Path) -> ProgressiveRecipe:
    """A NAME.recipe.json. Raises ValueError for a missing or damaged one."""
    try:
        return parse_json(ProgressiveRecipe, read_text(path))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(str(path)) else f"{path}: {message}") from None
