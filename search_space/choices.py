"""What may be chosen within one stage of a space: lists of choices, checked where they are made.

A stage's decisions are its lists with more than one entry, in the order of `FIELDS`. A stage's *indices* hold one
position a decision. A decision without effect on the network (every one but the depth where the depth is 0; a setting
that the chosen op ties or does not have) is *inactive*, and stands at 0 in the canonical indices.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Any, ClassVar, NamedTuple

from search_space.files import OneOrMany, lenient_list
from search_space.ops import OPS
from search_space.spec import MAX_DEPTH, MAX_WIDTH, StageSpec, check_block_settings, check_integer

__all__ = ["BlockChoice", "Decision", "StageChoices"]

SETTINGS = ("kernel", "expansion", "se_ratio")
FIELDS = ("op", *SETTINGS, "depth", "width")
_NEUTRAL: dict[str, Any] = {"kernel": 1, "expansion": 1, "se_ratio": 0.0}
_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


class Settings(NamedTuple):
    """What a block is, apart from its channels and stride."""

    op: str
    kernel: int
    expansion: int
    se_ratio: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One categorical of a space: `stage3.kernel` with values (3, 5). stage1 is the first after the stem.

    The values of an `op` decision are texts such as `mbconv` or, with settings tied to it, `mbconv k3 e6 se0.25`.
    """

    name: str
    values: tuple[str | int | float, ...]


@dataclass(frozen=True, kw_only=True)
class BlockChoice:
    """An op that may be chosen, optionally with settings tied to it; a setting left at None is the stage's to choose.

    >>> str(BlockChoice(op="mbconv", se_ratio=0.25))
    'mbconv se0.25'
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    op: str
    kernel: int | None = None
    expansion: int | None = None
    se_ratio: float | None = None

    def __post_init__(self) -> None:
        check_block_settings("BlockChoice", self.op, *(self._or_neutral(name) for name in SETTINGS))
        for name in SETTINGS:
            if name not in OPS[self.op].settings and getattr(self, name) is not None:
                raise ValueError(f"BlockChoice.{name} has no meaning for op {self.op!r}: leave it out")
        if self.se_ratio is not None:
            object.__setattr__(self, "se_ratio", float(self.se_ratio) + 0.0)

    def _or_neutral(self, name: str) -> Any:
        given = getattr(self, name)
        return _NEUTRAL[name] if given is None else given

    def leaves(self, setting: str) -> bool:
        """Whether the stage's list decides this setting."""
        return setting in OPS[self.op].settings and getattr(self, setting) is None

    def settings(self, kernel: int, expansion: int, se_ratio: float) -> Settings:
        """The block's settings, where the stage's lists say (kernel, expansion, se_ratio)."""
        listed: dict[str, Any] = {"kernel": kernel, "expansion": expansion, "se_ratio": se_ratio}
        decided = {name: value if self.leaves(name) else self._or_neutral(name) for name, value in listed.items()}
        return Settings(op=self.op, **decided)

    def __str__(self) -> str:
        tied = {"k": self.kernel, "e": self.expansion, "se": self.se_ratio}
        return " ".join([self.op, *(f"{letter}{value!r}" for letter, value in tied.items() if value is not None)])


class _BlockList:
    """In a file, an op's plain name may stand for the block choice that ties nothing."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        schema = handler.generate_schema(tuple[BlockChoice, ...])
        return lenient_list(schema, lambda item: {"op": item} if isinstance(item, str) else item)


def _check_list(name: str, values: object, check: Callable[[Any], object]) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"StageChoices.{name} must be a list of choices, got {values!r}")
    if not values:
        raise ValueError(f"StageChoices.{name} must hold at least one choice, got none")
    checked = [check(value) for value in values]
    for position, value in enumerate(checked):
        if value in checked[:position]:
            raise ValueError(f"StageChoices.{name} must hold each choice once, got {value!r} twice")
    return tuple(checked)


def _block(given: object) -> BlockChoice:
    if isinstance(given, str):
        return BlockChoice(op=given)
    if not isinstance(given, BlockChoice):
        raise ValueError(f"StageChoices.op must hold block choices or names of ops, got {given!r}")
    return given


def _setting(name: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        check_block_settings("StageChoices", "mbconv", **(_NEUTRAL | {name: value}))
        return float(value) + 0.0 if name == "se_ratio" else value

    return check


def _integer(name: str, low: int, high: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        check_integer("StageChoices", name, value, low, high)
        return value

    return check


def _check_unrounded(name: str, rounded: tuple[int, ...], values: object) -> tuple[float, ...]:
    """One number for each entry of `rounded`, or none at all."""
    owner = f"StageChoices.unrounded_{name}"
    if not isinstance(values, list | tuple):
        raise ValueError(f"{owner} must be a list of numbers, got {values!r}")
    if values and len(values) != len(rounded):
        raise ValueError(f"{owner} must hold one number for each of {name} {list(rounded)}, got {list(values)}")
    for number, value in zip(rounded, values, strict=bool(values)):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not (number / 2 <= value <= 2 * number):
            raise ValueError(f"{owner} must lie within half and twice of {name} {number}, got {value!r}")
    return tuple(map(float, values))


@dataclass(frozen=True, kw_only=True)
class StageChoices:
    """The choices of one stage; `stride` is of its first layer and is not chosen.

    A depth of 0 lets the stage vanish, with its stride. A setting's list is for the ops that have the setting and do
    not tie it; for the others it has no meaning. `unrounded_width` and `unrounded_depth`, where a space was itself
    scaled from a smaller network, say for each entry of `width` and `depth` what it was before it was rounded (a depth:
    rounded up); larger networks are scaled from these (see `Space.unrounded`).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    op: Annotated[tuple[BlockChoice | str, ...], _BlockList]
    width: Annotated[tuple[int, ...], OneOrMany]
    depth: Annotated[tuple[int, ...], OneOrMany]
    stride: int = 1
    kernel: Annotated[tuple[int, ...], OneOrMany] = (3,)
    expansion: Annotated[tuple[int, ...], OneOrMany] = (1,)
    se_ratio: Annotated[tuple[float, ...], OneOrMany] = (0.0,)
    unrounded_width: Annotated[tuple[float, ...], OneOrMany] = ()
    unrounded_depth: Annotated[tuple[float, ...], OneOrMany] = ()

    def __post_init__(self) -> None:
        checks = {"op": _block, "width": _integer("width", 1, MAX_WIDTH), "depth": _integer("depth", 0, MAX_DEPTH)}
        for name in FIELDS:
            check = checks[name] if name in checks else _setting(name)
            object.__setattr__(self, name, _check_list(name, getattr(self, name), check))
        check_integer("StageChoices", "stride", self.stride, 1, 8)
        for name in ("width", "depth"):
            checked_unrounded = _check_unrounded(name, getattr(self, name), getattr(self, f"unrounded_{name}"))
            object.__setattr__(self, f"unrounded_{name}", checked_unrounded)
        if max(self.depth) == 0:
            raise ValueError("StageChoices.depth must hold a number above 0, got only 0: leave the stage out")
        for name in SETTINGS:
            listed = getattr(self, name)
            if len(listed) > 1 and not any(block.leaves(name) for block in self.blocks):
                raise ValueError(f"StageChoices.{name} must be left out where no op leaves it open, got {listed}")

    @property
    def blocks(self) -> tuple[BlockChoice, ...]:
        """`op`, with names spelled out."""
        return self.op  # type: ignore[return-value]

    @cached_property
    def decisions(self) -> dict[str, tuple[Any, ...]]:
        """The lists with more than one entry, by field."""
        lists = {name: tuple(getattr(self, name)) for name in FIELDS}
        return {name: values for name, values in lists.items() if len(values) > 1}

    def _positions(self, indices: Sequence[int]) -> dict[str, int]:
        return dict.fromkeys(FIELDS, 0) | dict(zip(self.decisions, indices, strict=True))

    def decode(self, indices: Sequence[int]) -> StageSpec | None:
        """The stage that these indices mean; None where its depth is 0."""
        at = self._positions(indices)
        if self.depth[at["depth"]] == 0:
            return None
        listed = (self.kernel[at["kernel"]], self.expansion[at["expansion"]], self.se_ratio[at["se_ratio"]])
        settings = self.blocks[at["op"]].settings(*listed)
        return StageSpec(
            **settings._asdict(), width=self.width[at["width"]], depth=self.depth[at["depth"]], stride=self.stride
        )

    def active(self, indices: Sequence[int]) -> tuple[bool, ...]:
        """Which of the stage's decisions these indices give a meaning."""
        at = self._positions(indices)
        if self.depth[at["depth"]] == 0:
            return tuple(name == "depth" for name in self.decisions)
        block = self.blocks[at["op"]]
        return tuple(name not in SETTINGS or block.leaves(name) for name in self.decisions)

    @cached_property
    def settings(self) -> dict[Settings, dict[str, int]]:
        """Every block that this stage can hold, with the smallest positions of op and settings that say so."""
        found: dict[Settings, dict[str, int]] = {}
        for op, block in enumerate(self.blocks):
            open_lists = [range(len(getattr(self, name))) if block.leaves(name) else (0,) for name in SETTINGS]
            for kernel, expansion, se_ratio in product(*open_lists):
                settings = block.settings(self.kernel[kernel], self.expansion[expansion], self.se_ratio[se_ratio])
                found.setdefault(settings, dict(zip(FIELDS, (op, kernel, expansion, se_ratio), strict=False)))
        return found

    def indices(self, settings: Settings | None, depth: int, width: int | None) -> tuple[int, ...]:
        """The canonical indices of a stage of this block, depth (its number of layers) and width."""
        at: dict[str, int] = dict.fromkeys(FIELDS, 0) | {"depth": self.depth.index(depth)}
        if settings is not None and width is not None:
            at |= self.settings[settings] | {"width": self.width.index(width)}
        return tuple(at[name] for name in self.decisions)

    def vanished(self) -> Iterator[tuple[int, ...]]:
        """The canonical indices of the stage left out, where it can be."""
        if 0 in self.depth:
            yield self.indices(None, 0, None)
