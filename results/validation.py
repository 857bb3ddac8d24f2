"""Whether a short training ranks networks as a longer one does: rank correlations beside baselines, and a verdict.

Step time and parameters are known before anything is trained, and the reward is made of both: a short training is of
use only where it ranks networks better than they do alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from results.rank_correlation import Correlation, Floats, correlation, resample, resampled_rho, resampled_tau
from results.record import TrialResult
from results.reward import Objective, reward

__all__ = ["MIN_NETWORKS", "Correlation", "NetworkPair", "Ranking", "Regret", "Validation", "Verdict", "validate"]

MIN_NETWORKS = 5
"""Fewer are not compared."""
MIN_TAU, MIN_TAU_LOW, MIN_PROBABILITY = 0.5, 0.3, 0.9
MOST_TIMES = 10


@dataclass(frozen=True, kw_only=True)
class NetworkPair:
    """One network after the short and after the long training. `trial` and `long_trial` are its numbers in the two
    runs. Each reward has the step time that was measured in its own run; `cost_reward` is the short run's reward
    without any training: S^w P^v."""

    trial: int
    long_trial: int
    params: int
    step_time_ratio: float
    short_accuracy: float
    long_accuracy: float
    short_reward: float
    long_reward: float
    cost_reward: float

    @classmethod
    def of(cls, short: TrialResult, long: TrialResult, objective: Objective) -> Self:
        """Of two trials of one network.

        Raises:
            ValueError: where they are of two networks, or one of them was not measured in full.
        """
        if short.key != long.key:
            raise ValueError(f"trials {short.index} and {long.index} must be of one network, got {short.key, long.key}")
        short_reward, long_reward = objective.reward(short), objective.reward(long)
        assert short.accuracy is not None, "a trial with a reward has an accuracy"
        assert short.step_time_ratio is not None, "a trial with a reward has a step time"
        assert long.accuracy is not None, "a trial with a reward has an accuracy"
        params_ratio = objective.params_ratio(short.params)
        return cls(
            trial=short.index,
            long_trial=long.index,
            params=short.params,
            step_time_ratio=short.step_time_ratio,
            short_accuracy=short.accuracy,
            long_accuracy=long.accuracy,
            short_reward=short_reward,
            long_reward=long_reward,
            cost_reward=reward(1.0, short.step_time_ratio, params_ratio, w=objective.w, v=objective.v),
        )


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How well one figure ranks the networks as the long training does.

    Attributes:
        by: the figure.
        order: which of its ends is taken for the better one. For params and step time alone it is the one that agrees
            better with the long training, known only afterwards: the baseline is flattered.
        tau: Kendall's tau-b; None where all networks have one value.
        rho: Spearman's, likewise.
        short_better: share of the resamples in which the short training has the higher tau, a tie counting half; None
            for the short training itself, or where its tau is None.
    """

    by: str
    order: Literal["highest first", "lowest first"]
    tau: Correlation | None
    rho: Correlation | None
    short_better: float | None = None


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What choosing by the short reward costs. `picked` has the highest short reward, `best` the highest long reward;
    `share` of the best long reward is lost, and `rank` is the picked network's by long reward, 1 the best."""

    picked: int
    best: int
    picked_reward: float
    best_reward: float
    share: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the short training is fit for use, and why, a sentence each."""

    fit: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How well the short training ranks the networks of `pairs`; of each list of rankings it is the first, and the
    others are the baselines."""

    pairs: tuple[NetworkPair, ...]
    by_long_accuracy: tuple[Ranking, ...]
    by_long_reward: tuple[Ranking, ...]
    regret: Regret
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


class _Figure(NamedTuple):
    """What networks are ranked by; highest first, or with `either_order` as it agrees better with the long training."""

    by: str
    values: Floats
    either_order: bool = False


def validate(pairs: Sequence[NetworkPair], *, seed: int = 0) -> Validation:
    """Rank correlations between the short training and the long one, the same of what is known without training, the
    regret, and the verdict.

    The short training is fit for use where, for the reward, tau is at least MIN_TAU (0.5), the lower end of its
    interval is above MIN_TAU_LOW (0.3), and it has a higher tau than each baseline in at least MIN_PROBABILITY (0.9)
    of the resamples, paired. The figures are conventions, not laws: at tau 0.5 three of four pairs of networks are in
    the right order.

    Resamples are of networks; one in which a figure is the same for all of its networks is drawn again.

    Raises:
        ValueError: for fewer than MIN_NETWORKS networks, or a network given twice.
    """
    if len(pairs) < MIN_NETWORKS:
        raise ValueError(f"validate needs at least {MIN_NETWORKS} networks measured in full, got {len(pairs)}")
    if len({pair.trial for pair in pairs}) < len(pairs):
        raise ValueError("validate takes each network once")
    figures = {
        name: np.array([getattr(pair, name) for pair in pairs], dtype=np.float64)
        for name in NetworkPair.__dataclass_fields__
    }
    counts = resample([values for values in figures.values() if np.ptp(values) > 0], len(pairs), seed)
    cost = _Figure("cost alone (S^w P^v)", figures["cost_reward"])
    params = _Figure("params alone", figures["params"], either_order=True)
    step_time = _Figure("step time alone", figures["step_time_ratio"], either_order=True)
    short_accuracy = _Figure("short accuracy", figures["short_accuracy"])
    short_reward = _Figure("short reward", figures["short_reward"])
    by_long_reward = _rankings(short_reward, [cost, params, step_time], figures["long_reward"], counts)
    return Validation(
        pairs=tuple(pairs),
        by_long_accuracy=_rankings(short_accuracy, [params, step_time], figures["long_accuracy"], counts),
        by_long_reward=by_long_reward,
        regret=_regret(pairs),
        verdict=_verdict(len(pairs), *by_long_reward),
    )


def _rankings(short: _Figure, baselines: Iterable[_Figure], target: Floats, counts: Floats) -> tuple[Ranking, ...]:
    first, short_taus = _ranking(short, target, counts)
    rankings = [first]
    for baseline in baselines:
        ranking, taus = _ranking(baseline, target, counts)
        if short_taus is not None:
            # A figure that is the same for all networks ranks none.
            better = 1.0 if taus is None else float(np.mean((short_taus > taus) + 0.5 * (short_taus == taus)))
            ranking = replace(ranking, short_better=better)
        rankings.append(ranking)
    return tuple(rankings)


def _ranking(figure: _Figure, target: Floats, counts: Floats) -> tuple[Ranking, Floats | None]:
    """A ranking, and its tau in each resample."""
    from scipy import stats

    if np.ptp(figure.values) == 0 or np.ptp(target) == 0:
        return Ranking(by=figure.by, order="highest first", tau=None, rho=None), None
    lowest_first = figure.either_order and stats.kendalltau(figure.values, target).statistic < 0
    values = -figure.values if lowest_first else figure.values
    taus = resampled_tau(values, target, counts)
    tau = stats.kendalltau(values, target, variant="b").statistic
    rho = stats.spearmanr(values, target).statistic
    ranking = Ranking(
        by=figure.by,
        order="lowest first" if lowest_first else "highest first",
        tau=correlation(tau, taus),
        rho=correlation(rho, resampled_rho(values, target, counts)),
    )
    return ranking, taus


def _regret(pairs: Sequence[NetworkPair]) -> Regret:
    picked = max(pairs, key=lambda pair: (pair.short_reward, -pair.trial))
    best = max(pairs, key=lambda pair: (pair.long_reward, -pair.trial))
    return Regret(
        picked=picked.trial,
        best=best.trial,
        picked_reward=picked.long_reward,
        best_reward=best.long_reward,
        share=1 - picked.long_reward / best.long_reward if best.long_reward else 0.0,
        rank=1 + sum(pair.long_reward > picked.long_reward for pair in pairs),
    )


def _verdict(num_networks: int, short: Ranking, *baselines: Ranking) -> Verdict:
    tau = short.tau
    if tau is None:
        return Verdict(fit=False, reasons=("the short or the long reward is the same for all networks: none ranks",))
    against = [reason for reason in (_too_low(num_networks, tau), _not_sure(num_networks, tau)) if reason]
    against += [reason for baseline in baselines if (reason := _no_better(num_networks, tau, baseline))]
    if against:
        return Verdict(fit=False, reasons=tuple(against))
    least = min(baseline.short_better or 0.0 for baseline in baselines)
    return Verdict(
        fit=True,
        reasons=(
            f"tau of the reward is {tau}: at least {MIN_TAU}, and above {MIN_TAU_LOW} with its whole interval",
            f"it ranks better than each baseline (probability at least {least:.3f})",
        ),
    )


def _too_low(num_networks: int, tau: Correlation) -> str | None:
    if tau.value >= MIN_TAU:
        return None
    undecided = f": not decided with {num_networks} networks" if tau.high > MIN_TAU else ""
    return f"tau of the reward is {tau}, below {MIN_TAU}{undecided}"


def _not_sure(num_networks: int, tau: Correlation) -> str | None:
    if tau.low > MIN_TAU_LOW:
        return None
    if tau.value < MIN_TAU:
        return f"the lower end of tau's interval is {tau.low:.2f}, not above {MIN_TAU_LOW}"
    needed = _needed(num_networks, (tau.value - tau.low) / (tau.value - MIN_TAU_LOW))
    return (
        f"that tau of the reward is above {MIN_TAU_LOW} is not shown with {num_networks} networks (the interval's "
        f"lower end is {tau.low:.2f}): where it stays {tau.value:.2f}, {needed} are needed"
    )


def _no_better(num_networks: int, tau: Correlation, baseline: Ranking) -> str | None:
    probability = baseline.short_better
    if probability is None or probability >= MIN_PROBABILITY:
        return None
    its_tau = "none" if baseline.tau is None else f"{baseline.tau.value:.2f}"
    compared = f"{baseline.by} (tau {its_tau} to the short training's {tau.value:.2f})"
    if probability <= 0.5:
        return f"{compared} ranks as well without any training, or better"
    needed = _needed(num_networks, NormalDist().inv_cdf(MIN_PROBABILITY) / NormalDist().inv_cdf(probability))
    return (
        f"that it ranks better than {compared} is not shown with {num_networks} networks (probability "
        f"{probability:.3f}, below {MIN_PROBABILITY}): {needed} are needed"
    )


def _needed(num_networks: int, narrower: float) -> str:
    """How many networks make an interval `narrower` times as narrow: widths go with 1 / sqrt(k)."""
    needed = max(num_networks + 1, math.ceil(num_networks * narrower**2))
    most = MOST_TIMES * num_networks
    return f"more than {most}" if needed > most else f"some {needed}"
