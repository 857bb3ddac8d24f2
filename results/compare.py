"""Two runs side by side, where they compare at all."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from results.columns import COLUMNS
from results.conditions import check_comparable, common_device, other_settings
from results.devices import by_device
from results.intervals import Spread
from results.networks import Network, networks
from results.pareto import best_network, hypervolume, pareto_front
from results.question import Asked, Question
from results.tables import plain, text_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from results.store import Run

__all__ = ["ComparedRun", "Comparison", "Difference", "compare"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of b less a over the `count` networks that both runs measured; `half` of its 95 % interval, by Student's t
    of the differences, None where there are fewer than two."""

    mean: float
    half: float | None
    count: int

    @classmethod
    def of(cls, differences: Sequence[float]) -> "Difference | None":
        if not differences:
            return None
        spread, count = Spread.pooled([differences]), len(differences)
        half = None if spread is None else spread.half_width(count)
        return cls(mean=math.fsum(differences) / count, half=half, count=count)


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """What a run found on the device that is compared on. `num_ok` are its trials there that were measured in full,
    `device_seconds` what all of its trials took; `networks` are those within the limits asked."""

    name: str
    num_trials: int
    num_ok: int
    device_seconds: float
    networks: tuple[Network, ...]
    best: Network | None
    front: tuple[Network, ...]
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs of one data set, image size, batch size, dtype and reference network, on one device, asked one question.

    Attributes:
        device: name of the device.
        question: what both are asked.
        a, b: what each found.
        settings: what else differs in their records: (name, of a, of b).
        notes: what a reader must know, one line each.
    """

    device: str
    question: Question
    a: ComparedRun
    b: ComparedRun
    settings: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]

    def pairs(self) -> list[tuple[Network | None, Network | None]]:
        """Each network in a and in b, None where a run has not measured it: those of a first, by their trials."""
        of_b = {network.key: network for network in self.b.networks}
        in_a = [(network, of_b.pop(network.key, None)) for network in self.a.networks]
        return [*in_a, *((None, network) for network in of_b.values())]

    def difference(self, field: str) -> Difference | None:
        """Of `accuracy`, `step_time_ratio` or `reward`, over the networks in both runs; None where there are none."""
        both = [(a, b) for a, b in self.pairs() if a and b]
        return Difference.of([getattr(b, field) - getattr(a, field) for a, b in both])

    def frame(self) -> "DataFrame":
        """A row for each network of either run, those of a first; columns are in `results.COLUMNS["comparison"]`."""
        from results.frames import frame_of

        pairs, columns = self.pairs(), COLUMNS["comparison"]
        fronts = {"a": {one.key for one in self.a.front}, "b": {one.key for one in self.b.front}}

        def value(name: str, a: Network | None, b: Network | None) -> Any:
            field, _, of = name.rpartition("_")
            if of == "difference":
                return getattr(b, field) - getattr(a, field) if a and b else None
            if of not in fronts:
                return getattr(a or b, name)
            network = a if of == "a" else b
            if network is None:
                return None
            return network.key in fronts[of] if field == "on_front" else getattr(network, field)

        return frame_of(columns, {one.name: [value(one.name, *pair) for pair in pairs] for one in columns})

    def rows(self) -> Iterator[tuple[str, ...]]:
        """What is compared, of a and of b, as text."""
        runs = (self.a, self.b)
        yield ("trials", *(f"{run.num_trials}, {run.num_ok} measured in full here" for run in runs))
        yield ("device time", *(f"{run.device_seconds:.0f} s" for run in runs))
        yield ("networks within the limits", *(str(len(run.networks)) for run in runs))
        yield ("on the front", *(str(len(run.front)) for run in runs))
        yield ("hypervolume", *(f"{run.hypervolume:.4f}" for run in runs))
        yield ("best reward", *(_best_text(run.best) for run in runs))
        yield ("best network", *(str(run.best.arch) if run.best else "-" for run in runs))
        yield from self.settings

    def told(self) -> Iterator[str]:
        """What stands below the table, a line each."""
        accuracy, ratio = self.difference("accuracy"), self.difference("step_time_ratio")
        if accuracy is None or ratio is None:
            yield "no network was measured in both runs"
        else:
            both = f"{accuracy.count} {'network' if accuracy.count == 1 else 'networks'} in both"
            interval = "" if accuracy.half is None else " (means, +- half of the 95 % interval)"
            differences = f"accuracy {_signed(accuracy, 100)} points, step time {_signed(ratio, 1)} x"
            yield f"{both}, b less a: {differences}{interval}"
        yield "one run each: with another seed each would find other networks, and another hypervolume"
        yield from self.notes

    def __str__(self) -> str:
        headers = ("", f"a: {self.a.name!r}", f"b: {self.b.name!r}")
        told = [f"on {self.device!r}, asked: {self.question}", text_table(headers, self.rows(), left=headers)]
        return "\n".join([*told, "", *map(plain, self.told())])

    def _repr_html_(self) -> str:
        from results.html import comparison_html

        return comparison_html(self)


def compare(a: "Run", b: "Run", *, device: str | None = None, **asked: Unpack[Asked]) -> Comparison:
    """`a` and `b` on `device` (None: the only one that both have), asked the question of `a`, or as `asked`.

    Raises:
        ValueError: where they do not compare, saying by what.
    """
    check_comparable(a, b)
    device = common_device(a, b, device)
    question = a.question.changed(**asked)
    names = [run.folder.absolute().name for run in (a, b)]
    if names[0] == names[1]:
        names = [str(run.folder) for run in (a, b)]
    return Comparison(
        device=device,
        question=question,
        a=_compared(a, names[0], device, question),
        b=_compared(b, names[1], device, question),
        settings=tuple(other_settings(a, b)),
        notes=tuple(_notes(a, b, question)),
    )


def _compared(run: "Run", name: str, device: str, question: Question) -> ComparedRun:
    trials = by_device(run.trials)[device]
    found = networks(trials, question.objective, question.limits)
    return ComparedRun(
        name=name,
        num_trials=len(run.trials),
        num_ok=len(trials),
        device_seconds=sum(trial.device_seconds for trial in run.trials),
        networks=tuple(found),
        best=best_network(found),
        front=tuple(pareto_front(found)),
        hypervolume=hypervolume(found, question.objective.reference_params),
    )


def _notes(a: "Run", b: "Run", question: Question) -> Iterator[str]:
    for name, run in (("a", a), ("b", b)):
        for note in (question.told(run.question), question.never_trained(run.limits)):
            if note:
                yield f"{name}: {note}"
        if run.state.name != "ended":
            yield f"{name}: {run.state}"
        yield from (f"{name}: {note}" for note in run.notes)


def _best_text(best: Network | None) -> str:
    if best is None:
        return "-"
    final = best.final
    sure = f"confirmed {final.num_trainings} x" if final.confirmed else "not confirmed"
    return f"{final.reward:.4f} (trial {best.trial}, {sure})"


def _signed(difference: Difference, times: float) -> str:
    half = "" if difference.half is None else f" +- {times * difference.half:.3g}"
    return f"{times * difference.mean:+.3g}{half}"
