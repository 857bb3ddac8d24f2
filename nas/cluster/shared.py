"""Whether all machines of a cluster see a folder. No torch here: it would be imported on each of them."""

from contextlib import suppress
from pathlib import Path

from results.state import OWNER

__all__ = ["check_shared"]

WAIT_S = 120


def check_shared(folder: Path) -> None:
    """Raise ValueError where a machine of the Ray cluster that is connected to does not see who owns the lock of
    `folder`, which this process holds."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    path = folder / OWNER
    content = path.read_text()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    look = ray.remote(_sees)
    answers = [
        look.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            str(path), content
        )
        for node in nodes
    ]
    seen = ray.get(answers, timeout=WAIT_S)
    blind = {node["NodeManagerHostname"] for node, sees in zip(nodes, seen, strict=True) if not sees}
    if blind:
        raise ValueError(
            f"the run's folder must be on a disk that all machines of the cluster share: {folder} is not seen on "
            f"{', '.join(sorted(blind))}"
        )


def _sees(path: str, content: str) -> bool:
    with suppress(OSError):
        return Path(path).read_text() == content
    return False
