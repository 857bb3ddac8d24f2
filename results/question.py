"""What a run is asked: by which reward its networks are ranked, and what they must keep to."""

from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

from results.limits import Limits
from results.reward import Objective

__all__ = ["Asked", "Question"]

_WORSE = {"max_params": "larger", "min_params": "smaller", "max_step_time": "slower"}


class Asked(TypedDict, total=False):
    """What can be asked of a run in place of its own question; None, or not given, leaves that as the run has it.

    Keys:
        w: exponent of step time in the reward.
        v: exponent of params in the reward.
        max_params: no larger network.
        min_params: no smaller network.
        max_step_time: no slower network, as a ratio to the reference network.
        min_accuracy: no less accurate network, as a share.
        no_limits: drop the run's own limits; those that are given beside it hold.
    """

    w: float | None
    v: float | None
    max_params: int | None
    min_params: int | None
    max_step_time: float | None
    min_accuracy: float | None
    no_limits: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """What networks of a run are ranked by, and what they must keep to."""

    objective: Objective
    limits: Limits

    def changed(
        self,
        *,
        w: float | None = None,
        v: float | None = None,
        max_params: int | None = None,
        min_params: int | None = None,
        max_step_time: float | None = None,
        min_accuracy: float | None = None,
        no_limits: bool = False,
    ) -> "Question":
        """This question with what is given (see `Asked`) in its place.

        Raises:
            ValueError: naming the field, the rule and the value.
        """
        weights = _given(w=w, v=v)
        given = _given(
            max_params=max_params, min_params=min_params, max_step_time=max_step_time, min_accuracy=min_accuracy
        )
        objective, _ = replace(self.objective, **weights), Limits(**given)
        try:
            return Question(objective=objective, limits=replace(Limits() if no_limits else self.limits, **given))
        except ValueError as error:
            raise ValueError(f"{error}; one of them is the run's own, which no_limits drops") from None

    def told(self, searched: "Question") -> str | None:
        """On one line, what is asked and what the search was asked; None where that is the same."""
        return None if self == searched else f"asked anew: {self}; the search was asked: {searched}"

    def __str__(self) -> str:
        limits = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in self._set()]
        return f"w {self.objective.w:g}, v {self.objective.v:g}, {', '.join(limits) or 'no limits'}"

    def _set(self) -> list[tuple[str, float]]:
        return [(name, value) for name, value in asdict(self.limits).items() if value is not None]

    def never_trained(self, searched: Limits) -> str | None:
        """Which networks these limits allow and a search within `searched` did not train; None where there are
        none."""
        looser = self.limits.looser_than(searched)
        if not looser:
            return None
        ran = " and ".join(f"{name} {getattr(searched, name)}" for name in looser)
        worse = " or ".join(_WORSE[name] for name in looser)
        return f"the search ran under {ran}: networks that are {worse} were never trained and cannot be shown"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
