"""One base network into a family: compound coefficients, members, the training recipe of each. No torch here."""

from scaling.compound import Base, Compound, MemberShape
from scaling.family import FAMILY_FILE, SIZES, Family, Member, Place, parse_sizes
from scaling.recipe import (
    PRESETS,
    Preset,
    ProgressiveRecipe,
    Ramp,
    SizeRamp,
    fine_tuning_recipe,
    plain_recipe,
    recipe_of,
)
from scaling.rounding import Rounding
from scaling.targets import TARGETS_BY, Found, Target, TargetBy, find_places, parse_targets

__all__ = [
    "FAMILY_FILE",
    "PRESETS",
    "SIZES",
    "TARGETS_BY",
    "Base",
    "Compound",
    "Family",
    "Found",
    "Member",
    "MemberShape",
    "Place",
    "Preset",
    "ProgressiveRecipe",
    "Ramp",
    "Rounding",
    "SizeRamp",
    "Target",
    "TargetBy",
    "find_places",
    "fine_tuning_recipe",
    "parse_sizes",
    "parse_targets",
    "plain_recipe",
    "recipe_of",
]
