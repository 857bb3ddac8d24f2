"""Between a run and its sampler: a space as a domain, a record as a history, a config's sampler."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from nas.measure import Prediction
from nas.search.config import SearchConfig
from nas.search.samplers import SAMPLERS, Asked, Costs, Domain, Goal, Outcome, Sampler, Told
from results import Ask, Objective, RunError, TrialResult
from search_space import ArchSpec, Space
from search_space.files import nearest

__all__ = ["history_events", "make_sampler", "outcome_of", "space_domain"]

StepTimes = Callable[[Sequence[ArchSpec]], Sequence[Prediction | None]]
KNOWS_COSTS = "cost-aware"


def make_sampler(
    config: SearchConfig, space: Space, *, image_size: int, objective: Objective, step_times: StepTimes
) -> Sampler[ArchSpec]:
    """The config's sampler, which has been told nothing.

    Step times are predicted for it only where it uses them: what a sampler without a model proposes must not depend on
    what was measured.

    Raises:
        ValueError: for an unknown sampler, or one that cannot search for the config's goal.
    """
    if config.sampler not in SAMPLERS:
        near = nearest(config.sampler, SAMPLERS)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {config.sampler!r}{hint}")
    for_fronts = [name for name, kind in SAMPLERS.items() if kind.FINDS_FRONTS]
    if config.goal == "front" and config.sampler not in for_fronts:
        raise ValueError(f"sampler must be one of {', '.join(for_fronts)} for goal front, got {config.sampler!r}")
    uses_step_times = config.sampler == KNOWS_COSTS or config.max_step_time is not None
    domain = space_domain(space, image_size, step_times if uses_step_times else lambda archs: [None] * len(archs))
    goal = Goal(objective=objective, limits=config.limits(), front=config.goal == "front")
    return SAMPLERS[config.sampler](domain, goal=goal, seed=config.seed)


def space_domain(space: Space, image_size: int, step_times: StepTimes) -> Domain[ArchSpec]:
    """A space as samplers see it: params and MACs of its networks exact, step times as `step_times` predicts them."""

    def costs(archs: Sequence[ArchSpec]) -> list[Costs]:
        found = []
        for arch, predicted in zip(archs, step_times(archs), strict=True):
            params, macs = arch.cost(image_size)
            ratio, low = (predicted.ratio, predicted.low) if predicted else (None, None)
            found.append(Costs(params=params, macs=macs, step_time=ratio, step_time_low=low))
        return found

    return Domain(
        name=space.name,
        decisions=space.decisions,
        decode=space.decode,
        encode=space.encode,
        active=space.active,
        size=space.size(),
        costs=costs,
    )


def outcome_of(trial: TrialResult) -> Outcome:
    """What a sampler is told of a trial."""
    return Outcome(accuracy=trial.accuracy if trial.ok else None, step_time=trial.step_time_ratio)


def history_events(history: Iterable[Ask | TrialResult], space: Space, *, folder: Path) -> Iterator[Asked | Told]:
    """What a sampler was asked and told, as it is on record in a run's `folder`. New trainings of networks are not a
    sampler's business.

    Raises:
        RunError: naming the file, where it holds what is not in the space, a trial is not what was asked for, or one
            network was asked for twice.
    """
    asked: dict[int, tuple[int, ...]] = {}
    networks: set[tuple[int, ...]] = set()
    ended: set[int] = set()
    for event in history:
        try:
            decisions = _checked_decisions(event, asked, networks, ended, space)
        except ValueError as error:
            path = folder / ("asks.jsonl" if isinstance(event, Ask) else "trials.jsonl")
            raise RunError(f"{path}: trial {event.index}: {error}") from None
        if isinstance(event, Ask):
            asked[event.index] = decisions
            networks.add(decisions)
            yield Asked(index=event.index, decisions=decisions)
            continue
        ended.add(event.index)
        if not event.repeat:
            if event.index not in asked:
                yield Asked(index=event.index, decisions=decisions)
            yield Told(index=event.index, outcome=outcome_of(event))


def _checked_decisions(
    event: Ask | TrialResult,
    asked: Mapping[int, tuple[int, ...]],
    networks: Set[tuple[int, ...]],
    ended: Set[int],
    space: Space,
) -> tuple[int, ...]:
    """The decisions of what was asked for or has ended, `asked` (and its `networks`) and `ended` being what came
    before it."""
    if isinstance(event, Ask):
        if event.index in ended:
            raise ValueError(f"was asked for when it had ended, after {event.after} trials")
        if event.decisions in networks:
            raise ValueError(f"its network was asked for before, {event.decisions}")
        space.decode(event.decisions)
        return event.decisions
    if event.index not in asked:
        return space.encode(event.arch)
    decisions = asked[event.index]
    is_asked_for = event.decisions in (None, decisions) and event.key == space.decode(decisions).key
    if event.repeat or not is_asked_for:
        raise ValueError(f"is not of the network that was asked for, {decisions}")
    return decisions
