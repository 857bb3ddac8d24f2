"""How far one driver goes: simulated clusters of 1 to 32 nodes, searched through `nas search --address`.

    python benchmarks/clusters.py --nodes 1 2 8 32 --seconds 2 --repeats 3
    python benchmarks/clusters.py --nodes 8 --seconds 0.1 --samplers random

The nodes are raylets of one machine (ray.cluster_utils), of one processor each. A trial's work is a sleep, and its
measurements are made up (benchmarks/made_up.py); torch is not imported, for 32 times its memory would not fit. So the
driver's part is seen. From the first trial's work to the last one's end: trials a second, also as a share of nodes /
seconds. From the probe's end on: the driver's CPU seconds a trial, and so how many trials a second it could hand out
with a processor of its own (`at most / s`); its peak memory is of its whole life. Short trials saturate it: their rate
is a limit that was seen, though by the machine too, which the nodes share with it.

Seen on two shared cores, n = 1 each, the nodes beside the driver on the same cores (32 random was not waited for):

    nodes  cost-aware: of ideal, driver's CPU a trial, peak   random
    1      85 %, 211 ms, 296 MB                               96 %, 47 ms, 291 MB
    2      80 %, 187 ms, 297 MB                               84 %, 37 ms, 290 MB
    8      45 %, 166 ms, 303 MB                               52 %, 27 ms, 293 MB
    32     11 %, 198 ms, 350 MB (480 trials)

From 8 on it is the nodes that have no processor (the load was 34 as 32 of them started). The driver's own limit is its
processor: 5 to 6 trials a second with cost-aware, 37 with random. 8 nodes with trials of 0.1 s had 5.4 trials a second:
there the nodes' own work, a child process a trial, took the two cores.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import spread
from made_up import read_log
from orchestration import environment, nothing_left

SAMPLERS = ("cost-aware", "random")
STORE_BYTES = 80 << 20
LATE_S = 900.0


def cluster(num_nodes: int) -> int:
    """A cluster in this process: its address on stdout, and it goes on until stdin ends."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=options)
    for _ in range(num_nodes - 1):
        nodes.add_node(wait=False, num_cpus=1, object_store_memory=STORE_BYTES)
    nodes.wait_for_nodes(timeout=LATE_S)
    print(nodes.address, flush=True)
    sys.stdin.read()
    nodes.shutdown()
    return 0


def drive(told: Path, words: list[str]) -> int:
    """`nas search`, in this process; what it cost from the probe's end on is written to `told`."""
    from unittest import mock

    from nas.cli import main
    from nas.search.driver import Driver
    from nas.search.task import Probe

    class Observed(Driver):
        EVALUATOR = "made_up"

        def _on_probe(self, probe: Probe) -> None:
            super()._on_probe(probe)
            told.write_text(json.dumps({"since": time.process_time()}))

    with mock.patch("nas.search.run.Driver", Observed):
        code = main(["search", *words])
    cpu_s = time.process_time() - json.loads(told.read_text())["since"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told.write_text(json.dumps({"cpu_s": cpu_s, "peak_MB": peak}))
    return code


def measure(num_nodes: int, sampler: str, arguments: argparse.Namespace, folder: Path, mark: dict[str, str]) -> dict:
    env = environment(folder, arguments.seconds, mark)
    del env["WORK_TORCH"]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    env |= {**token, "RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
    # Else the workers of a cluster run at nice 15, and starve beside others.
    env["RAY_worker_niceness"] = "0"
    trials = max(arguments.least_trials, num_nodes * arguments.each)
    started = time.monotonic()
    command = [sys.executable, __file__, "cluster", str(num_nodes)]
    with (folder / "cluster").open("w") as said:
        nodes = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert nodes.stdout is not None
        address = nodes.stdout.readline().strip()
        if not address:
            sys.exit(f"{num_nodes} nodes did not start:\n{(folder / 'cluster').read_text()}")
        up_s = time.monotonic() - started
        words = ["--address", address, "--sampler", sampler, "--budget", str(trials), "--confirm-share", "0"]
        told = folder / "told.json"
        command = [sys.executable, __file__, "drive", str(told), *words, "--out", str(folder / "run")]
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=LATE_S)
        if ended.returncode:
            sys.exit(ended.stderr)
        nodes.communicate()
    log, cost = read_log(folder / "log"), json.loads(told.read_text())
    full = [work for work in log if work.ended is not None]
    assert len(full) == trials
    took_s = max(work.ended or 0 for work in full) - full[0].began
    rate = trials / took_s
    return {
        "trials": trials,
        "cluster up s": up_s,
        "first trial s": full[0].began - started - up_s,
        "all busy s": full[num_nodes - 1].began - full[0].began,
        "trials / s": rate,
        "of ideal %": 100 * rate * arguments.seconds / num_nodes,
        "CPU ms a trial": 1000 * cost["cpu_s"] / trials,
        "at most / s": trials / cost["cpu_s"],
        "peak MB": cost["peak_MB"],
    }


def main() -> int:
    if sys.argv[1:2] == ["cluster"]:
        return cluster(int(sys.argv[2]))
    if sys.argv[1:2] == ["drive"]:
        return drive(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 8, 32])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--each", type=int, default=15, help="trials a node")
    parser.add_argument("--least-trials", type=int, default=30)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    for _ in range(arguments.repeats):
        for num_nodes in arguments.nodes:
            for sampler in arguments.samplers:
                with nothing_left() as mark, tempfile.TemporaryDirectory(prefix="nodes-", dir="/tmp") as folder:
                    figures = measure(num_nodes, sampler, arguments, Path(folder), mark)
                found.setdefault((num_nodes, sampler), []).append(figures)
                print(num_nodes, sampler, json.dumps(figures), file=sys.stderr, flush=True)
    names = list(next(iter(found.values()))[0])
    print(f"\n| nodes | sampler | {' | '.join(names)} | n |\n{'| --- ' * (len(names) + 3)}|")
    for (num_nodes, sampler), rows in found.items():
        columns = (spread([row[name] for row in rows], 1) for name in names)
        print(f"| {num_nodes} | {sampler} | {' | '.join(columns)} | {len(rows)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
