"""What follows from a config once the space and the data are known."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from nas.data import PreparedData, prepare
from nas.measure import Precision
from nas.search.config import SearchConfig
from nas.search.forecast import Forecast
from nas.search.inherited import SupernetRef
from nas.search.proposals import make_sampler, space_domain
from nas.search.samplers import Goal, ListSampler, Sampler
from results import Limits, Objective, environment
from search_space import ArchSpec, Space

__all__ = ["Plan"]

MIN_ROUNDS = 15


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config with its space (for the data's classes), its data, and what it left open decided.

    `training_seed` is what the seed of each training follows from; `networks`, where given, are trained in their order
    in place of what a sampler would propose. With a `supernet` nothing is trained.
    """

    config: SearchConfig
    space: Space
    data: PreparedData
    image_size: int
    batch_size: int
    steps: int
    training_seed: int
    networks: tuple[ArchSpec, ...] = ()
    supernet: SupernetRef | None = None

    @classmethod
    def of(cls, config: SearchConfig, space: Space) -> Self:
        image_size = config.image_size or space.image_size
        batch_size = config.batch_size or space.batch_size
        data = prepare(config.data_config(image_size))
        steps = config.train_steps(data.counts["train"], batch_size)
        return cls(
            config=config,
            space=space.with_num_classes(data.num_classes),
            data=data,
            image_size=image_size,
            batch_size=batch_size,
            steps=steps,
            training_seed=config.seed,
        )

    @classmethod
    def of_supernet(cls, config: SearchConfig, folder: str) -> Self:
        """Of a config with a supernet, the one in `folder`, which says what is searched and on what."""
        supernet = SupernetRef.find(Path(folder))
        job, space = supernet.job(config.data, config.data_root)
        return cls(
            config=config,
            space=space,
            data=prepare(job.eval_data, max_corrupt=job.max_corrupt),
            image_size=job.recipe.eval_size,
            batch_size=config.batch_size or space.batch_size,
            steps=0,
            training_seed=config.seed,
            supernet=supernet,
        )

    def objective(self) -> Objective:
        return Objective(reference_params=self.space.reference.params, w=self.config.w, v=self.config.v)

    def precision(self) -> Precision:
        """Of a candidate's step time: a tenth of the steps that it is trained for are spent on it, if need be."""
        return Precision(max_rounds=max(MIN_ROUNDS, self.steps // 10))

    def sampler(self, forecast: Forecast) -> Sampler[ArchSpec]:
        """A sampler that has been told nothing. It proposes no network whose predicted step time lies above the limit
        with its whole interval."""
        objective = self.objective()
        if self.networks:
            domain = space_domain(self.space, self.image_size, lambda archs: [None] * len(archs))
            goal = Goal(objective=objective, limits=Limits())
            return ListSampler(self.networks, domain, goal=goal, seed=self.config.seed)
        return make_sampler(
            self.config,
            self.space,
            image_size=self.image_size,
            objective=objective,
            step_times=forecast.step_times,
        )

    def for_record(self) -> dict[str, Any]:
        """All that is needed to resume, and to know later what was done."""
        return {
            "search": json.loads(json.dumps(asdict(self.config), default=str)),
            "space": json.loads(self.space.to_json()),
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "train_steps": self.steps,
            "supernet": self.supernet and self.supernet.for_record(),
            "data": {
                "summary": self.data.summary(),
                "fingerprint": self.data.fingerprint,
                "classes": list(self.data.classes),
            },
            "environment": environment(),
        }
