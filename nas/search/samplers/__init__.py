"""Samplers by name. Adding one is a file and a row of `SAMPLERS`; the contract test finds it by itself."""

from nas.search.samplers._base import Candidate, Refusal, Sampler, SpaceExhausted
from nas.search.samplers._list import ListSampler
from nas.search.samplers._optuna import TPESampler
from nas.search.samplers._random import RandomSampler

__all__ = [
    "SAMPLERS",
    "Candidate",
    "ListSampler",
    "RandomSampler",
    "Refusal",
    "Sampler",
    "SpaceExhausted",
    "TPESampler",
]

SAMPLERS: dict[str, type[Sampler]] = {"random": RandomSampler, "tpe": TPESampler}
