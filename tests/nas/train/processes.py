"""A function run in several processes of one torch process group, without Ray."""

import multiprocessing
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

TIMEOUT_S = 120


def run_group(world: int, store: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(*arguments)` returns in each of `world` processes, by rank. `store` is a new file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "nas.train.full"])
    with ProcessPoolExecutor(world, mp_context=context) as pool:
        futures = [pool.submit(_call, rank, world, store, function, arguments) for rank in range(world)]
        return [future.result(TIMEOUT_S) for future in futures]


def _call(rank: int, world: int, store: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    import torch
    from torch import distributed

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=world, timeout=timedelta(seconds=TIMEOUT_S)
    )
    try:
        return function(*arguments)
    finally:
        distributed.destroy_process_group()
