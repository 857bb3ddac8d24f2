"""Samplers by name. Adding one is a file and a row of `SAMPLERS`; the contract test finds it by itself."""

from typing import Any

from nas.search.samplers._base import Asked, Sampler, SpaceExhausted, Told
from nas.search.samplers._cost_aware import CostAwareSampler
from nas.search.samplers._domain import Candidate, Costs, Domain, Goal, Outcome, Refusal
from nas.search.samplers._evolution import EvolutionSampler
from nas.search.samplers._list import ListSampler
from nas.search.samplers._optuna import NSGA2Sampler, TPESampler
from nas.search.samplers._random import RandomSampler

__all__ = [
    "SAMPLERS",
    "Asked",
    "Candidate",
    "CostAwareSampler",
    "Costs",
    "Domain",
    "EvolutionSampler",
    "Goal",
    "ListSampler",
    "NSGA2Sampler",
    "Outcome",
    "RandomSampler",
    "Refusal",
    "Sampler",
    "SpaceExhausted",
    "TPESampler",
    "Told",
]

SAMPLERS: dict[str, type[Sampler[Any]]] = {
    "cost-aware": CostAwareSampler,
    "random": RandomSampler,
    "evolution": EvolutionSampler,
    "tpe": TPESampler,
    "nsga2": NSGA2Sampler,
}
