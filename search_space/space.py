"""Which networks may be proposed: a frame (stem, head, activation) and the choices of each stage.

    indices --decode--> ArchSpec --encode--> the smallest indices that mean the same network

Indices hold one position a decision; samplers may work on them (they are plain categoricals) or on networks, by
`sample`, `mutate` and `cross_over`. All randomness comes from the `random.Random` that is passed in.
"""

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from operator import index
from typing import Any, ClassVar, Self

from search_space.choices import Decision, StageChoices
from search_space.counting import count_sequences, layer_sequence, read_sequence
from search_space.spec import Activation, ArchSpec, HeadSpec, Padding, StageSpec, StemSpec, check_integer
from search_space.unrounded import Unrounded
from search_space.variation import MAX_TRIES, cross_over, draw, mutate

__all__ = ["Space"]

MAX_STAGES = 64


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space.

    `image_size` (side in pixels) and `batch_size` (images) are of the training step whose time is measured.
    `reference` is the network whose step time and parameters count as 1 in the reward; where it is not given, it has
    every decision at the middle of its list (of two, the first).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    name: str
    stem: StemSpec
    stages: tuple[StageChoices, ...]
    head: HeadSpec
    image_size: int
    batch_size: int
    activation: Activation = "silu"
    norm_eps: float = 1e-3
    padding: Padding = "symmetric"
    reference: ArchSpec = None  # type: ignore[assignment]  # never None once made

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.name):
            raise ValueError(f"Space.name must be up to 64 letters, digits, '.', '_' or '-', got {self.name!r}")
        if not 1 <= len(self.stages) <= MAX_STAGES:
            raise ValueError(f"Space.stages must hold from 1 to {MAX_STAGES} stages, got {len(self.stages)}")
        object.__setattr__(self, "stages", tuple(self.stages))
        if all(0 in stage.depth for stage in self.stages):
            raise ValueError("Space.stages must hold a stage that cannot vanish (no 0 in its depth), got none")
        check_integer("Space", "image_size", self.image_size, 1, 1 << 14)
        check_integer("Space", "batch_size", self.batch_size, 1, 1 << 20)
        middle = self.decode([(len(decision.values) - 1) // 2 for decision in self.decisions])
        if self.reference is None:
            object.__setattr__(self, "reference", middle)
        elif self.reference not in self:
            raise ValueError(f"Space.reference must be one of the space's networks, {self._why_not(self.reference)}")

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The categoricals, stage by stage; in a stage op, kernel, expansion, se_ratio, depth, width."""
        found = []
        for number, stage in enumerate(self.stages, start=1):
            for field, values in stage.decisions.items():
                shown = tuple(map(str, values)) if field == "op" else values
                found.append(Decision(name=f"stage{number}.{field}", values=shown))
        return tuple(found)

    @cached_property
    def _parts(self) -> tuple[slice, ...]:
        """Each stage's part of the indices."""
        ends = list(accumulate((len(stage.decisions) for stage in self.stages), initial=0))
        return tuple(slice(start, end) for start, end in pairwise(ends))

    @cached_property
    def _decoded(self) -> list[tuple[slice, dict[tuple[int, ...], StageSpec | None]]]:
        """Each stage's part of the indices, and the stages that were decoded so far."""
        return [(part, {}) for part in self._parts]

    @cached_property
    def _frame(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("stem", "head", "activation", "norm_eps", "padding")}

    def _positions(self, indices: Sequence[int]) -> tuple[int, ...]:
        chosen = tuple(map(index, indices))
        if len(chosen) != len(self.decisions):
            raise ValueError(f"indices must hold one position a decision ({len(self.decisions)}), got {len(chosen)}")
        return chosen

    def _check_range(self, chosen: tuple[int, ...]) -> None:
        for position, decision in zip(chosen, self.decisions, strict=True):
            if not 0 <= position < len(decision.values):
                raise ValueError(f"{decision.name}: index must be from 0 to {len(decision.values) - 1}, got {position}")

    def chosen(self, indices: Sequence[int]) -> tuple[StageSpec | None, ...]:
        """What each of the space's stages is under these indices; None where it vanishes.

        Raises:
            ValueError: where there is not one index a decision, or one is outside its decision.
        """
        chosen = self._positions(indices)
        try:
            return tuple(known[chosen[part]] for part, known in self._decoded)
        except KeyError:
            self._check_range(chosen)
            stages = []
            for choices, (part, known) in zip(self.stages, self._decoded, strict=True):
                stages.append(known.setdefault(chosen[part], choices.decode(chosen[part])))
            return tuple(stages)

    def decode(self, indices: Sequence[int]) -> ArchSpec:
        """The network that these indices mean.

        Raises:
            ValueError: where there is not one index a decision, or one is outside its decision.
        """
        stages = self.chosen(indices)
        return ArchSpec(stages=tuple(stage for stage in stages if stage is not None), **self._frame)

    def _read(self, arch: ArchSpec) -> tuple[tuple[int, ...] | None, str]:
        for name, wanted in self._frame.items():
            if getattr(arch, name) != wanted:
                return None, f"{name} must be {wanted}, got {getattr(arch, name)}"
        layers = layer_sequence(arch)
        found, read = read_sequence(self.stages, layers, self.stem.width)
        if found is not None:
            return found, ""
        if read == len(layers):
            return None, f"it ends after {read} layers where more must follow"
        return None, f"layer {read + 1} of {len(layers)} fits no choice, got {layers[read]}"

    def _why_not(self, arch: ArchSpec) -> str:
        return self._read(arch)[1]

    def encode(self, arch: ArchSpec) -> tuple[int, ...]:
        """The lexicographically smallest indices that mean this network, however `arch` describes it.

        Raises:
            ValueError: where the network is not in the space; the message says what does not fit.
        """
        found, why_not = self._read(arch)
        if found is None:
            raise ValueError(f"the network is not in space {self.name}: {why_not}")
        return found

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, ArchSpec) and self._read(arch)[0] is not None

    def active(self, indices: Sequence[int]) -> tuple[bool, ...]:
        """Which decisions have a meaning under these indices: not those of a vanished stage, save its depth, nor a
        setting that the chosen op ties or does not have."""
        chosen = self._positions(indices)
        self._check_range(chosen)
        stages = zip(self.stages, self._parts, strict=True)
        return tuple(flag for stage, part in stages for flag in stage.active(chosen[part]))

    def canonical(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The smallest indices that mean the same network: equal for all descriptions of it."""
        return self.encode(self.decode(indices))

    def unrounded(self, arch: ArchSpec) -> tuple[ArchSpec, Unrounded]:
        """`arch` with its stages as this space has them, and their widths and depths before rounding.

        Raises:
            ValueError: where the network is not in the space.
        """
        indices = self.encode(arch)
        widths, depths = [], []
        for choices, part in zip(self.stages, self._parts, strict=True):
            stage = choices.decode(indices[part])
            if stage is not None:
                by_width = dict(zip(choices.width, choices.unrounded_width, strict=bool(choices.unrounded_width)))
                by_depth = dict(zip(choices.depth, choices.unrounded_depth, strict=bool(choices.unrounded_depth)))
                widths.append(by_width.get(stage.width, float(stage.width)))
                depths.append(by_depth.get(stage.depth))
        return self.decode(indices), Unrounded(widths=tuple(widths), depths=tuple(depths))

    def sample(self, rng: random.Random) -> ArchSpec:
        """A network, each decision drawn uniformly and on its own: uniform over indices, and so not over networks
        where several indices mean one."""
        return self.decode(draw(self.decisions, rng))

    def mutate(self, arch: ArchSpec, rng: random.Random) -> ArchSpec:
        """Another network, by changing one active decision of `arch`; see `variation.mutate`.

        Raises:
            ValueError: where `arch` is not in the space, or no other network was found.
        """
        mutant = mutate(self, self.encode(arch), rng)
        if mutant is None:
            raise ValueError(f"no other network found in {MAX_TRIES} changes; space {self.name} holds {self.size()}")
        return self.decode(mutant)

    def cross_over(self, first: ArchSpec, second: ArchSpec, rng: random.Random) -> ArchSpec:
        """A network that takes each decision from one of two parents; see `variation.cross_over`.

        Raises:
            ValueError: where a parent is not in the space.
        """
        return self.decode(cross_over(self, self.encode(first), self.encode(second), rng))

    @property
    def num_encodings(self) -> int:
        """How many index tuples there are: the product over decisions, at least `size()`."""
        return math.prod(len(decision.values) for decision in self.decisions)

    def size(self) -> int:
        """How many different networks the space holds (different `arch.key`): exact."""
        return self._size

    @cached_property
    def _size(self) -> int:
        return count_sequences(self.stages, self.stem.width)

    def with_num_classes(self, num_classes: int) -> "Space":
        """The same space for a data set of so many classes."""
        return replace(
            self,
            head=replace(self.head, num_classes=num_classes),
            reference=self.reference.with_num_classes(num_classes),
        )

    def to_json(self) -> str:
        """This space on one line, keys sorted, as a user's file may have it."""
        data = asdict(self)
        for stage, choices in zip(data["stages"], self.stages, strict=True):
            tied = [
                {name: value for name, value in asdict(block).items() if value is not None} for block in choices.blocks
            ]
            stage["op"] = [block if len(block) > 1 else block["op"] for block in tied]
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote (or a person did: a single value may stand for a list of one, an op's name for a
        block choice).

        Raises:
            ValueError: for text that is no JSON, an unknown or missing field, or a value that breaks a rule; the
                message names the field, the rule and the value.
        """
        from search_space.files import parse_json

        return parse_json(cls, text)
