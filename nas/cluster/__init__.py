"""Machines to work on: a Ray of our own, or a cluster of the user's, and a training whose workers run there."""

from typing import TYPE_CHECKING, Any

from nas.cluster.machines import LOST_WITHIN_S, Machines, NoMachine, this_node
from nas.cluster.own_ray import EngineError, ends_with_ray
from nas.cluster.session import Cluster, Node, check_address, ray_session
from nas.cluster.workers import Workers

if TYPE_CHECKING:
    from nas.cluster.training import train_on_cluster

__all__ = [
    "LOST_WITHIN_S",
    "Cluster",
    "EngineError",
    "Machines",
    "NoMachine",
    "Node",
    "Workers",
    "check_address",
    "ends_with_ray",
    "ray_session",
    "this_node",
    "train_on_cluster",
]


def __getattr__(name: str) -> Any:
    if name != "train_on_cluster":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nas.cluster.training import train_on_cluster

    return train_on_cluster
