"""A base and its members by name: what `nas scale` makes, and what a folder of it holds."""

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self, cast

from scaling.compound import Base, Compound
from scaling.recipe import PRESETS, Preset, ProgressiveRecipe, recipe_of
from search_space.files import parse_json
from search_space.spec import ArchSpec

__all__ = ["FAMILY_FILE", "SIZES", "Family", "Member", "Place", "parse_sizes"]

SIZES: dict[str, float] = {"S": 0.0, "M": 1.0, "L": 2.75, "XL": 4.0}
"""phi of a size's name. The published XL is on no rule that gives M and L: this one's is 5 % smaller."""

FAMILY_FILE = "family.json"
"""The file of a family's folder that says what it is."""
SCHEMA_VERSION = 1
MAX_MEMBERS = 16


class Place(NamedTuple):
    """Where a member stands: the phi of its widths and image size, and that of its depths."""

    phi: float
    depth_phi: float


def parse_sizes(text: str) -> dict[str, Place]:
    """`S,M,L,0.5`: names of `SIZES`, or phis of one's own, by the name of each member.

    Raises:
        ValueError: for what is neither, a size that is there twice, or too many of them.
    """
    places: dict[str, Place] = {}
    for part in text.split(","):
        name = part.strip()
        try:
            phi = SIZES[name.upper()] if name.upper() in SIZES else float(name)
        except ValueError:
            raise ValueError(f"sizes must be {', '.join(SIZES)} or numbers (phi), got {name!r}") from None
        if not -10 <= phi <= 10:
            raise ValueError(f"a size's phi must be from -10 to 10, got {name}")
        name = name.upper() if name.upper() in SIZES else f"{phi:g}"
        # A name has six digits of its phi.
        if name in places or any(place.phi == phi for place in places.values()):
            raise ValueError(f"sizes must hold each phi once, got {name} twice")
        places[name] = Place(phi, phi)
    if len(places) > MAX_MEMBERS:
        raise ValueError(f"sizes must be at most {MAX_MEMBERS}, got {len(places)}")
    return dict(sorted(places.items(), key=lambda item: item[1].phi))


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network of a family, its recipe, and where it stands (`depth_phi` is `phi` but for members found by target)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    name: str
    phi: float
    depth_phi: float
    arch: ArchSpec
    recipe: ProgressiveRecipe

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-][A-Za-z0-9._-]{0,31}", self.name):
            raise ValueError(
                f"Member.name must be 1 to 32 of A-Z a-z 0-9 . _ -, and must not begin with . or _, got {self.name!r}"
            )

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.arch.params

    @property
    def macs(self) -> int:
        """MACs of one image's forward pass at the evaluation size."""
        return self.arch.macs(self.recipe.eval_size)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Members of one base, the smallest first; in every stage a larger one has at least the smaller one's layers and
    channels."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    base: Base
    compound: Compound
    preset: Preset
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"Family.preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        names = [member.name for member in self.members]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Family.members must be at least one, each with a name of its own, got {names}")
        # Some disks know no capitals.
        files = [FAMILY_FILE, *(file.lower() for name in names for file in _files_of(name))]
        if len(set(files)) < len(files):
            raise ValueError(
                f"Family.members must have names whose files (NAME.json, NAME.recipe.json, beside {FAMILY_FILE}) "
                f"differ, with capitals and without, got {names}"
            )

    @classmethod
    def of(
        cls, base: Base, places: dict[str, Place], compound: Compound | None = None, preset: Preset = "paper"
    ) -> Self:
        """The members at `places`, by name.

        Raises:
            ValueError: for a member that cannot be built; see `Compound.member`.
        """
        compound = compound or Compound()
        members = []
        for name, (phi, depth_phi) in places.items():
            shape = compound.member(base, phi, depth_phi)
            recipe = recipe_of(shape, base, phi, preset)
            members.append(Member(name=name, phi=phi, depth_phi=depth_phi, arch=shape.arch, recipe=recipe))
        return cls(base=base, compound=compound, preset=preset, members=tuple(members))

    def member(self, name: str) -> Member:
        for member in self.members:
            if member.name == name:
                return member
        raise ValueError(f"the family has no member {name!r}: it has {[member.name for member in self.members]}")

    def with_num_classes(self, num_classes: int) -> "Family":
        """The same family for a data set of so many classes."""
        return replace(
            self,
            base=replace(self.base, arch=self.base.arch.with_num_classes(num_classes)),
            members=tuple(replace(member, arch=member.arch.with_num_classes(num_classes)) for member in self.members),
        )

    def files(self) -> dict[str, str]:
        """What a folder of this family holds, by file name: family.json has all of it; each member's network and
        recipe stand in a file of their own too."""
        record = {"schema_version": SCHEMA_VERSION, "family": asdict(self)}
        found = {FAMILY_FILE: json.dumps(record, indent=1) + "\n"}
        for member in self.members:
            network, recipe = _files_of(member.name)
            found[network] = member.arch.to_json() + "\n"
            found[recipe] = json.dumps(asdict(member.recipe), indent=1) + "\n"
        return found

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read family.json.

        Raises:
            ValueError: for text that is no JSON, an unknown or missing field, or a value that breaks a rule.
        """
        record = parse_json(_Record, text)
        if record.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {record.schema_version}")
        return cast(Self, record.family)


def _files_of(name: str) -> tuple[str, str]:
    return f"{name}.json", f"{name}.recipe.json"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """family.json."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    schema_version: int
    family: Family
