"""Which choices of a space matter, as far as a run's trials tell.

A random forest learns accuracy, log step time or reward from the decisions; a decision matters as much as the forest
errs more where that decision's values are shuffled between networks (permutation importance, Breiman 2001), as a share
of the variance over the networks. For the uncertainty all is done again on bootstrap samples of the networks, each
forest judged on the networks that its sample left out: a choice without effect is then about as often below 0 as
above. Of 480 choices of 60 made-up runs (20, 70 or 150 networks) in which nothing matters, 1 was called clear and 1 lay
below 0.

A decision without effect on a network (a kernel of a stage that vanished) says nothing there: it is given the value of
a randomly drawn network in which it has one, so that it cannot stand in for the decision that made it idle.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from results.limits import Limits
from results.networks import Network
from results.store import Run
from search_space.files import parse_json
from search_space.space import Space

__all__ = ["MIN_NETWORKS", "ChoiceImportance", "Importance", "Matter", "importance"]

Matter = Literal["accuracy", "step_time", "reward"]
Floats = NDArray[np.float64]
MIN_NETWORKS = 10
SAMPLES, TREES, SHUFFLES = 40, 20, 5
MOST_JUDGED = 400
"""Networks that a forest is judged on: of 5,000 it takes four times as long to judge on all that were left out."""
LOW, HIGH = 2.5, 97.5
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ChoiceImportance:
    """How much a decision (`stage3.kernel`) matters: the share of the variance that is not told without it, with the
    2.5 and 97.5 % quantiles over the bootstrap samples."""

    decision: str
    share: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval is above 0."""
        return self.low > 0


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The decisions of a space, the one that matters most first.

    Attributes:
        of: what they matter for.
        num_networks: how many networks tell it.
        told: the share of the variance that the forest tells of networks it has not seen (R^2), median over the
            samples; where it is not above 0 nothing can be said of any choice.
    """

    of: Matter
    num_networks: int
    told: float
    choices: tuple[ChoiceImportance, ...]


def importance(run: Run, of: Matter = "accuracy", *, device: str | None = None) -> Importance:
    """How much each decision of the run's space matters for `of`.

    Raises:
        RunError: for a device that the run does not have, or None where it has several.
        ValueError: for another `of`, a run without a space, or under `MIN_NETWORKS` networks with decisions.
    """
    if of not in get_args(Matter):
        raise ValueError(f"of must be one of {', '.join(get_args(Matter))}, got {of!r}")
    space = _space_of(run)
    by_trial = {trial.index: trial.decisions for trial in run.trials}
    networks = [one for one in run.networks(device=device, limits=Limits()) if by_trial[one.trial] is not None]
    if len(networks) < MIN_NETWORKS:
        raise ValueError(
            f"the run must have at least {MIN_NETWORKS} networks that were measured in full and have decisions, "
            f"got {len(networks)}"
        )
    rng = np.random.default_rng(_SEED)
    positions = _positions(space, [by_trial[one.trial] or () for one in networks], rng)
    shares, told = _bootstrap(positions, np.array([_value(one, of) for one in networks]), rng)
    lows, highs = np.percentile(shares, [LOW, HIGH], axis=0)
    choices = [
        ChoiceImportance(decision=decision.name, share=float(share), low=float(low), high=float(high))
        for decision, share, low, high in zip(space.decisions, shares.mean(0), lows, highs, strict=True)
    ]
    choices.sort(key=lambda choice: -choice.share)
    return Importance(of=of, num_networks=len(networks), told=told, choices=tuple(choices))


def _space_of(run: Run) -> Space:
    if run.config.get("space") is None:
        raise ValueError("the run must have a space, whose decisions can matter, got none in its config.json")
    return parse_json(Space, json.dumps(run.config["space"]))


def _value(network: Network, of: Matter) -> float:
    # Costs multiply: of stages, depths and widths.
    return float(np.log(network.step_time_ratio)) if of == "step_time" else getattr(network, of)


def _positions(space: Space, decisions: Sequence[tuple[int, ...]], rng: np.random.Generator) -> Floats:
    """Positions of each network's decisions, shape (networks, decisions), the idle ones drawn from the others."""
    found = np.array([[*chosen] for chosen in decisions], dtype=np.float64)
    active = np.array([space.active(chosen) for chosen in decisions])
    for column in range(found.shape[1]):
        used = found[active[:, column], column]
        idle = ~active[:, column]
        found[idle, column] = rng.choice(used, idle.sum()) if used.size else 0.0
    return found


def _bootstrap(positions: Floats, values: Floats, rng: np.random.Generator) -> tuple[Floats, float]:
    """Shares, shape (samples, decisions), and the median R^2."""
    from sklearn.ensemble import RandomForestRegressor

    variance = float(values.var())
    if variance == 0:
        return np.zeros((SAMPLES, positions.shape[1])), 0.0
    shares, told = [], []
    for _ in range(SAMPLES):
        sample = rng.integers(len(values), size=len(values))
        left_out = np.setdiff1d(np.arange(len(values)), sample)
        left_out = rng.permutation(left_out)[:MOST_JUDGED]
        forest = RandomForestRegressor(TREES, max_features=0.5, random_state=int(rng.integers(1 << 31)))
        forest.fit(positions[sample], values[sample])
        *shuffled, error = shuffled_errors(forest, positions[left_out], values[left_out], rng)
        shares.append((np.array(shuffled) - error) / variance)
        told.append(1 - error / variance)
    return np.array(shares), float(np.median(told))


def shuffled_errors(forest: Any, positions: Floats, values: Floats, rng: np.random.Generator) -> Floats:
    """The forest's mean squared error with each decision shuffled, a mean over `SHUFFLES`, and at the end with none;
    shape (decisions + 1,).

    All in one call of the forest: `sklearn.inspection.permutation_importance` calls it once for each.
    """
    rows, columns = positions.shape
    copies = np.broadcast_to(positions, (columns + 1, SHUFFLES, rows, columns)).copy()
    for column in range(columns):
        copies[column, :, :, column] = rng.permuted(copies[column, :, :, column], axis=1)
    predicted = forest.predict(copies.reshape(-1, columns)).reshape(columns + 1, SHUFFLES, rows)
    return np.asarray(np.mean((predicted - values) ** 2, axis=(1, 2)))
