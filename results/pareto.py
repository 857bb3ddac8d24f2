"""The Pareto front of networks over accuracy, step time and parameters, the best of them, and what they dominate."""

from collections.abc import Iterable

from results.devices import one_device
from results.networks import Network

__all__ = ["best_network", "hypervolume", "pareto_front"]

MAXIMISE = (True, False, False)
WORST_RATIO = 2.0


def pareto_front(networks: Iterable[Network]) -> list[Network]:
    """The networks that no other dominates, most accurate first.

    A network dominates another where it is at least as good in accuracy (more), step time (less) and parameters (less)
    and better in one of them; so networks that are equal in all three stand on the front together.

    Raises:
        ValueError: where the networks are of more than one device.
    """
    networks = one_device(networks)
    if not networks:
        return []
    from moocore import is_nondominated

    points = [(network.accuracy, network.step_time_ratio, float(network.params)) for network in networks]
    kept = is_nondominated(points, maximise=MAXIMISE, keep_weakly=True)
    front = [network for network, keep in zip(networks, kept, strict=True) if keep]
    return sorted(front, key=lambda one: (-one.accuracy, one.step_time_ratio, one.params, one.trial))


def best_network(networks: Iterable[Network]) -> Network | None:
    """The network of the highest reward, of the confirmed ones where any is (by their trainings alone, where a supernet
    judged them); the earlier where two are equal; None where there is none.

    Raises:
        ValueError: where the networks are of more than one device.
    """
    networks = one_device(networks)
    confirmed = [network for network in networks if network.final.confirmed]
    return max(confirmed or networks, key=lambda network: (network.final.reward, -network.trial), default=None)


def hypervolume(networks: Iterable[Network], reference_params: int) -> float:
    """How much of the box of useful networks the networks dominate, as a share in [0, 1].

    The box reaches from the ideal (accuracy 1, no step time, no parameters) to the reference point: accuracy 0 and
    twice the reference network's step time and parameters. A network beyond that point adds nothing, so shares are
    comparable between runs that have the same reference network, data, device and limits, and only there.

    Raises:
        ValueError: where the networks are of more than one device.
    """
    points = [
        (network.accuracy, network.step_time_ratio, network.params / reference_params)
        for network in one_device(networks)
    ]
    if not points:
        return 0.0
    import moocore

    volume = moocore.hypervolume(points, ref=(0.0, WORST_RATIO, WORST_RATIO), maximise=MAXIMISE)
    return float(volume) / WORST_RATIO**2
