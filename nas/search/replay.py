"""Replaying a run: its sampler is asked and told again what is on record, in the same order, without any training."""

from dataclasses import dataclass

from nas.measure import read_calibration
from nas.search.driver import CALIBRATION
from nas.search.forecast import Forecast
from nas.search.proposals import history_events, make_sampler
from nas.search.run import check_asks, recorded
from nas.search.samplers import SpaceExhausted
from results import Run, RunError, TrialResult

__all__ = ["Replay", "replay"]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The first `num_same` proposals on record are what the sampler proposes again; `differs` says how the next one is
    not, None where all are. `num_untold` trials, of an older version, are on record without what they were asked
    after: they are taken as they are."""

    num_same: int
    num_untold: int
    differs: str | None


def replay(run: Run) -> Replay:
    """Ask the run's sampler again, up to the first proposal that differs.

    Raises:
        RunError: for a damaged run, or one whose networks no sampler proposed.
    """
    if "validation" in run.config:
        raise RunError(f"{run.folder}: is a validation: its networks were chosen beforehand")
    config, space = recorded(run)
    image_size = run.config.get("image_size")
    if not isinstance(image_size, int) or isinstance(image_size, bool) or image_size < 1:
        raise RunError(f"{run.folder / 'config.json'}: image_size must be an integer above 0, got {image_size!r}")
    forecast = Forecast()
    calibration = read_calibration(run.folder / CALIBRATION)
    if calibration is not None:
        forecast.begin(calibration, [])
    sampler = make_sampler(
        config, space, image_size=image_size, objective=run.objective, step_times=forecast.step_times
    )
    check_asks(run)
    for _ in history_events(run.history, space, folder=run.folder):
        pass  # what contradicts itself is an error
    num_same = num_untold = 0
    known: set[int] = set()
    for event in run.history:
        if isinstance(event, TrialResult):
            forecast.learn(event)
            events = list(history_events([event], space, folder=run.folder))
            if event.index in known:
                events = events[1:]
            elif events:
                num_untold += 1
            sampler.recover(events)
            continue
        try:
            proposed: tuple[int, ...] | str = sampler.ask(event.index).decisions
        except SpaceExhausted as exhausted:
            proposed = str(exhausted)
        if proposed != event.decisions:
            differs = f"trial {event.index}: on record is {event.decisions}, proposed is {proposed}"
            return Replay(num_same=num_same, num_untold=num_untold, differs=differs)
        known.add(event.index)
        num_same += 1
    return Replay(num_same=num_same, num_untold=num_untold, differs=None)
