"""How long a training is. No torch here."""

import re
from dataclasses import dataclass, replace
from typing import Self

from nas.duration import UNITS, told

__all__ = ["TrainLength"]

MOST = 1e9


@dataclass(frozen=True, kw_only=True)
class TrainLength:
    """Steps, epochs, or a budget of wall clock: the steps that fit `seconds`, which are not known before they are
    measured (nas/train/budget.py). A search's short training never has one, which would count step time twice."""

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = [amount for amount in (self.steps, self.epochs, self.seconds) if amount is not None]
        if not given or (self.epochs is not None and len(given) > 1):
            raise ValueError("TrainLength takes either steps or epochs, or seconds and the steps that fit them")
        for amount in given:
            if not 0 < amount < MOST:
                raise ValueError(f"TrainLength must be above 0, got {amount}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`450` is steps, `2ep` or `0.5ep` epochs."""
        if re.fullmatch(r"\d+", text):
            return cls(steps=int(text))
        match = re.fullmatch(r"(\d+(?:\.\d+)?)ep", text)
        if match is None:
            raise ValueError(f"a training's length must be steps (450) or epochs (2ep), got {text!r}")
        return cls(epochs=float(match[1]))

    @classmethod
    def of_budget(cls, text: str) -> Self:
        """`30ep` epochs, `5000st` steps, `90s`, `30m`, `2h`, `1d` of wall clock."""
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ep|st|s|m|min|h|d)", text.strip().lower())
        if match is None or (match[2] == "st" and "." in match[1]):
            raise ValueError(
                f"a training's budget must be epochs (30ep), steps (5000st) or wall clock (90s, 30m, 2h, 1d), "
                f"got {text!r}"
            )
        number, unit = match.groups()
        amount = float(number) * UNITS.get(unit, 1)
        if not 0 < amount < MOST:
            raise ValueError(
                f"a training's budget must be above 0, and under 1e9 epochs, steps or seconds, got {text!r}"
            )
        match unit:
            case "ep":
                return cls(epochs=amount)
            case "st":
                return cls(steps=int(number))
        return cls(seconds=amount)

    @property
    def is_known(self) -> bool:
        """Whether it can be told in steps."""
        return self.steps is not None or self.epochs is not None

    def measured(self, steps: int) -> Self:
        """The same wall clock with the steps that fit it."""
        return replace(self, steps=steps)

    def in_steps(self, num_images: int, batch_size: int) -> int:
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None, "a budget of wall clock is measured before"
        return max(1, round(self.epochs * num_images / batch_size))

    def __str__(self) -> str:
        if self.epochs is not None:
            return f"{self.epochs:g}ep"
        return str(self.steps) if self.seconds is None else told(self.seconds)
