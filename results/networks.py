"""The networks of a run, and how sure what is known of each is: all rankings are of these.

A trial is one training of a network; a network that was trained again with new seeds (`repeat` >= 1) is *confirmed*.

Estimates
    A confirmed network's come from its repeats alone: the search's own trial was chosen for being high, so it is too
    high on average (the winner's curse). Any other network's come from its one trial, and share that bias where they
    rank high. Accuracy is the mean, the step time ratio the geometric mean, the reward that of these two and params.
Spread of trainings
    Standard deviations of accuracy, log ratio and log reward within networks over their repeats, pooled over all
    confirmed networks of the device, with sum(n - 1) degrees of freedom (df), and at least one held-out image (few
    trainings on few images may agree by chance). Without two repeats of any one network,
    df is 0 and the spread not known. It is taken to be the same for every network, also for those trained once.
Supernets
    Where a supernet judged the networks of a search, what is said above holds for the trials that it judged, and a
    network's trainings alone are a network of their own: `alone` (from random weights), `inherited` (from the
    supernet's). Accuracies of the three do not compare.
Intervals, of 95 %
    t s / sqrt(n), by Student's t with df. The accuracy's adds in quadrature the chance of which images were held out,
    which all trainings share (Wilson's interval; alone where df is 0). The step time's half-width is the wider of that
    and of the measurements' own (alone where df is 0; it does not narrow with n, as its errors may be shared). The
    reward's is None where df is 0, and holds for the run's held-out images.
Comparison
    Of the confirmed networks within the limits by log reward, where there are two and df is at least 1: `p_best` is the
    probability of having the highest mean reward (`results.intervals.chances_to_be_best`), and `tied` says that the
    difference to the best is at most t s sqrt(1/n + 1/n_best), each network tested alone. Both compare on the run's
    held-out images, the same for all: on others the order may differ.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self

from results.devices import by_device, one_device
from results.intervals import Spread, chances_to_be_best, wilson_interval
from results.limits import Limits
from results.record import TrialResult, Weights
from results.reward import Objective
from search_space.spec import ArchSpec

__all__ = ["Network", "networks", "networks_by_device"]

LEAST_ACCURACY = 1e-4
"""What an accuracy of 0 counts as where a logarithm is taken."""
WIDEST = 700.0
"""Half of an interval of a log reward: beyond it floats end."""
Interval = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of a run on one device, and what its trainings say together; the module says how.

    Attributes:
        trial: index of its first trial.
        device: name of the device.
        accuracy: share of the held-out images, with its interval.
        step_time_ratio: to the reference network, with its interval.
        params: trainable parameters.
        macs: multiply-adds of one image's forward pass at the train size.
        reward: with its interval.
        num_trainings: that the estimates are of: its repeats where it is confirmed, else 1.
        confirmed: whether it was trained again.
        p_best: probability of the highest mean reward of all that are confirmed; None where it is not known.
        tied: whether it is confirmed and cannot be told from the best, or is the best and another cannot be.
        seed: of the first trial's training.
        key: `arch.key`.
        arch: the network.
        alone: what its trainings alone from random weights say, where a supernet judged it and it was confirmed.
        inherited: the same of its trainings from the supernet's weights.
    """

    trial: int
    device: str
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    step_time_ratio: float
    step_time_ratio_low: float | None
    step_time_ratio_high: float | None
    params: int
    macs: int
    reward: float
    reward_low: float | None
    reward_high: float | None
    num_trainings: int
    confirmed: bool
    p_best: float | None = None
    tied: bool = False
    seed: int
    key: str
    arch: ArchSpec
    alone: "Network | None" = None
    inherited: "Network | None" = None

    @property
    def final(self) -> "Network":
        """What counts in the end: its trainings alone, where there are any."""
        return self.alone or self

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


class _Trainings(NamedTuple):
    """The `ok` trials of one network: the first, and those that its estimates come from."""

    first: TrialResult
    counted: Sequence[TrialResult]

    @classmethod
    def of(cls, trials: list[TrialResult]) -> Self:
        if len(trials) == 1:
            return cls(trials[0], trials)
        first, *others = sorted(trials, key=lambda trial: (trial.repeat, trial.index))
        for one, other in zip([first, *others], others, strict=False):
            if one.repeat == other.repeat:
                raise ValueError(
                    f"trials of one network must differ in repeat, got {one.repeat} for trials {one.index} and "
                    f"{other.index}"
                )
        return cls(first, [trial for trial in trials if trial.repeat] or [first])

    @property
    def confirmed(self) -> bool:
        return self.counted[0].repeat > 0

    @property
    def accuracies(self) -> list[float]:
        return [trial.accuracy for trial in self.counted if trial.accuracy is not None]

    @property
    def ratios(self) -> list[float]:
        return [trial.step_time_ratio for trial in self.counted if trial.step_time_ratio is not None]


class _Spreads(NamedTuple):
    """Of trainings: of accuracy, log step time ratio and log reward; None where the spread is not known."""

    accuracy: Spread | None
    log_ratio: Spread | None
    log_reward: Spread | None

    @classmethod
    def over(cls, confirmed: Sequence[_Trainings], objective: Objective) -> Self:
        trials = [trial for one in confirmed for trial in one.counted]
        image = max((1 / trial.num_evaluated for trial in trials if trial.num_evaluated), default=0.0)
        accuracy = _mean([trial.accuracy or 0.0 for trial in trials]) if trials else 1.0
        return cls(
            Spread.pooled((one.accuracies for one in confirmed), least=image),
            Spread.pooled([math.log(ratio) for ratio in one.ratios] for one in confirmed),
            Spread.pooled(
                (
                    [
                        _log_reward(objective, accuracy, ratio, one.first.params)
                        for accuracy, ratio in zip(one.accuracies, one.ratios, strict=True)
                    ]
                    for one in confirmed
                ),
                least=image / max(accuracy, image, LEAST_ACCURACY),
            ),
        )


def networks(trials: Iterable[TrialResult], objective: Objective, limits: Limits | None = None) -> list[Network]:
    """The networks of the `ok` trials that are within `limits`, by their first trial.

    Raises:
        ValueError: where the `ok` trials are of more than one device, or one training of a network is there twice.
    """
    measured = one_device(trial for trial in trials if trial.ok)
    judged = [trial for trial in measured if trial.weights is Weights.SUPERNET]
    if not judged:
        return _networks(measured, objective, limits or Limits())
    alone, inherited = (
        {
            network.key: network
            for network in _networks([trial for trial in measured if trial.weights is weights], objective, Limits())
        }
        for weights in (Weights.OWN, Weights.INHERITED)
    )
    return [
        replace(
            network,
            alone=_numbered(alone.get(network.key), network.trial),
            inherited=_numbered(inherited.get(network.key), network.trial),
        )
        for network in _networks(judged, objective, limits or Limits())
    ]


def _numbered(network: Network | None, trial: int) -> Network | None:
    return None if network is None else replace(network, trial=trial)


def _networks(trials: Iterable[TrialResult], objective: Objective, limits: Limits) -> list[Network]:
    """Of trials whose accuracies compare."""
    groups: dict[str, list[TrialResult]] = {}
    for trial in trials:
        groups.setdefault(trial.key, []).append(trial)
    trainings = [_Trainings.of(group) for group in groups.values()]
    spreads = _Spreads.over([one for one in trainings if one.confirmed], objective)
    found = []
    for one in trainings:
        accuracy, ratio = _mean(one.accuracies), _geometric_mean(one.ratios)
        if limits.keep(accuracy=accuracy, step_time_ratio=ratio, params=one.first.params):
            found.append(_network(one, accuracy, ratio, objective, spreads))
    return _compared(sorted(found, key=lambda network: network.trial), objective, spreads.log_reward)


def networks_by_device(
    trials: Iterable[TrialResult], objective: Objective, limits: Limits | None = None
) -> dict[str, list[Network]]:
    """`networks` of each device that has `ok` trials, in the order of `by_device`; empty where none of a device's is
    within `limits`."""
    return {device: networks(group, objective, limits) for device, group in by_device(trials).items()}


def _network(trainings: _Trainings, accuracy: float, ratio: float, objective: Objective, spreads: _Spreads) -> Network:
    first, num = trainings.first, len(trainings.counted)
    reward = objective.weigh(accuracy, ratio, first.params)
    reward_low, reward_high = _reward_interval(reward, num, spreads.log_reward)
    accuracy_low, accuracy_high = _accuracy_interval(trainings, accuracy, spreads.accuracy)
    ratio_low, ratio_high = _ratio_interval(trainings, ratio, spreads.log_ratio)
    return Network(
        trial=first.index,
        device=first.device,
        accuracy=accuracy,
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        step_time_ratio=ratio,
        step_time_ratio_low=ratio_low,
        step_time_ratio_high=ratio_high,
        params=first.params,
        macs=first.macs,
        reward=reward,
        reward_low=reward_low,
        reward_high=reward_high,
        num_trainings=num,
        confirmed=trainings.confirmed,
        seed=first.seed,
        key=first.key,
        arch=first.arch,
    )


def _mean(values: Sequence[float]) -> float:
    return values[0] if len(values) == 1 else math.fsum(values) / len(values)


def _geometric_mean(values: Sequence[float]) -> float:
    return values[0] if len(values) == 1 else math.exp(_mean([math.log(value) for value in values]))


def _log_reward(objective: Objective, accuracy: float, ratio: float, params: int) -> float:
    log_cost = objective.w * math.log(ratio) + objective.v * math.log(objective.params_ratio(params))
    return math.log(max(accuracy, LEAST_ACCURACY)) + log_cost


def _accuracy_interval(trainings: _Trainings, accuracy: float, spread: Spread | None) -> Interval:
    """None where the number of images is not known."""
    num_images = min(trial.num_evaluated or 0 for trial in trainings.counted)
    if not num_images:
        return None, None
    low, high = wilson_interval(accuracy, num_images)
    if spread is None:
        return low, high
    half = spread.half_width(len(trainings.counted))
    return max(0.0, accuracy - math.hypot(accuracy - low, half)), min(1.0, accuracy + math.hypot(high - accuracy, half))


def _ratio_interval(trainings: _Trainings, ratio: float, spread: Spread | None) -> Interval:
    """None where neither the spread nor any measurement's own interval is known."""
    own = [
        (trial.step_time_ratio_low / trial.step_time_ratio, trial.step_time_ratio_high / trial.step_time_ratio)
        for trial in trainings.counted
        if trial.step_time_ratio and trial.step_time_ratio_low and trial.step_time_ratio_high
    ]
    if spread is None:
        (only,) = trainings.counted
        return only.step_time_ratio_low, only.step_time_ratio_high
    factor = math.exp(spread.half_width(len(trainings.counted)))
    low = min(1 / factor, _geometric_mean([below for below, _ in own]) if own else 1.0)
    high = max(factor, _geometric_mean([above for _, above in own]) if own else 1.0)
    return ratio * low, ratio * high


def _reward_interval(reward: float, num: int, spread: Spread | None) -> Interval:
    if spread is None:
        return None, None
    factor = math.exp(min(spread.half_width(num), WIDEST))
    return reward / factor, min(reward * factor, sys.float_info.max)


def _compared(found: list[Network], objective: Objective, spread: Spread | None) -> list[Network]:
    """With `p_best` and `tied` of those that are confirmed."""
    confirmed = [network for network in found if network.confirmed]
    if spread is None or len(confirmed) < 2:
        return found
    logs = [_log_reward(objective, network.accuracy, network.step_time_ratio, network.params) for network in confirmed]
    counts = [network.num_trainings for network in confirmed]
    best = max(range(len(confirmed)), key=lambda number: (confirmed[number].reward, -number))
    tied = [
        number != best and abs(logs[best] - log) <= spread.half_width(count, counts[best])
        for number, (log, count) in enumerate(zip(logs, counts, strict=True))
    ]
    tied[best] = any(tied)
    chances = chances_to_be_best(logs, counts, spread)
    compared = {
        network.trial: replace(network, p_best=chance, tied=is_tied)
        for network, chance, is_tied in zip(confirmed, chances, tied, strict=True)
    }
    return [compared.get(network.trial, network) for network in found]
