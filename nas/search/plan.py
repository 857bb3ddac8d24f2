"""What follows from a config once the space and the data are known."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from nas.data import PreparedData, prepare
from nas.measure import Precision
from nas.search.config import SearchConfig
from nas.search.forecast import Forecast
from nas.search.inherited import SupernetRef
from nas.search.proposals import make_sampler, space_domain
from nas.search.samplers import Goal, ListSampler, Sampler
from nas.search.task import TrialTask
from nas.train.feed_data import FeedData
from results import Limits, Objective, Weights, environment
from search_space import ArchSpec, Space

__all__ = ["Plan"]

MIN_ROUNDS = 15
JUDGED_ROUNDS = 6
"""Of a candidate that a supernet judges: 2 % of a step time are 0.14 % of a reward, and its accuracy is less sure."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config with its space (for the data's classes), its data, and what it left open decided.

    `training_seed` is what the seed of each training follows from; `networks`, where given, are trained in their order
    in place of what a sampler would propose. A `supernet` judges them, and the best are trained alone at last, for
    `alone_steps`; or their trainings begin with its weights.
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
    alone_steps: int = 0
    judged_on: FeedData | None = None

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
        """Of a config that takes weights of a supernet, the one in `folder`, which says what is searched and on what:
        its trials are scored on what was held out of its training."""
        supernet = SupernetRef.find(Path(folder))
        job, space = supernet.job(config.data, config.data_root)
        fed = FeedData.of(job) if job.data_mode == "cache" else None
        if fed is not None:
            supernet.check_data(fed)
        data = prepare(job.eval_data, max_corrupt=job.max_corrupt)
        batch_size = config.batch_size or space.batch_size
        steps, judges = config.train_steps(data.counts["train"], batch_size), config.supernet is not None
        return cls(
            config=config,
            space=space,
            data=data,
            image_size=job.recipe.eval_size,
            batch_size=batch_size,
            steps=0 if judges else steps,
            training_seed=config.seed,
            supernet=supernet,
            alone_steps=steps if config.confirming().alone else 0,
            judged_on=fed if judges else None,
        )

    def objective(self) -> Objective:
        return Objective(reference_params=self.space.reference.params, w=self.config.w, v=self.config.v)

    def precision(self, weights: Weights) -> Precision:
        """Of a step time: a tenth of the steps that a candidate is trained for are spent on it, if need be."""
        if weights is Weights.SUPERNET:
            return Precision(max_rounds=JUDGED_ROUNDS)
        return Precision(max_rounds=max(MIN_ROUNDS, (self.alone_steps or self.steps) // 10))

    def trial(self, task: TrialTask, weights: Weights) -> TrialTask:
        """The task as one whose accuracy is of such weights."""
        return replace(
            task,
            steps=0 if weights is Weights.SUPERNET else self.alone_steps or self.steps,
            supernet=None if weights is Weights.OWN else self.supernet,
            precision=self.precision(weights),
            prepared=self.data,
            judged_on=self.judged_on if weights is Weights.SUPERNET else None,
        )

    @property
    def weights(self) -> Weights:
        """What the accuracies of the search are of."""
        if self.supernet is None:
            return Weights.OWN
        return Weights.INHERITED if self.steps else Weights.SUPERNET

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
            "alone_steps": self.alone_steps,
            "supernet": self.supernet and self.supernet.for_record(),
            "data": {
                "summary": self.data.summary(),
                "fingerprint": self.data.fingerprint,
                "classes": list(self.data.classes),
            },
            "environment": environment(),
        }
