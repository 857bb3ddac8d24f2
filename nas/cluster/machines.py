"""The machines of a cluster, which may leave and join while something runs on them."""

import time
from typing import Any

from nas.cluster.own_ray import EngineError
from nas.cluster.session import Node

__all__ = ["LOST_WITHIN_S", "Machines", "NoMachine"]

LOST_WITHIN_S = 60.0
"""In so long a cluster knows that a machine has left; its workers are missed at once."""
NONE_FOR_S = 300.0
LOOK_EVERY_S = 1.0


class NoMachine(EngineError):
    """None is left that could hold a trial."""


class Machines:
    """Those that live, asked for at most once a second; each trial needs `cpus` processors and `gpus` GPUs of one."""

    def __init__(self, cpus: int, gpus: float) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._nodes: list[dict[str, Any]] = []
        self._looked_at = -LOOK_EVERY_S
        self._fit_at = time.monotonic()

    def alive(self) -> frozenset[str]:
        """Their names in Ray, which none bears again."""
        self._look()
        return frozenset(node["NodeID"] for node in self._nodes)

    def check(self) -> None:
        """Raise NoMachine where for five minutes none was there that could hold a trial: Ray would wait for ever."""
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
        sizes = (Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in self._nodes)
        if any(size.fits(self._cpus, self._gpus) for size in sizes):
            self._fit_at = now
