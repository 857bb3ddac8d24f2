"""A Ray cluster of several machines on this one, in a process of its own: `add`, `remove` and `lose the head` on stdin,
one a line."""

import sys

from ray.cluster_utils import Cluster

HEAD = {"num_cpus": 0, "include_dashboard": False}

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes = []
    sys.stderr.write(f"at {cluster.address}\n")
    for line in sys.stdin:
        if line == "add\n":
            nodes.append(cluster.add_node(num_cpus=1))
        elif line == "lose the head\n":
            for process in cluster.head_node.all_processes["gcs_server"]:
                process.process.kill()
        else:
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
        sys.stderr.write("done\n")
    cluster.shutdown()
