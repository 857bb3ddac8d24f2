"""The machines of a cluster, which may leave and join while something runs on them; of one that grows more are asked
for."""

import time
from typing import Any

from nas.cluster.own_ray import EngineError
from nas.cluster.session import Node

__all__ = ["LOST_WITHIN_S", "Machines", "NoMachine", "this_node"]

LOST_WITHIN_S = 60.0
"""In so long a cluster knows that a machine has left; its workers are missed at once."""
NONE_FOR_S = 900.0
"""A cloud may take some minutes to put another in the place of one that left."""
LOOK_EVERY_S = 1.0


class NoMachine(EngineError):
    """None is left that could hold a trial."""


class Machines:
    """Those that live, looked at once a second at most; each trial needs `cpus` processors and `gpus` GPUs of one, and
    `wanted` shall run at once."""

    def __init__(self, cpus: int, gpus: float, wanted: int) -> None:
        self._cpus, self._gpus, self._wanted = cpus, gpus, wanted
        self._nodes: list[dict[str, Any]] = []
        self._fit = 0
        self._waiting: list[Any] = []
        self._looked_at = -LOOK_EVERY_S
        self._fit_at = time.monotonic()

    def alive(self) -> frozenset[str]:
        """Their names in Ray, which none bears again."""
        self._look()
        return frozenset(node["NodeID"] for node in self._nodes)

    def fit(self) -> int:
        """How many of the wanted trials they hold at once."""
        self._look()
        return self._fit

    def check(self) -> None:
        """Raise NoMachine where for `NONE_FOR_S` none could hold a trial: Ray would wait for ever."""
        self._look()
        if time.monotonic() - self._fit_at > NONE_FOR_S:
            needed = f"cpus_per_trial {self._cpus}" + (f", gpus_per_trial {self._gpus:g}" if self._gpus else "")
            raise NoMachine(f"for {NONE_FOR_S:g} s no machine of the cluster has had room for a trial ({needed})")

    def _look(self) -> None:
        import ray

        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        self._nodes = [node for node in ray.nodes() if node["Alive"]]
        sizes = (Node.of(node["Resources"]) for node in self._nodes)
        self._fit = min(self._wanted, sum(size.fits(self._cpus, self._gpus) for size in sizes))
        if self._fit:
            self._fit_at = now
        self._ask_for(self._wanted - self._fit)

    def _ask_for(self, missing: int) -> None:
        """An autoscaler adds machines for what waits for room: here for as many tasks, which do nothing, as trials find
        none. Unlike a request of Ray's autoscaler API they end with this process, also where it is killed."""
        import ray

        if self._waiting:
            _, self._waiting = ray.wait(self._waiting, num_returns=len(self._waiting), timeout=0)
        while len(self._waiting) > missing:
            ray.cancel(self._waiting.pop())
        if len(self._waiting) < missing:
            task = ray.remote(_nothing).options(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0)
            self._waiting += [task.remote() for _ in range(missing - len(self._waiting))]


def this_node() -> Node:
    """The machine that this worker of Ray's runs on."""
    import ray

    mine = ray.get_runtime_context().get_node_id()
    return next(Node.of(node["Resources"]) for node in ray.nodes() if node["NodeID"] == mine)


def _nothing() -> None:
    pass
