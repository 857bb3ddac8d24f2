"""How Ray Train's workers meet.

torch's own way is a server in the first worker that listens on all interfaces and asks nobody who he is. On a cluster
there is no other; workers on this machine meet in a file of the session's folder, and gloo's sockets are on the
loopback.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group, _TorchBackend

__all__ = ["OnThisMachine"]


@dataclass
class OnThisMachine(TorchConfig):
    """A TorchConfig whose workers meet in a file below `folder`."""

    folder: str = ""

    @property
    def backend_cls(self) -> type["_FileBackend"]:
        return _FileBackend


class _FileBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(_set_torch_distributed_env_vars)
        # A file that an earlier group has met in would be read as theirs.
        place = f"file://{backend_config.folder}/meet-{secrets.token_hex(8)}"
        world = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank,
                    _setup_torch_process_group,
                    backend=backend_config.backend,
                    world_rank=rank,
                    world_size=world,
                    init_method=place,
                    timeout_s=backend_config.timeout_s,
                )
                for rank in range(world)
            ]
        )
