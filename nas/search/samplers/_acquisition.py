"""What a network that has not been trained may add, where its costs are known and its accuracy is a distribution.

For the reward, whose log is that of accuracy plus what the costs are worth, that is the expected improvement (Jones et
al., 1998). For a front it is the expected growth of hypervolume, which known costs reduce to an integral over the
accuracy alone: at height t, a network of accuracy above t adds the part of its box of costs that no network of accuracy
above t has, and that part is constant between the accuracies of the front. So it is exact.
"""

from itertools import pairwise

import numpy as np
from moocore import is_nondominated
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.search.samplers._belief import Believed
from nas.search.samplers._domain import Goal
from results.pareto import MAXIMISE, WORST_RATIO

__all__ = ["expected_gain", "expected_hypervolume_growth", "expected_improvement", "merit"]

Floats = NDArray[np.float64]

_LEAST = 1e-12


def expected_gain(goal: Goal, believed: Believed, tried: Believed) -> Floats:
    """What each of n networks is expected to add to those that were tried, times the probability that it will be found
    to keep to the limits: (n)."""
    fit = _probability_allowed(goal, believed)
    kept = Believed(*(values[_keeps_to_limits(goal, tried)] for values in tried))
    return fit * (_front_gain(goal, believed, kept) if goal.front else _reward_gain(goal, believed, kept))


def _reward_gain(goal: Goal, believed: Believed, tried: Believed) -> Floats:
    deviation = np.hypot(believed.log_accuracy_deviation, goal.objective.w * believed.log_step_time_deviation)
    mean, known = _log_rewards(goal, believed), _log_rewards(goal, tried)
    if not len(known):
        # Nothing allowed is known yet: any reward at all would be an improvement.
        return np.exp(mean)
    return expected_improvement(mean, deviation, float(known.max()))


def _log_rewards(goal: Goal, believed: Believed) -> Floats:
    objective = goal.objective
    log_params = np.log(believed.params / objective.reference_params)
    rewards: Floats = believed.log_accuracy + objective.w * believed.log_step_time + objective.v * log_params
    return rewards


def _front_gain(goal: Goal, believed: Believed, tried: Believed) -> Floats:
    def costs(of: Believed) -> Floats:
        return np.column_stack([np.exp(of.log_step_time), of.params / goal.objective.reference_params])

    front = np.column_stack([np.minimum(np.exp(tried.log_accuracy), 1.0), costs(tried)])
    worst = np.array([WORST_RATIO, WORST_RATIO])
    deviation = np.maximum(believed.log_accuracy_deviation, _LEAST)
    return expected_hypervolume_growth(believed.log_accuracy, deviation, costs(believed), front, worst)


def merit(goal: Goal, tried: Believed) -> Floats:
    """Where each of n networks that were tried stands, more is better: its log reward; for a front those that no other
    dominates before all others. What is believed to break a limit comes last. (n)"""
    merit = _log_rewards(goal, tried)
    if goal.front and len(merit):
        objectives = np.column_stack([tried.log_accuracy, tried.log_step_time, tried.params])
        merit = np.where(is_nondominated(objectives, maximise=MAXIMISE, keep_weakly=True), merit, merit - 100.0)
    return np.where(_keeps_to_limits(goal, tried), merit, -np.inf)


def _keeps_to_limits(goal: Goal, tried: Believed) -> NDArray[np.bool_]:
    limits = goal.limits
    kept = np.ones(len(tried.params), dtype=bool)
    if limits.max_step_time is not None:
        kept &= tried.log_step_time <= np.log(limits.max_step_time)
    if limits.min_accuracy:
        kept &= tried.log_accuracy >= np.log(limits.min_accuracy)
    return kept


def _probability_allowed(goal: Goal, believed: Believed) -> Floats:
    limits = goal.limits
    probability = np.ones(len(believed.params))
    if limits.max_step_time is not None:
        room = np.log(limits.max_step_time) - believed.log_step_time
        probability *= ndtr(room / np.maximum(believed.log_step_time_deviation, _LEAST))
    if limits.min_accuracy:
        room = believed.log_accuracy - np.log(limits.min_accuracy)
        probability *= ndtr(room / np.maximum(believed.log_accuracy_deviation, _LEAST))
    return probability


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """E[max(0, X - best)] for normal X, elementwise."""
    deviation = np.maximum(deviation, _LEAST)
    z = (mean - best) / deviation
    improvement: Floats = deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return np.maximum(improvement, 0.0)


def expected_hypervolume_growth(
    log_mean: Floats, log_deviation: Floats, costs: Floats, front: Floats, worst: Floats
) -> Floats:
    """Expected growth of the hypervolume by each of n networks alone, (n).

    Args:
        log_mean: of the accuracy's log, which is normal (n); accuracies end at 1.
        log_deviation: its standard deviation, above 0 (n).
        costs: known costs (n, 2), less is better.
        front: accuracy and costs of those that were measured (m, 3); dominated ones do not matter.
        worst: costs (2) from which on nothing counts; of accuracy that is 0.
    """
    growth = np.zeros(len(log_mean))
    levels = np.unique(np.concatenate([[0.0], front[:, 0], [1.0]]))
    for low, high in pairwise(levels):
        areas = _uncovered(costs, front[front[:, 0] >= high, 1:], worst)
        growing = areas > 0
        if growing.any():
            growth[growing] += areas[growing] * _survival(log_mean[growing], log_deviation[growing], low, high)
    return growth


def _survival(log_mean: Floats, log_deviation: Floats, low: float, high: float) -> Floats:
    """The integral of P(A > t) over t from `low` to `high`, for A whose log is normal: (n)."""

    def beyond(t: float) -> tuple[Floats, Floats]:
        """P(A > t), and the share of A's mean that lies beyond t."""
        if t <= 0:
            return np.ones_like(log_mean), np.ones_like(log_mean)
        z = (log_mean - np.log(t)) / log_deviation
        return ndtr(z), ndtr(z + log_deviation)

    (above_low, share_low), (above_high, share_high) = beyond(low), beyond(high)
    mean = np.exp(log_mean + log_deviation**2 / 2)
    integral: Floats = high * above_high - low * above_low + mean * (share_low - share_high)
    return np.maximum(integral, 0.0)


def _uncovered(corners: Floats, others: Floats, worst: Floats) -> Floats:
    """Area of each box from a corner (n, 2) to `worst` that no box from one of `others` (m, 2) covers: (n)."""
    order = np.argsort(others[:, 0], kind="stable")
    # Strips in the first cost: left of the first other nothing is covered, from each on what lies above the lowest.
    edges = np.concatenate([[-np.inf], others[order, 0], [np.inf]])
    ceilings = np.concatenate([[np.inf], np.minimum.accumulate(others[order, 1])])
    widths = np.minimum(edges[1:], worst[0]) - np.maximum(edges[:-1], corners[:, :1])
    heights = np.minimum(ceilings, worst[1]) - corners[:, 1:]
    areas: Floats = (np.maximum(widths, 0.0) * np.maximum(heights, 0.0)).sum(1)
    return areas
